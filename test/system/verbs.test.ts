// start, stop, freeze, unfreeze, wait, info and ls: several names, what they print, and containers whose monitor does not answer.
import { appendFileSync, closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Box, makeBox } from '../helpers/box.ts'
import { expectNoLeaks } from '../helpers/leaks.ts'
import { needs } from '../helpers/needs.ts'
import { program, run } from '../helpers/program.ts'
import { makeRoot, type TestRoot } from '../helpers/root.ts'

expectNoLeaks()

let root: TestRoot
const boxes: Box[] = []
let count = 0

beforeAll(() => {
  root = makeRoot()
})
afterAll(() => root.remove())
afterEach(async () => {
  for (const box of boxes.splice(0)) await box.kill()
})

const INIT = 'signal: { halt: SIGUSR1, reboot: SIGTERM }\n'

function box(config = INIT): Box {
  const made = makeBox(root, `verb${++count}`, config)
  boxes.push(made)
  return made
}

async function started(config = INIT): Promise<Box> {
  const made = box(config)
  await made.start()
  return made
}

const monitorPid = (made: Box): number => JSON.parse(readFileSync(join(made.runDir(), 'state.json'), 'utf8')).monitorPid
const stateOf = async (made: Box): Promise<string> => (await root.ok('info', '-sH', made.name)).trim()

describe('several names', () => {
  it('are started and stopped in one call, what fails is told by name', async () => {
    const [a, b] = [box(), box()]
    const start = await root.tslxc('start', a.name, 'nope', b.name, '--json')
    expect(start.code).toBe(1)
    expect(JSON.parse(start.stdout)).toEqual([
      { name: a.name, state: 'RUNNING', pid: expect.any(Number) },
      { name: 'nope', error: expect.objectContaining({ code: 'not-found' }) },
      { name: b.name, state: 'RUNNING', pid: expect.any(Number) },
    ])
    const again = await root.tslxc('start', a.name, b.name)
    expect([again.code, again.stdout]).toEqual([0, ''])
    expect(again.stderr).toContain(`cannot start '${a.name}': it is already running`)
    await root.ok('freeze', a.name, b.name)
    expect([await stateOf(a), await stateOf(b)]).toEqual(['FROZEN', 'FROZEN'])
    await root.ok('unfreeze', a.name, b.name)
    expect(await stateOf(b)).toBe('RUNNING')
    await root.ok('stop', '-k', a.name, b.name)
    expect((await root.tslxc('stop', a.name, b.name)).code).toBe(2)
    expect((await root.tslxc('freeze', a.name)).code).toBe(1)
  })
})

describe('stop', () => {
  it('says which signal it sends and how long it waits, but for -q', async () => {
    const made = await started()
    const { code, stdout, stderr } = await root.tslxc('stop', '-t30', made.name)
    expect([code, stdout]).toEqual([0, ''])
    expect(stderr).toBe(
      `tslxc stop: sending SIGUSR1 to '${made.name}', waiting up to 30 s, then killing it; 'tslxc stop -k ${made.name}' kills it at once\n`,
    )
    await made.start()
    expect(await root.tslxc('stop', '-q', made.name)).toEqual({ code: 0, stdout: '', stderr: '' })
  })

  it.each([[['stop', '-k']], [['stop']]])('a container with a hung monitor: %j', async (words) => {
    const made = await started()
    process.kill(monitorPid(made), 'SIGSTOP')
    const freeze = await root.tslxc('freeze', made.name)
    expect([freeze.code, freeze.stderr]).toEqual([1, expect.stringContaining('its monitor does not answer')])
    const { code, stderr } = await root.tslxc(...words, made.name)
    expect([code, stderr]).toEqual([0, expect.stringContaining('does not answer: stopping it without')])
    expect(await stateOf(made)).toBe('STOPPED')
  })

  it('a frozen container, and a frozen one whose monitor hangs', async () => {
    const made = await started()
    await root.ok('freeze', made.name)
    await root.ok('stop', made.name)
    await made.start()
    await root.ok('freeze', made.name)
    process.kill(monitorPid(made), 'SIGSTOP')
    await root.ok('stop', '-k', made.name)
    expect(await stateOf(made)).toBe('STOPPED')
  })

  it('cleans up after a monitor that was killed', async () => {
    const made = await started()
    process.kill(monitorPid(made), 'SIGKILL')
    await root.ok('wait', made.name, '-t', '10', '-s', 'STOPPED|ABORTING')
    const { code, stderr } = await root.tslxc('stop', made.name)
    expect([code, stderr]).toEqual([0, expect.stringContaining('has died: cleaning up')])
    expect((await root.tslxc('stop', made.name)).code).toBe(2)
  })

  it('refuses options that exclude each other', async () => {
    for (const words of [['-k', '-t', '3'], ['-kr'], ['--kill', '--nokill'], ['--nolock'], ['-t', 'soon']]) {
      const { code, stderr } = await root.tslxc('stop', 'any', ...words)
      expect([code, stderr]).toEqual([1, expect.stringMatching(/^tslxc stop: option/)])
    }
  })
})

