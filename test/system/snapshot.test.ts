/** Snapshots and restore on each storage, of running containers too; what is left when a command dies; schedules; LXC's own output. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BtrfsPool, makeBtrfsPool } from '../helpers/btrfs-pool.ts'
import { expectNoLeaks } from '../helpers/leaks.ts'
import { program, run, runOk } from '../helpers/program.ts'
import { makeRoot, type TestRoot } from '../helpers/root.ts'

expectNoLeaks()

const cacheOf = (root: TestRoot): string => process.env.TSLXC_TEST_CACHE ?? join(root.path, 'var/cache/tslxc')
const start = (root: TestRoot, ...args: string[]): ChildProcess =>
  spawn(program, args, { stdio: 'ignore', env: { ...process.env, TSLXC_ROOT: root.path, TSLXC_CACHE: cacheOf(root) } })
const ended = (child: ChildProcess) => new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ?? code)))

async function killAfter(root: TestRoot, ms: number, ...args: string[]): Promise<unknown> {
  const child = start(root, ...args)
  const end = ended(child)
  await sleep(ms)
  child.kill('SIGKILL')
  return await end
}

async function lengthOf(action: () => Promise<unknown>): Promise<number> {
  const before = Date.now()
  await action()
  return Date.now() - before
}

/** From at once to past the end of the command. */
const delays = (count: number, lengthMs: number): number[] => Array.from({ length: count }, (_, i) => (i / (count - 1)) * lengthMs * 1.2)

const inside = (root: TestRoot, name: string, command: string): Promise<string> => root.ok('attach', name, '--', '/bin/sh', '-c', command)
const snapshotsOf = async (root: TestRoot, name: string): Promise<string[]> =>
  (JSON.parse(await root.ok('snapshot', '-L', '--json', name)) as { snapshot: string }[]).map(({ snapshot }) => snapshot)

/** The container's root file system, as the driver would have made it. */
async function moveToSubvolume(pool: BtrfsPool, root: TestRoot): Promise<void> {
  const dir = join(root.lxcpath, 'web')
  execFileSync('mv', [join(dir, 'rootfs'), join(dir, 'tree')])
  pool.btrfs('subvolume', 'create', join(dir, 'rootfs'))
  execFileSync('cp', ['-a', '--reflink=auto', `${join(dir, 'tree')}/.`, join(dir, 'rootfs')])
  execFileSync('rm', ['-r', join(dir, 'tree')])
  const volume = { driver: 'btrfs', path: join(dir, 'rootfs') }
  writeFileSync(join(dir, 'volume.json'), JSON.stringify({ version: 1, volume }))
  await root.ok('config', 'set', 'web', 'rootfs.path', `btrfs:${volume.path}`)
}

