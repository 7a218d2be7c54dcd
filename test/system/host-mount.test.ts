/** mount and umount: each storage seen from the host, what is refused meanwhile, who keeps it busy, and what a crash or a reboot leaves. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type BtrfsPool, makeBtrfsPool } from '../helpers/btrfs-pool.ts'
import { expectNoLeaks } from '../helpers/leaks.ts'
import { makeRoot, type TestRoot } from '../helpers/root.ts'

interface Mounted {
  readonly path: string
  readonly readOnly: boolean
}

expectNoLeaks()

const mountLines = (path: string) =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.split(' ')[4] === path)

describe.each(['dir', 'btrfs', 'overlay', 'loop'] as const)('on %s', { timeout: 240_000 }, (driver) => {
  let root: TestRoot
  let pool: BtrfsPool | undefined
  let lxcpath: string
  const tslxc = (verb: string, ...args: string[]) => root.tslxc(verb, '-P', lxcpath, ...args)
  const ok = (verb: string, ...args: string[]) => root.ok(verb, '-P', lxcpath, ...args)
  const mount = async (...args: string[]) => JSON.parse(await ok('mount', '--json', ...args)) as Mounted
  const refused = async (verb: string, ...args: string[]) => {
    const { code, stderr } = await tslxc(verb, ...args)
    expect(code).not.toBe(0)
    return stderr
  }
  const record = () => join(lxcpath, 'web/host-mounts.json')

  beforeAll(async () => {
    root = makeRoot({ ownCache: true })
    pool = driver === 'btrfs' ? makeBtrfsPool() : undefined
    lxcpath = pool === undefined ? root.lxcpath : join(pool.dir, 'lxc')
    mkdirSync(lxcpath, { recursive: true, mode: 0o700 })
    const config = join(root.path, 'no-network.yaml')
    writeFileSync(config, 'net: [{ type: empty }]\n')
    const size = driver === 'loop' ? ['--fssize', '64M'] : []
    await ok('create', 'web', '-t', 'busybox', '-f', config, '-B', driver, ...size)
  })
  afterEach(async () => {
    await tslxc('umount', 'web')
  })
  afterAll(async () => {
    await tslxc('umount', '--lazy', 'web')
    await tslxc('destroy', '-f', '-s', 'web')
    await tslxc('image', 'rm', '--all')
    await root.remove()
    pool?.remove()
  })

  it('is seen and written to, without setuid; umount gives the directory back, and the guest sees it', async () => {
    const { path, readOnly } = await mount('web')
    expect({ path, readOnly }).toEqual({ path: join(lxcpath, 'web/mnt'), readOnly: false })
    expect(lstatSync(join(path, 'bin/busybox')).size).toBeGreaterThan(1000)
    expect(mountLines(path)[0]).toMatch(/ rw,nosuid,nodev/)
    writeFileSync(join(path, 'root/from-host'), driver)
    expect(await ok('umount', 'web')).toBe(`unmounted ${path} (web)\n`)
    expect([existsSync(path), existsSync(record())]).toEqual([false, false])
    await ok('start', 'web')
    expect(await ok('attach', 'web', '--', 'cat', '/root/from-host')).toBe(driver)
    expect(await refused('mount', 'web')).toMatch(/cannot mount 'web': it is running\n.*tslxc attach web/s)
    await ok('stop', '-k', 'web')
  })

  it('refuses what would change it meanwhile, and says where it is', async () => {
    const at = join(root.path, 'look')
    await mount('web', at)
    for (const [verb, ...words] of [['start'], ['destroy'], ['copy', 'web2'], ['snapshot']] as const) {
      expect(await refused(verb ?? '', 'web', ...words), verb).toMatch(`'web': its root file system is mounted at '${at}'`)
    }
    // ls compiles plans too, and must not make one that starts.
    expect(await ok('ls', '-1')).toBe('web\n')
    expect(await refused('start', 'web')).toMatch(/is mounted at/)
    expect(await refused('mount', 'web')).toMatch(`cannot mount 'web': it is mounted at '${at}' already`)
    await ok('umount', at)
    await ok('start', 'web')
    await ok('stop', '-k', 'web')
  })

  it('mounts read-only, and a snapshot of a running container', async () => {
    const { path } = await mount('-r', 'web')
    expect(() => writeFileSync(join(path, 'x'), '')).toThrow(/EROFS/)
    const started = await tslxc('start', 'web')
    // A directory can be read in two places; a device can't be mounted twice.
    expect(started.code === 0).toBe(driver === 'dir' || driver === 'btrfs')
    await tslxc('stop', '-k', 'web')
    await ok('umount', 'web')
    await ok('snapshot', 'web', 'then')
    await ok('start', 'web')
    await ok('attach', 'web', '--', 'touch', '/root/later')
    const then = await mount('web', '--snapshot', 'then')
    expect(readdirSync(join(then.path, 'root'))).not.toContain('later')
    expect(() => writeFileSync(join(then.path, 'x'), '')).toThrow(/EROFS/)
    expect(await refused('snapshot', '-d', 'then', 'web')).toMatch(`its snapshot 'then' is mounted at '${then.path}'`)
    await ok('umount', then.path)
    await ok('snapshot', '-d', 'then', 'web')
    await ok('stop', '-k', 'web')
  })

  it('names who keeps it busy; --lazy takes it out of sight', async () => {
    const { path } = await mount('web')
    const child = spawn('sleep', ['60'], { cwd: join(path, 'root'), stdio: 'ignore' })
    await once(child, 'spawn')
    expect(await refused('umount', 'web')).toMatch(`cannot unmount '${path}': sleep (pid ${child.pid}) uses it`)
    expect(existsSync(record())).toBe(true)
    await ok('umount', '--lazy', 'web')
    expect([mountLines(path), existsSync(path), existsSync(record())]).toEqual([[], false, false])
    child.kill()
    await once(child, 'exit')
  })

  it('two at once: one mounts, the other is told where', async () => {
    const results = await Promise.all([tslxc('mount', 'web', join(root.path, 'a')), tslxc('mount', 'web', join(root.path, 'b'))])
    expect(results.map(({ code }) => code).sort()).toEqual([0, 1])
    expect(results.find(({ code }) => code === 1)?.stderr).toMatch(/it is mounted at '.*[ab]' already/)
  })
})

describe('what is left', { timeout: 120_000 }, () => {
  let root: TestRoot
  const record = () => join(root.lxcpath, 'web/host-mounts.json')
  beforeAll(async () => {
    root = makeRoot({ ownCache: true })
    await root.createBusybox('web')
  })
  afterAll(async () => {
    await root.tslxc('umount', '--lazy', 'web')
    await root.remove()
  })

  it('a mount that somebody else took away, or of an earlier boot, is in no one’s way', async () => {
    const { path } = JSON.parse(await root.ok('mount', '--json', 'web')) as Mounted
    const text = readFileSync(record(), 'utf8')
    execFileSync('umount', [path])
    await root.ok('start', 'web')
    expect(existsSync(record())).toBe(false)
    await root.ok('stop', '-k', 'web')
    await root.ok('mount', 'web')
    writeFileSync(record(), readFileSync(record(), 'utf8').replace(/"bootId": "[^"]*"/, '"bootId": "another"'))
    execFileSync('umount', [path])
    await root.ok('start', 'web')
    await root.ok('stop', '-k', 'web')
    // Written, and then the command died: nothing is mounted.
    writeFileSync(record(), text)
    expect((await root.tslxc('umount', 'web')).stderr).toMatch(/nothing of a container is mounted there/)
    await root.ok('mount', 'web', path)
    await root.ok('umount', path)
  })

  it('a mount in another mount namespace counts as long as somebody is there', async () => {
    const child = spawn('unshare', ['-m', '--propagation', 'private', 'sleep', '60'], { stdio: 'ignore' })
    await once(child, 'spawn')
    await expect.poll(() => readFileSync(`/proc/${child.pid}/comm`, 'utf8').trim()).toBe('sleep')
    const there = ['nsenter', '-t', String(child.pid), '-m', 'env', `TSLXC_ROOT=${root.path}`]
    const { program } = await import('../helpers/program.ts')
    execFileSync(there[0] ?? '', [...there.slice(1), program, 'mount', 'web'])
    expect((await root.tslxc('start', 'web')).stderr).toMatch(/is mounted at/)
    expect((await root.tslxc('umount', 'web')).stderr).toMatch(`nsenter -t ${child.pid} -m tslxc umount web`)
    child.kill()
    await once(child, 'exit')
    await root.ok('start', 'web')
    await root.ok('stop', '-k', 'web')
  })

  it('refuses places that are none', async () => {
    const at = (name: string) => join(root.path, name)
    mkdirSync(at('full/x'), { recursive: true })
    writeFileSync(at('file'), '')
    symlinkSync(at('full/x'), at('link'))
    const cases: readonly (readonly [string, RegExp])[] = [
      [at('full'), /it is not empty/],
      [at('file'), /it is no directory/],
      [at('link'), /it is a symlink/],
      [at('no/such'), /no such/i],
      ['/', /it is not empty/],
      ['/proc', /something is mounted there/],
      [join(root.lxcpath, 'web/rootfs/mnt'), /it lies in what is mounted/],
    ]
    for (const [place, reason] of cases) {
      const { code, stderr } = await root.tslxc('mount', 'web', place)
      expect([code, stderr], place).toEqual([1, expect.stringMatching(reason)])
    }
    expect((await root.tslxc('mount', 'web', '--snapshot', 'none')).stderr).toMatch(/cannot mount snapshot 'none' of 'web'/)
    expect((await root.tslxc('mount', 'wob')).stderr).toMatch(/did you mean 'web'/)
    expect((await root.tslxc('umount', '/nowhere')).stderr).toMatch(/nothing of a container is mounted there/)
    expect(existsSync(record())).toBe(false)
  })
})