describe('wait', () => {
  it('misses no transition', async () => {
    const made = box()
    for (let round = 0; round < 5; round++) {
      const starting = root.tslxc('wait', made.name, '-s', 'STARTING', '-t', '20')
      await sleep(50)
      await made.start()
      expect((await starting).code).toBe(0)
      const stopping = root.tslxc('wait', '-n', made.name, 'STOPPING', '-t', '20')
      await sleep(50)
      await root.ok('stop', '-k', made.name)
      expect((await stopping).code).toBe(0)
    }
  })

  it('ends with the time, and only looks with -t 0', async () => {
    expect((await root.tslxc('wait', 'absent', 'STOPPED')).code).toBe(0)
    for (const timeout of ['0', '1']) expect((await root.tslxc('wait', 'absent', '-s', 'RUNNING', '-t', timeout)).code).toBe(1)
    const { code, stderr } = await root.tslxc('wait', 'absent', '-s', 'BOGUS')
    expect([code, stderr]).toEqual([1, expect.stringContaining("there is no state 'BOGUS'")])
  })
})

describe('start', () => {
  it('-F gives the exit code of init and writes where the output stands', async () => {
    const made = box()
    const file = join(root.path, 'output')
    const fd = openSync(file, 'w')
    writeFileSync(fd, 'before\n')
    closeSync(fd)
    const command = `"$0" start -F ${made.name} -- /bin/sh -c 'echo inside; exit 7' >> ${file}`
    const { code } = await run(['/bin/sh', '-c', command, program], { env: { TSLXC_ROOT: root.path } })
    expect([code, readFileSync(file, 'utf8').replaceAll('\r', '')]).toEqual([7, 'before\ninside\n'])
  })

  it('an edit of a running container is told by info, and applies to the next start', async () => {
    const made = await started()
    appendFileSync(join(root.lxcpath, made.name, 'config.yaml'), 'environment: [A=b]\n')
    const { stdout, stderr } = await root.tslxc('info', '-c', 'lxc.environment', made.name)
    expect(stdout).toBe('lxc.environment =\n')
    expect(stderr).toContain('was edited since its start: it applies at the next start')
    await root.ok('stop', '-k', made.name)
    expect(await root.ok('info', '-c', 'lxc.environment', made.name)).toBe('lxc.environment = A=b\n\n')
  })

  it('-s and -f are for one start alone', async () => {
    const made = box()
    await root.ok('start', made.name, '-s', 'lxc.uts.name=other')
    expect(await made.sh('hostname')).toBe('other')
    await root.ok('stop', '-k', made.name)
    await made.start()
    expect(await made.sh('hostname')).toBe(made.name)
  })
})