describe.each(['dir', 'btrfs'] as const)('on %s', { timeout: 240_000 }, (driver) => {
  let pool: BtrfsPool | undefined
  let root: TestRoot
  const dir = () => join(root.lxcpath, 'web')
  const file = () => join(dir(), 'rootfs/root/file')
  const config = () => readFileSync(join(dir(), 'config.yaml'), 'utf8')
  const pids = () => /^limits: \{ pids: (\d+) \}$/m.exec(config())?.[1]
  const state = async () => (await root.ok('info', '-sH', 'web')).trim()
  const leftovers = () => readdirSync(dir()).filter((entry) => /pending|\.new$|\.old$|\.tmp$/.test(entry))

  beforeAll(async () => {
    root = makeRoot()
    if (driver === 'btrfs') {
      pool = makeBtrfsPool()
      execFileSync('mount', ['--bind', pool.dir, root.path])
      chmodSync(root.path, 0o700)
    }
    await root.createBusybox('web')
    if (pool !== undefined) await moveToSubvolume(pool, root)
    writeFileSync(file(), 'first')
  })
  afterAll(async () => {
    for (const name of readdirSync(root.lxcpath).filter((entry) => !entry.startsWith('.'))) {
      await root.tslxc('destroy', '-f', '-s', name)
    }
    if (driver === 'btrfs') execFileSync('umount', [root.path])
    await root.remove()
    pool?.remove()
  })

  it('takes, lists, restores and removes them, any of them, and keeps later ones', async () => {
    expect(await root.ok('snapshot', '-L', 'web')).toBe('No snapshots\n')
    expect(await root.ok('snapshot', 'web')).toBe('')
    writeFileSync(file(), 'second')
    await root.ok('config', 'set', 'web', 'limits.pids', '123')
    await root.ok('snapshot', 'web', 'second', '--note', 'with a limit')
    writeFileSync(file(), 'third')
    const lines = await root.ok('snapshot', '-LC', 'web')
    const stamp = String.raw`\d{4}(:\d\d){2} \d\d(:\d\d){2}`
    expect(lines).toMatch(new RegExp(String.raw`^snap0 \(${dir()}/snaps\) ${stamp}\nsecond \(${dir()}/snaps\) ${stamp}\nwith a limit\n$`))
    await root.ok('snapshot', '-r', 'snap0', 'web')
    expect(readFileSync(file(), 'utf8')).toBe('first')
    expect(pids()).toBeUndefined()
    expect(config()).toContain(`path: ${driver}:${dir()}/rootfs`)
    await root.ok('snapshot', '-r', 'second', 'web')
    expect(readFileSync(file(), 'utf8')).toBe('second')
    expect(pids()).toBe('123')
    await root.ok('snapshot', '-r', 'snap0', '--keep-config', 'web')
    expect([readFileSync(file(), 'utf8'), pids()]).toEqual(['first', '123'])
    expect(await snapshotsOf(root, 'web')).toEqual(['snap0', 'second'])
    await root.ok('start', 'web')
    expect((await inside(root, 'web', 'cat /root/file')).trim()).toBe('first')
    await root.ok('stop', '-k', 'web')
    await root.ok('snapshot', '-d', 'snap0', 'web')
    expect(await snapshotsOf(root, 'web')).toEqual(['second'])
    expect(leftovers()).toEqual([])
  })

  it('makes a new container of one', async () => {
    await root.ok('snapshot', '-r', 'second', '-N', 'new1', 'web')
    await root.ok('snapshot', '-r', 'second', 'web', 'new2')
    for (const name of ['new1', 'new2']) {
      expect(readFileSync(join(root.lxcpath, name, 'rootfs/root/file'), 'utf8')).toBe('second')
      await root.ok('start', name)
      await root.ok('destroy', '-f', name)
    }
    expect(await snapshotsOf(root, 'web')).toEqual(['second'])
  })

  it('of a running one are of one moment', async () => {
    await root.ok('start', 'web')
    // The second file is never ahead of the first, and never more than one behind.
    const writer = inside(root, 'web', 'cd /root; i=0; while [ ! -e stop ]; do i=$((i+1)); echo $i > a; echo $i > b; done')
    while (!existsSync(join(dir(), 'rootfs/root/b'))) await sleep(5)
    for (let round = 0; round < 5; round++) {
      const told = await root.tslxc('snapshot', 'web', `run${round}`)
      expect(told).toMatchObject({ code: 0, stdout: '' })
      expect(told.stderr).toMatch(/'web' stood still for [\d.]+ ms/)
      const [a, b] = ['a', 'b'].map((name) => readFileSync(join(dir(), `snaps/run${round}/rootfs/root`, name), 'utf8').trim())
      // A file that is being replaced is empty between open(2) and write(2).
      if (a !== '' && b !== '') expect([Number(b), Number(b) + 1]).toContain(Number(a))
      expect(await state()).toBe('RUNNING')
    }
    writeFileSync(join(dir(), 'rootfs/root/stop'), '')
    await writer
    await root.ok('stop', '-k', 'web')
    await root.ok('snapshot', '-d', 'ALL', 'web')
    expect(existsSync(join(dir(), 'snaps'))).toBe(false)
  })

  it('leave one frozen that was frozen', async () => {
    await root.ok('start', 'web')
    await root.ok('freeze', 'web')
    await root.ok('snapshot', 'web', 'cold')
    expect(await state()).toBe('FROZEN')
    await root.ok('unfreeze', 'web')
    await root.ok('stop', '-k', 'web')
  })

  it('killed while taking one: it runs on, and the snapshot is whole or none', async () => {
    await root.ok('start', 'web')
    const length = await lengthOf(() => root.ok('snapshot', 'web', 'measured'))
    for (const delay of delays(10, length)) {
      await killAfter(root, delay, 'snapshot', 'web', 'killed')
      for (let wait = 0; wait < 40 && (await state()) !== 'RUNNING'; wait++) await sleep(25)
      expect(await state()).toBe('RUNNING')
      const there = (await snapshotsOf(root, 'web')).includes('killed')
      if (there) {
        expect(readFileSync(join(dir(), 'snaps/killed/rootfs/root/file'), 'utf8')).not.toBe('')
        await root.ok('snapshot', '-d', 'killed', 'web')
      }
      const again = await root.tslxc('snapshot', 'web', 'again')
      expect(again).toMatchObject({ code: 0 })
      expect(readdirSync(join(dir(), 'snaps')).sort()).toEqual(['again', 'cold', 'measured'])
      await root.ok('snapshot', '-d', 'again', 'web')
    }
    await root.ok('stop', '-k', 'web')
  })

  it('killed while restoring: the next start finds the old or the new, whole', async () => {
    writeFileSync(file(), 'new')
    await root.ok('config', 'set', 'web', 'limits.pids', '111')
    await root.ok('snapshot', 'web', 'target')
    const length = await lengthOf(() => root.ok('snapshot', '-r', 'target', 'web'))
    const seen = new Set<string>()
    // The last one gets to its end, however busy the machine is.
    for (const delay of [...delays(14, length), length * 5 + 1000]) {
      writeFileSync(file(), 'old')
      await root.ok('config', 'set', 'web', 'limits.pids', '222')
      await killAfter(root, delay, 'snapshot', '-r', 'target', 'web')
      await root.ok('start', 'web')
      const found = (await inside(root, 'web', 'cat /root/file')).trim()
      seen.add(found)
      expect([found, pids()]).toEqual(found === 'new' ? ['new', '111'] : ['old', '222'])
      await root.ok('config', 'unset', 'web', 'limits.pids')
      expect(leftovers()).toEqual([])
      await root.ok('stop', '-k', 'web')
    }
    expect([...seen].sort()).toEqual(['new', 'old'])
  })

  it('killed while removing: the next command finishes', async () => {
    const length = await lengthOf(async () => {
      await root.ok('snapshot', 'web', 'gone')
      await root.ok('snapshot', '-d', 'gone', 'web')
    })
    for (const delay of delays(8, length)) {
      await root.ok('snapshot', 'web', 'gone')
      await killAfter(root, delay, 'snapshot', '-d', 'gone', 'web')
      const there = (await snapshotsOf(root, 'web')).includes('gone')
      if (there) await root.ok('snapshot', '-d', 'gone', 'web')
      await root.ok('snapshot', 'web', 'next')
      await root.ok('snapshot', '-d', 'next', 'web')
      expect(readdirSync(join(dir(), 'snaps'))).not.toContain('gone')
    }
  })

  it('restore and start, snapshot and destroy, two snapshots of one name: one of the two', async () => {
    for (let round = 0; round < 4; round++) {
      writeFileSync(file(), 'old')
      const [restored, started] = await Promise.all([
        root.tslxc('snapshot', '-r', 'target', 'web'),
        sleep(round * 15).then(() => root.tslxc('start', 'web')),
      ])
      expect(started.code).toBe(0)
      expect((await inside(root, 'web', 'cat /root/file')).trim()).toBe(restored.code === 0 ? 'new' : 'old')
      if (restored.code !== 0) expect(restored.stderr).toContain("cannot restore 'web': it is running")
      await root.ok('stop', '-k', 'web')
      await root.ok('copy', 'web', 'victim')
      const [taken, destroyed] = await Promise.all([
        root.tslxc('snapshot', 'victim'),
        sleep(round * 10).then(() => root.tslxc('destroy', '-s', 'victim')),
      ])
      expect([destroyed.code, existsSync(join(root.lxcpath, 'victim'))]).toEqual([0, false])
      if (taken.code !== 0) expect(taken.stderr).toContain('Container is not defined')
    }
    const both = await Promise.all([root.tslxc('snapshot', 'web', 'same'), root.tslxc('snapshot', 'web', 'same')])
    expect(both.map(({ code }) => code).sort()).toEqual([0, 1])
  })
})

