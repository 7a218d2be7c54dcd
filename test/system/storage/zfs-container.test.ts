/** Containers on zfs-fuse, whose mounts can't translate ids: the owners of an unprivileged one are shifted on the disk. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { which } from '../../../src/platform/exec.ts'
import type { ZfsVolume } from '../../../src/storage/zfs.ts'
import { expectNoLeaks } from '../../helpers/leaks.ts'
import { needs } from '../../helpers/needs.ts'
import { makeRoot, type TestRoot } from '../../helpers/root.ts'
import { makeZfsPool, type ZfsPool } from '../../helpers/zfs-pool.ts'

const missing =
  (which('zfs-fuse') === undefined && 'needs zfs-fuse') ||
  (existsSync('/sys/module/zfs') && 'the module zfs is loaded: zfs-fuse would not be asked')

let root: TestRoot
let pool: ZfsPool
const recorded = (name: string, ...below: string[]) =>
  (JSON.parse(readFileSync(join(root.lxcpath, name, ...below, 'volume.json'), 'utf8')) as { volume: ZfsVolume }).volume
const inside = (name: string, script: string) => root.ok('attach', name, '--', 'sh', '-c', script)
const firstId = async (name: string) => Number(/^b 0 (\d+) /.exec(await root.ok('config', 'get', name, 'idmap'))?.[1])

expectNoLeaks()
describe('containers on zfs-fuse', () => {
  beforeAll(async () => {
    if (missing !== false) return
    root = makeRoot({ ownCache: true })
    pool = await makeZfsPool(512)
    mkdirSync(root.lxcpath, { recursive: true, mode: 0o700 })
  })
  beforeEach((context) => needs(context, missing === false, String(missing)))
  afterAll(async () => {
    if (missing !== false) return
    for (const name of readdirSync(root.lxcpath).filter((entry) => !entry.startsWith('.'))) await root.tslxc('destroy', '-f', name)
    await root.tslxc('image', 'rm', '--all')
    const left = pool.datasets()
    await pool.remove()
    await root.remove()
    expect(left).toEqual([pool.name, `${pool.name}/lxc`])
  })

  it('creates an unprivileged one, which owns its files and writes them', async () => {
    await root.createBusybox('web', '-B', 'zfs', '--zfsroot', `${pool.name}/lxc`)
    const volume = recorded('web')
    expect(volume).toMatchObject({ driver: 'zfs', path: `${pool.name}/lxc/web`, fuse: true, shift: await firstId('web') })
    await root.ok('start', 'web')
    expect(await inside('web', 'stat -c %u:%g / /bin /etc/hostname')).toBe('0:0\n0:0\n0:0\n')
    expect(await inside('web', 'awk "{print \\$2}" /proc/self/uid_map')).toBe(`${volume.shift}\n`)
    expect(await inside('web', 'echo first > /root/file && stat -c %u /root/file')).toBe('0\n')
    await root.ok('stop', '-k', 'web')
    expect(readFileSync(join(volume.mountpoint ?? '', 'root/file'), 'utf8')).toBe('first\n')
  })

  it('clones it to other ids, sharing blocks', async () => {
    await root.ok('copy', '-s', 'web', 'db')
    const [web, db] = [recorded('web'), recorded('db')]
    expect(db.shift).toBe(await firstId('db'))
    expect(db.shift).not.toBe(web.shift)
    expect(pool.zfs('get', '-H', '-o', 'value', 'origin', db.path)).toContain(`${web.path}@`)
    await root.ok('start', 'db')
    expect(await inside('db', 'stat -c %u / /root/file && echo second > /root/file && cat /root/file')).toBe('0\n0\nsecond\n')
    await root.ok('stop', '-k', 'db')
  })

  it('puts a snapshot back', async () => {
    await root.ok('snapshot', 'web')
    await root.ok('start', 'web')
    await inside('web', 'echo changed > /root/file')
    await root.ok('stop', '-k', 'web')
    await root.ok('snapshot', '-r', 'snap0', 'web')
    expect(recorded('web', 'snaps', 'snap0').shift).toBe(recorded('web').shift)
    await root.ok('start', 'web')
    expect(await inside('web', 'cat /root/file; stat -c %u /root/file')).toBe('first\n0\n')
    await root.ok('stop', '-k', 'web')
  })

  it('copies it to a directory, with owners that mounts translate', async () => {
    await root.ok('copy', '-B', 'dir', 'web', 'plain')
    const plain = recorded('plain')
    expect(plain).toMatchObject({ driver: 'dir' })
    expect(plain.shift).toBeUndefined()
    await root.ok('start', 'plain')
    expect(await inside('plain', 'cat /root/file; stat -c %u / /root/file /bin')).toBe('first\n0\n0\n0\n')
    await root.ok('stop', '-k', 'plain')
    await root.ok('destroy', 'plain')
  })

  it('refuses ids that its files do not have', async () => {
    const file = join(root.lxcpath, 'web/config.yaml')
    const text = readFileSync(file, 'utf8')
    const { shift = 0 } = recorded('web')
    writeFileSync(file, text.replace(`b 0 ${shift} `, `b 0 ${shift + 65_536 * 100} `))
    const { code, stderr } = await root.tslxc('start', 'web')
    expect(code).toBe(1)
    expect(stderr).toContain(`shifted by ${shift} on its disk`)
    writeFileSync(file, text)
  })

  it('destroys them and all that stood for them', async () => {
    // What was live before the restore is still there for the clone, under a name that is nobody's.
    await root.ok('destroy', '-s', 'web')
    expect(pool.datasets().filter((name) => /lxc\/(web|db)/.test(name))).toEqual([`${pool.name}/lxc/db`])
    await root.ok('destroy', 'db')
    expect(readdirSync(root.lxcpath).filter((name) => !name.startsWith('.'))).toEqual([])
    await root.ok('image', 'rm', '--all')
    expect(pool.datasets()).toEqual([pool.name, `${pool.name}/lxc`])
  })
})