describe('ls', () => {
  it('lists a broken configuration with dashes and a warning', async () => {
    const made = box('bogus: 1\n')
    const { code, stdout, stderr } = await root.tslxc('ls', '-f', `^${made.name}$`)
    expect(code).toBe(0)
    expect(stdout.split('\n')[1]).toMatch(new RegExp(`^${made.name} STOPPED - +- +- +- +- +$`))
    expect(stderr).toContain("unknown key 'bogus'")
  })

  it('prints what LXC prints, byte for byte', async (context) => {
    const lxc = await run(['lxc-ls', '--version'])
    needs(context, lxc.code === 0, 'lxc is not installed')
    const [ours, theirs] = [join(root.path, 'ours'), join(root.path, 'theirs')]
    for (const name of ['a', 'bbb', 'ccccc', 'dd']) {
      for (const dir of [join(ours, name, 'rootfs'), join(theirs, name)]) mkdirSync(dir, { recursive: true })
      const grouped = name === 'bbb'
      const more = grouped ? 'group: [x, y]\nstart: { auto: 1 }\n' : ''
      writeFileSync(join(ours, name, 'config.yaml'), `rootfs: { path: "dir:${join(ours, name, 'rootfs')}" }\n${more}`)
      writeFileSync(
        join(theirs, name, 'config'),
        `lxc.uts.name = ${name}\n${grouped ? 'lxc.group = x\nlxc.group = y\nlxc.start.auto = 1\n' : ''}`,
      )
    }
    const options = [[], ['-1'], ['-f'], ['-F', 'NAME'], ['-f', '-F', 'groups,name,ram,PID'], ['-g', 'x,y'], ['--stopped'], ['--running']]
    for (const words of [...options, ['--stopped', '--running'], ['--filter', '^b', 'a'], ['c'], ['-1', '-f'], ['none']]) {
      const expected = await run(['lxc-ls', '-P', theirs, ...words])
      expect((await root.tslxc('ls', '-P', ours, ...words)).stdout, words.join(' ')).toBe(expected.stdout)
    }
    for (const width of [1, 6, 11, 12, 17, 24, 40]) {
      const onTerminal = (command: string): Promise<string> =>
        run(['script', '-qc', `stty cols ${width}; ${command}`, '/dev/null'], { env: { TSLXC_ROOT: root.path } }).then(
          ({ stdout }) => stdout,
        )
      expect(await onTerminal(`${program} ls -P ${ours}`)).toBe(await onTerminal(`lxc-ls -P ${theirs}`))
    }
    for (const words of [[], ['-H'], ['-s'], ['-sH'], ['-c', 'lxc.group'], ['-Hc', 'lxc.group'], ['-sHc', 'lxc.start.delay']]) {
      const expected = await run(['lxc-info', '-P', theirs, 'bbb', ...words])
      expect((await root.tslxc('info', '-P', ours, 'bbb', ...words)).stdout, words.join(' ')).toBe(expected.stdout)
    }
  })
})

describe('info', () => {
  it('shows one that runs, whole and by parts', async () => {
    const made = await started()
    const pid = (await root.ok('info', '-pH', made.name)).trim()
    expect(await root.ok('info', made.name)).toMatch(
      new RegExp(`^Name: {11}${made.name}\nState: {10}RUNNING\nPID: {12}${pid}\nCPU use: {8}\\d`),
    )
    expect(await root.ok('info', '-spH', made.name)).toBe(`State:          RUNNING\nPID:            ${pid}\n`)
    const all = JSON.parse(await root.ok('info', '--json', made.name))
    expect(all).toMatchObject({ name: made.name, state: 'RUNNING', pid: Number(pid), configEdited: false })
    const { code, stdout, stderr } = await root.tslxc('info', 'nope')
    expect([code, stdout, stderr]).toEqual([1, '', expect.stringContaining("doesn't exist")])
  })
})