describe('what can go wrong', { timeout: 120_000 }, () => {
  const root = makeRoot()
  beforeAll(async () => {
    for (const name of ['web', 'db', 'empty']) await root.createBusybox(name)
    await root.ok('snapshot', 'web', 'before')
  })
  afterAll(() => root.remove())

  it.each([
    [['web', 'before'], "cannot take snapshot 'before' of 'web': it already exists"],
    [['web', 'ALL'], "cannot use the snapshot name 'ALL'"],
    [['web', '../x'], "cannot use the snapshot name '../x'"],
    [['-r', 'befor', 'web'], "did you mean 'before'?"],
    [['-r', '../../etc', 'web'], 'there is no such snapshot'],
    [['-r', 'x', 'empty'], 'it has no snapshots'],
    [['-d', 'x', 'web'], 'there is no such snapshot'],
    [['-r', 'before', 'web', 'db'], 'Container already exists'],
    [['wab'], "did you mean 'web'?"],
    [['x*'], 'no container has such a name'],
    [['-L', '-r', 'before', 'web'], 'cannot do several things at once'],
    [['web', '--expires', 'soon'], "cannot use --expires 'soon'"],
    [['web', '-c', '/nonexistent'], "cannot read '/nonexistent'"],
    [[], 'no container name was given'],
  ])('snapshot %j says why not', async (args, text) => {
    const { code, stdout, stderr } = await root.tslxc('snapshot', ...args)
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain(text)
    expect(await snapshotsOf(root, 'web')).toEqual(['before'])
  })

  it('an address that is another one by now', async () => {
    const net = '[{ type: veth, link: snapbr0, ipv4: { address: 10.92.0.5/24 } }]'
    await root.ok('config', 'set', 'web', 'net', net)
    await root.ok('compile', 'web')
    await root.ok('snapshot', 'web', 'addressed')
    await root.ok('config', 'set', 'web', 'net', '[{ type: empty }]')
    await root.ok('compile', 'web')
    await root.ok('config', 'set', 'db', 'net', net)
    await root.ok('compile', 'db')
    const refused = await root.tslxc('snapshot', '-r', 'addressed', 'web')
    expect(refused.code).toBe(1)
    expect(refused.stderr).toContain("its address 10.92.0.5 belongs to 'db' by now")
    await root.ok('snapshot', '-r', 'addressed', '--keep-config', 'web')
    await root.ok('snapshot', '-d', 'addressed', 'web')
  })

  it('one of many holds up no other, and the exit code tells', async () => {
    await root.ok('config', 'set', 'empty', 'rootfs.path', join(root.path, 'nowhere')).catch(() => undefined)
    writeFileSync(join(root.lxcpath, 'empty/config.yaml'), 'uts: [\n')
    const { code, stdout, stderr } = await root.tslxc('snapshot', '--all', '--json')
    expect(code).toBe(1)
    const results = JSON.parse(stdout) as { name: string; error?: unknown; snapshot?: string }[]
    expect(results.map(({ name, error }) => [name, error === undefined])).toEqual([
      ['db', true],
      ['empty', false],
      ['web', true],
    ])
    expect(stderr).toContain('empty/config.yaml')
    expect(await snapshotsOf(root, 'db')).toEqual(['snap0'])
    expect((await root.tslxc('snapshot', '-d', 'snap0', '{db,web}')).code).toBe(0)
  })

  it('a full disk: it says so, nothing is left, nothing is lost', async () => {
    const small = makeRoot()
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=12M,mode=0700', 'none', small.path])
    const tslxc = (...args: string[]) => small.tslxcWith({ env: { TSLXC_CACHE: cacheOf(root) } }, ...args)
    try {
      writeFileSync(join(small.path, 'no-network.yaml'), 'net: [{ type: empty }]\n')
      expect(await tslxc('create', 'web', '-t', 'busybox', '-f', join(small.path, 'no-network.yaml'))).toMatchObject({ code: 0 })
      expect(await tslxc('snapshot', 'web')).toMatchObject({ code: 0 })
      const file = join(small.lxcpath, 'web/rootfs/root/file')
      writeFileSync(file, 'precious')
      await run(['sh', '-c', `cat /dev/zero > ${small.path}/filler`])
      for (const args of [
        ['snapshot', 'web'],
        ['snapshot', '-r', 'snap0', 'web'],
      ]) {
        const { code, stderr } = await tslxc(...args)
        expect(code).toBe(1)
        expect(stderr).toMatch(/no space left/i)
        expect(readFileSync(file, 'utf8')).toBe('precious')
        expect(readdirSync(join(small.lxcpath, 'web/snaps'))).toEqual(['snap0'])
        expect(readdirSync(join(small.lxcpath, 'web')).filter((entry) => /pending|new/.test(entry))).toEqual([])
      }
      expect(await tslxc('snapshot', '-d', 'ALL', 'web')).toMatchObject({ code: 0 })
      rmSync(join(small.path, 'filler'))
      expect(await tslxc('snapshot', 'web')).toMatchObject({ code: 0 })
    } finally {
      execFileSync('umount', [small.path])
      await small.remove()
    }
  })
})

