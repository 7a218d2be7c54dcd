// The monitor of a running container: what it answers, what it survives, and what a start that fails says.
import { chmodSync, existsSync, mkdirSync, readFileSync, readlinkSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Box, makeBox, UNPRIVILEGED } from '../helpers/box.ts'
import { expectNoLeaks } from '../helpers/leaks.ts'
import { run } from '../helpers/program.ts'
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

function box(config: string): Box {
  const made = makeBox(root, `mon${++count}`, config.replaceAll('$DIR', root.path))
  boxes.push(made)
  return made
}

async function started(config: string): Promise<Box> {
  const made = box(config)
  await made.start()
  return made
}

interface State {
  readonly state: string
  readonly initPid: number
  readonly monitorPid: number
  readonly exitStatus?: number
  readonly consoleTail?: string
}
const state = (made: Box): State => JSON.parse(readFileSync(join(made.runDir(), 'state.json'), 'utf8'))
const events = (made: Box): string[] =>
  readFileSync(join(made.runDir(), 'events.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as State).state)

async function until(what: string, condition: () => boolean): Promise<void> {
  for (let round = 0; !condition(); round++) {
    if (round === 500) throw new Error(`never: ${what}`)
    await sleep(20)
  }
}

/** Packets sent one after another over one connection; the replies. Node has no SOCK_SEQPACKET. */
async function ask(made: Box, ...packets: string[]): Promise<string[]> {
  const script = `
import json, os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.settimeout(10)
os.chdir(sys.argv[1]); s.connect('monitor.sock')
for packet in sys.argv[2:]:
    s.send(packet.encode()); print(s.recv(65536).decode() or 'end')
`
  const { stdout } = await run(['python3', '-c', script, made.runDir(), ...packets])
  return stdout.trim().split('\n')
}

const INIT = 'signal: { halt: SIGUSR1, reboot: SIGTERM }\n'

describe('life', () => {
  it.each([
    ['privileged', ''],
    ['unprivileged', UNPRIVILEGED],
  ])('a reboot inside starts it again, %s', async (_, idmap) => {
    const hook = join(root.path, `target${count}`)
    writeFileSync(hook, `#!/bin/sh\necho "$3 $LXC_TARGET" >> ${hook}.log\n`)
    chmodSync(hook, 0o755)
    const made = await started(`${idmap}${INIT}hook: { stop: ["${hook}"], post-stop: ["${hook}"] }\n`)
    const first = state(made)
    await run(['nsenter', '-t', String(first.initPid), '-a', '/bin/busybox', 'reboot', '-f'])
    await until('another init', () => events(made).length === 5)
    expect(state(made).monitorPid).toBe(first.monitorPid)
    expect(events(made)).toEqual(['STARTING', 'RUNNING', 'STOPPING', 'STARTING', 'RUNNING'])
    expect(await made.sh('cat /proc/self/oom_score_adj')).toBe('0')
    expect(readFileSync(`${hook}.log`, 'utf8')).toBe('stop reboot\npost-stop reboot\n')
    await root.ok('stop', '-r', made.name)
    expect(state(made).state).toBe('RUNNING')
    await root.ok('stop', '-k', made.name)
    expect(readFileSync(`${hook}.log`, 'utf8').trim().split('\n').slice(-2)).toEqual(['stop stop', 'post-stop stop'])
  })

  it('halts the guest when the monitor is told to end', async () => {
    const made = await started(`${UNPRIVILEGED}${INIT}`)
    process.kill(state(made).monitorPid, 'SIGTERM')
    await until('STOPPED', () => events(made).includes('STOPPED'))
    expect(events(made)).toEqual(['STARTING', 'RUNNING', 'STOPPING', 'STOPPED'])
    expect(existsSync(join(made.runDir(), 'monitor.sock'))).toBe(false)
  })

  it('init does not outlive a killed monitor', async () => {
    const made = await started(UNPRIVILEGED)
    const { initPid, monitorPid } = state(made)
    process.kill(monitorPid, 'SIGKILL')
    await until('the end of init', () => !existsSync(`/proc/${initPid}`))
    expect(await root.ok('info', '-sH', made.name)).toBe('STOPPED\n')
    await made.start()
    expect(state(made).state).toBe('RUNNING')
  })

  it('runs a privileged container from a read-only clone of the program', async () => {
    const made = await started('')
    expect(readlinkSync(`/proc/${state(made).monitorPid}/exe`)).toBe('/')
    const { stdout } = await run(['stat', '-f', '-c', '%T', `/proc/${state(made).monitorPid}/exe`])
    expect(stdout).not.toBe('')
  })
})

describe('requests', () => {
  it('answers what is wrong and keeps the connection', async () => {
    const made = await started(UNPRIVILEGED)
    const replies = await ask(
      made,
      '{"v":1,"op":"explode"}',
      '{"v":1,"op":"stop","what":1}',
      '{"v":1,"op":"freeze"}',
      '{"v":1,"op":"unfreeze"}',
    )
    expect(replies.map((reply) => (JSON.parse(reply) as { ok: boolean }).ok)).toEqual([false, false, true, true])
    expect(replies[0]).toContain("op 'explode' is unknown")
  })

  it('ends a connection that sends no JSON', async () => {
    const made = await started(UNPRIVILEGED)
    const [reply, end] = await ask(made, 'GET / HTTP/1.0', '{"v":1,"op":"unfreeze"}')
    expect(reply).toContain('no JSON object')
    expect(end ?? 'end').toBe('end')
    expect(await ask(made, '{"v":1,"op":"unfreeze"}')).toEqual(['{"ok":true}'])
  })

  it('gives each tty to one client at a time', async () => {
    const made = await started(`${UNPRIVILEGED}tty: { max: 1 }\n`)
    const replies = await ask(made, '{"v":1,"op":"console"}', '{"v":1,"op":"console"}', '{"v":1,"op":"console","tty":2}')
    expect(replies[0]).toBe('{"ok":true,"tty":1}')
    expect(replies[1]).toContain('"busy"')
    expect(replies[2]).toContain('"not-found"')
    expect(await ask(made, '{"v":1,"op":"console"}')).toEqual(['{"ok":true,"tty":1}'])
  })

  it('a stop without a kill afterwards times out and can be asked again', async () => {
    const made = await started(`${UNPRIVILEGED}init: { cmd: "/bin/sleep 1000" }\n`)
    const [reply] = await ask(made, '{"v":1,"op":"stop","signal":12,"timeoutMs":100,"killAfter":false}')
    expect(reply).toContain('"timeout"')
    expect(await ask(made, '{"v":1,"op":"stop","signal":12,"timeoutMs":100}')).toEqual(['{"ok":true}'])
    expect(state(made).state).toBe('STOPPED')
  })
})

describe('a start that fails', () => {
  const failing = async (config: string, prepare?: (made: Box) => void): Promise<string> => {
    const made = box(config)
    prepare?.(made)
    const { code, stderr } = await root.tslxc('start', made.name)
    expect(code).toBe(1)
    expect(state(made).state).toBe('STOPPED')
    return stderr
  }

  it('names the init that is missing', async () => {
    expect(await failing(`${UNPRIVILEGED}init: { cmd: /sbin/nothing }\n`)).toMatch(
      /cannot start 'mon\d+': cannot run init '\/sbin\/nothing': No such file or directory\n {2}hint: /,
    )
  })

  it('names the loader that is missing', async () => {
    const text = await failing(`${UNPRIVILEGED}init: { cmd: /bin/script }\n`, (made) => {
      writeFileSync(join(made.rootfs, 'bin/script'), '#!/bin/perl\n', { mode: 0o755 })
    })
    expect(text).toContain('its interpreter or dynamic loader is missing')
  })

  it('refuses a mount target behind a symbolic link', async () => {
    const text = await failing(`${UNPRIVILEGED}mount: { entry: ["tmpfs evil/inner tmpfs rw,create=dir 0 0"] }\n`, (made) => {
      symlinkSync('/tmp', join(made.rootfs, 'evil'))
    })
    expect(text).toContain('without symbolic links')
  })

  it('keeps the last words of an init that ended soon', async () => {
    const made = box(`${UNPRIVILEGED}init: { cmd: /bin/short }\n`)
    writeFileSync(join(made.rootfs, 'bin/short'), '#!/bin/sh\necho "the end is near"\nexit 3\n', { mode: 0o755 })
    const { code, stderr } = await root.tslxc('start', made.name)
    expect(code).toBe(1)
    expect(stderr).toContain("init '/bin/short' ended at once with exit code 3")
    expect(stderr).toContain('the end is near')
    expect(state(made)).toMatchObject({ state: 'STOPPED', exitStatus: 3 << 8, consoleTail: 'the end is near' })
  })

  it('shows the last words of an init that ended later to whoever comes', async () => {
    const made = box(`${UNPRIVILEGED}init: { cmd: /bin/short }\n`)
    writeFileSync(join(made.rootfs, 'bin/short'), '#!/bin/sh\nsleep 0.5; echo "the end is near"\nexit 3\n', { mode: 0o755 })
    await made.start()
    await until('STOPPED', () => state(made).state === 'STOPPED')
    const words = 'ended by itself with exit code 3\n  last lines of its console:\n    the end is near\n'
    for (const verb of ['attach', 'console', 'freeze', 'stop', 'info']) {
      expect((await root.tslxc(verb, made.name)).stderr, verb).toContain(words)
    }
    await root.ok('start', made.name, '--', '/bin/sleep', '100')
    expect(await root.tslxc('info', made.name)).toMatchObject({ stderr: '', stdout: expect.stringContaining('RUNNING') })
    await made.kill()
    expect(await root.tslxc('info', made.name)).toMatchObject({ stderr: '' })
  })
})

describe('what a guest can not undo', () => {
  it('the flags of a share', async () => {
    mkdirSync(join(root.path, 'share'), { mode: 0o700 })
    writeFileSync(join(root.path, 'share/file'), 'x')
    const made = await started(`${UNPRIVILEGED}shares: ["$DIR/share:/srv/ro:ro", "$DIR/share:/srv/rw"]\n`)
    expect(
      await made.sh('mount -o remount,bind,rw /srv/ro 2>/dev/null && echo yes; touch /srv/ro/new 2>/dev/null && echo yes; echo no'),
    ).toBe('no')
    expect(await made.sh('mount -o remount,bind,suid,dev /srv/rw 2>/dev/null && echo yes; echo no')).toBe('no')
    expect(existsSync(join(root.path, 'share/new'))).toBe(false)
  })

  it('where the files of the configuration are written', async () => {
    const outside = join(root.path, 'outside')
    writeFileSync(outside, 'untouched')
    const made = box(`${UNPRIVILEGED}uts: { name: honest }\n`)
    symlinkSync(outside, join(made.rootfs, 'etc/hostname'))
    const guest = { network: 'none', init: 'busybox' }
    writeFileSync(
      join(made.dir, 'record.json'),
      JSON.stringify({ version: 1, uuid: 'x', template: 'busybox', options: {}, guest, createdAt: '2026-01-01T00:00:00Z' }),
    )
    await made.start()
    expect(readFileSync(outside, 'utf8')).toBe('untouched')
    expect(await made.sh('cat /etc/hostname')).toBe('honest')
    const before = statSync(join(made.rootfs, 'etc/hostname')).ctimeMs
    await made.kill()
    await made.start()
    expect(statSync(join(made.rootfs, 'etc/hostname')).ctimeMs).toBe(before)
  })
})