describe('schedules', { timeout: 60_000 }, () => {
  const root = makeRoot()
  const scheduleFile = join(root.lxcpath, 'web/snaps/.schedule.json')
  const setLastRun = (time: Date) => writeFileSync(scheduleFile, JSON.stringify({ version: 1, lastRun: time.toISOString() }))
  beforeAll(async () => {
    for (const name of ['web', 'aside', 'broken']) await root.createBusybox(name)
    await root.ok('config', 'set', 'web', 'snapshots', '{ schedule: "*/10 * * * *", keep: { hourly: 1 } }')
  })
  afterAll(() => root.remove())

  it('take one when its time has passed, once, and leave those made by hand alone', async () => {
    await root.ok('snapshot', 'web', 'by-hand')
    await root.ok('snapshot', '--due')
    expect(await snapshotsOf(root, 'web')).toEqual(['by-hand'])
    setLastRun(new Date(Date.now() - 86_400_000))
    const [first] = JSON.parse(await root.ok('snapshot', '--due', '--json')) as { name: string; taken: string }[]
    expect(first).toMatchObject({ name: 'web', taken: expect.stringMatching(/^auto-\d{8}-\d{6}$/) })
    expect(JSON.parse(await root.ok('snapshot', '--due', '--json'))).toEqual([])
    expect(await snapshotsOf(root, 'web')).toEqual(['by-hand', first?.taken])
    await sleep(1000) // names have seconds
    setLastRun(new Date(Date.now() - 86_400_000))
    const [second] = JSON.parse(await root.ok('snapshot', '--due', '--json')) as { taken: string; removed: string[] }[]
    // both are of one hour, but at the turn of it
    expect(second?.removed.length === 0 || second?.removed[0] === first?.taken).toBe(true)
    expect(await snapshotsOf(root, 'web')).toContain('by-hand')
    expect(await snapshotsOf(root, 'aside')).toEqual([])
  })

  it('remove what has expired, of any container', async () => {
    await root.ok('snapshot', 'aside', 'short', '--expires', '10ms')
    await root.ok('snapshot', 'aside', 'long', '--expires', '7d')
    await root.ok('snapshot', '--due')
    expect(await snapshotsOf(root, 'aside')).toEqual(['long'])
  })

  it('go on past one that fails, and tell by the exit code', async () => {
    writeFileSync(join(root.lxcpath, 'broken/config.yaml'), 'snapshots: { schedule: often }\n')
    setLastRun(new Date(Date.now() - 86_400_000))
    const { code, stderr, stdout } = await root.tslxc('snapshot', '--due', '--json')
    expect(code).toBe(1)
    expect(stderr).toContain("'often' is no schedule")
    expect(JSON.parse(stdout)).toContainEqual(expect.objectContaining({ name: 'web', taken: expect.any(String) }))
  })
})

describe("beside LXC's own", { timeout: 60_000 }, () => {
  const root = makeRoot()
  const lxcpath = join(root.path, 'lxc')
  beforeAll(async () => {
    await root.createBusybox('web')
    mkdirSync(join(lxcpath, 'web/rootfs/etc'), { recursive: true })
    writeFileSync(join(lxcpath, 'web/config'), `lxc.uts.name = web\nlxc.rootfs.path = dir:${lxcpath}/web/rootfs\n`)
    writeFileSync(join(root.path, 'comment'), 'two\nlines, the last without an end')
  })
  afterAll(() => root.remove())

  it('prints the same bytes and exits alike', async (context) => {
    context.skip((await run(['which', 'lxc-snapshot'])).code !== 0, 'lxc is not installed')
    const comment = join(root.path, 'comment')
    for (const args of [
      ['-L'],
      [],
      ['-c', comment],
      ['-L'],
      ['-L', '-C'],
      ['-LC'],
      ['-r', 'snap9'],
      ['-d', 'snap9'],
      ['-r', 'snap0'],
      ['-d', 'snap0'],
      [],
      ['-L'],
      ['-d', 'ALL'],
      ['-L'],
    ]) {
      const theirs = await run(['lxc-snapshot', '-P', lxcpath, '-n', 'web', ...args])
      const ours = await root.tslxc('snapshot', '-n', 'web', ...args)
      const plain = (text: string) =>
        text
          .replaceAll(root.lxcpath, 'PATH')
          .replaceAll(lxcpath, 'PATH')
          .replace(/\d\d:\d\d:\d\d\n/g, 'TIME\n')
      const inOrder = (text: string) => plain(text).split('\n').sort()
      // LXC lists in the directory's order.
      expect({ args, code: ours.code, lines: inOrder(ours.stdout) }).toEqual({ args, code: theirs.code, lines: inOrder(theirs.stdout) })
    }
    expect(await runOk(['ls', lxcpath])).toBe('web\n')
  })
})
