// Root file systems that are no directory of the host: overlays, image files. Privileged, and through a user namespace's id map.
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { MountSource } from '../../src/platform/mount-source.ts'
import { withDetachedMount } from '../../src/platform/mounts.ts'
import type { Spec } from '../../src/runtime/spec.ts'
import { type Box, makeBox, makeRootfs, UNPRIVILEGED } from '../helpers/box.ts'
import { expectNoLeaks } from '../helpers/leaks.ts'
import { checkout } from '../helpers/program.ts'
import { makeRoot, type TestRoot } from '../helpers/root.ts'

expectNoLeaks()

const paths = { installRoot: checkout }
const kinds = [
  ['privileged', ''],
  ['unprivileged', UNPRIVILEGED],
] as const
// cap_net_raw, permitted and effective: capability.h, vfs_cap_data revision 2.
const CAPABILITY = '0100000200200000000000000000000000000000'
let root: TestRoot
const boxes: Box[] = []
const places: string[] = []

beforeAll(() => {
  root = makeRoot()
})
afterAll(async () => {
  await root.remove()
  for (const place of places) rmSync(place, { recursive: true })
})
afterEach(async () => {
  for (const box of boxes.splice(0)) await box.kill()
})

function newBox(config: string): Box {
  const made = makeBox(root, `source${Math.random().toString(36).slice(2, 8)}`, `${config}net: [{ type: empty }]\n`)
  boxes.push(made)
  return made
}

/** A container whose plan says another source for the root file system: how the drivers come to theirs, their own tests show. */
async function boxFrom(config: string, sourceOf: (box: Box) => MountSource | Promise<MountSource>): Promise<Box> {
  const box = newBox(config)
  const source = await sourceOf(box)
  await root.ok('compile', box.name)
  const file = join(box.dir, 'spec.json')
  const spec = JSON.parse(readFileSync(file, 'utf8')) as Spec
  const [rootfs, ...others] = spec.mounts
  writeFileSync(file, `${JSON.stringify({ ...spec, mounts: [{ ...rootfs, source }, ...others] })}\n`)
  return box
}

const xattr = (path: string, name: string): string | undefined => {
  const script = 'import os,sys\ntry: print(os.getxattr(sys.argv[1], sys.argv[2]).hex())\nexcept OSError: print()'
  return execFileSync('python3', ['-c', script, path, name], { encoding: 'utf8' }).trim() || undefined
}
const setXattr = (path: string, name: string, hex: string): void => {
  execFileSync('python3', ['-c', 'import os,sys; os.setxattr(sys.argv[1], sys.argv[2], bytes.fromhex(sys.argv[3]))', path, name, hex])
}

const layersOf = (box: Box) => ({ upper: join(box.dir, 'overlay/delta'), work: join(box.dir, 'overlay/work') })

/** The box's root file system below, with `count` - 1 small layers on it. */
function overlayOf(box: Box, count: number): MountSource {
  const lowers = Array.from({ length: count - 1 }, (_, index) => join(box.dir, `a-layer-with-a-name-that-is-not-short/${index}`))
  for (const [index, lower] of lowers.entries()) {
    mkdirSync(lower, { recursive: true })
    writeFileSync(join(lower, 'top'), `${index}`)
    writeFileSync(join(lower, `layer${index}`), '')
  }
  mkdirSync(layersOf(box).upper, { recursive: true })
  prepare(box.rootfs)
  return { kind: 'overlay', lowers: [...lowers, box.rootfs], ...layersOf(box) }
}

function prepare(rootfs: string): void {
  mkdirSync(join(rootfs, 'full/deep'), { recursive: true })
  mkdirSync(join(rootfs, 'moved'))
  writeFileSync(join(rootfs, 'full/old'), 'old')
  writeFileSync(join(rootfs, 'moved/inside'), 'inside')
  writeFileSync(join(rootfs, 'gone'), 'gone')
  writeFileSync(join(rootfs, 'owned'), 'owned')
  chownSync(join(rootfs, 'owned'), 12, 34)
  writeFileSync(join(rootfs, 'able'), 'able')
  setXattr(join(rootfs, 'able'), 'security.capability', CAPABILITY)
}

const CHANGE = `rm /gone; rm -r /full; mkdir /full; touch /full/new; touch /made; chown 7:8 /made; echo more >> /owned
  touch /able; chmod 700 /etc; /bin/busybox mv /moved /moved2; /bin/busybox ln -s /made /link; echo x > /bin/suid; chmod 4755 /bin/suid`
const LOOK = `ls /full; test ! -e /gone && echo gone; stat -c '%u:%g' /made /owned /able /full; cat /owned /moved2/inside; test ! -e /moved && echo moved
  stat -c %a /etc /bin/suid; readlink /link`
const SEEN = ['new', 'gone', '7:8', '12:34', '0:0', '0:0', 'ownedmore', 'insidemoved', '700', '4755', '/made']
const lines = (text: string): string[] => text.split('\n')

describe.each(kinds)('an overlay, %s', (_, idmap) => {
  it.each([1, 2, 30, 40])('of %i lower layers keeps what the guest does, over restarts', async (count) => {
    const box = await boxFrom(idmap, (made) => overlayOf(made, count))
    await box.start()
    if (count > 1) expect(await box.sh('cat /top')).toBe('0')
    expect((await box.sh('ls /')).split('\n').filter((name) => name.startsWith('layer'))).toHaveLength(count - 1)
    await box.sh(CHANGE)
    expect(lines(await box.sh(LOOK))).toEqual(SEEN)
    await box.kill()
    await box.start()
    expect(lines(await box.sh(LOOK))).toEqual(SEEN)
  })

  it('has unshifted ids, whiteouts, opaque directories and capabilities on the disk', async () => {
    const box = await boxFrom(idmap, (made) => overlayOf(made, 2))
    await box.start()
    await box.sh(CHANGE)
    await box.kill()
    const { upper } = layersOf(box)
    const owner = (name: string): string => `${lstatSync(join(upper, name)).uid}:${lstatSync(join(upper, name)).gid}`
    expect(['made', 'owned', 'full/new', 'able', 'link'].map(owner)).toEqual(['7:8', '12:34', '0:0', '0:0', '0:0'])
    expect(lstatSync(join(upper, 'gone'))).toMatchObject({ rdev: 0 })
    expect(lstatSync(join(upper, 'gone')).isCharacterDevice()).toBe(true)
    expect(xattr(join(upper, 'full'), 'trusted.overlay.opaque')).toBe(Buffer.from('y').toString('hex'))
    expect(xattr(join(upper, 'moved2'), 'trusted.overlay.redirect')).toBe(Buffer.from('moved').toString('hex'))
    const able = xattr(join(upper, 'able'), 'security.capability') ?? ''
    // Revision 3 with root 0 says the same as revision 2.
    expect([CAPABILITY, `01000003${CAPABILITY.slice(8)}00000000`]).toContain(able)
    // The layer below has not changed.
    expect(readdirSync(join(box.rootfs, 'full')).sort()).toEqual(['deep', 'old'])
    expect(readFileSync(join(box.rootfs, 'owned'), 'utf8')).toBe('owned')
  })

  it('is writable, and shows a guest nothing of where it stands on the host', async () => {
    const box = await boxFrom(idmap, (made) => overlayOf(made, 2))
    await box.start()
    expect(await box.sh('grep " / " /proc/mounts')).toMatch(/^overlay \/ overlay rw,/)
    expect(await box.sh('grep " / " /proc/mounts /proc/self/mountinfo')).not.toContain(root.path)
  })

  it('names a layer that is not there', async () => {
    const box = await boxFrom(idmap, (made) => overlayOf(made, 2))
    renameSync(box.rootfs, `${box.rootfs}.away`)
    const { code, stderr } = await root.tslxc('start', box.name)
    expect(code).toBe(1)
    expect(stderr).toContain(`'${box.rootfs}'`)
  })
})

async function imageOf(box: Box, type: 'ext4' | 'xfs' | 'btrfs'): Promise<MountSource> {
  const file = join(box.dir, 'rootdev')
  writeFileSync(file, '', { mode: 0o600 })
  truncateSync(file, 320 * 1024 * 1024)
  execFileSync(`mkfs.${type}`, [type === 'ext4' ? '-Fq' : '-q', file], { stdio: 'pipe' })
  const source: MountSource = { kind: 'loop', file, type: 'auto' }
  await withDetachedMount(paths, source, async (top) => {
    chmodSync(top, 0o755)
    makeRootfs(top)
    prepare(top)
  })
  rmSync(box.rootfs, { recursive: true })
  mkdirSync(box.rootfs)
  return source
}

const loopsOf = (file: string): string[] =>
  readdirSync('/sys/block').filter((name) => {
    const backing = join('/sys/block', name, 'loop/backing_file')
    return existsSync(backing) && readFileSync(backing, 'utf8').trim() === file
  })
async function expectNoLoop(file: string): Promise<void> {
  for (let round = 0; round < 100 && loopsOf(file).length > 0; round++) await new Promise((resolve) => setTimeout(resolve, 20))
  expect(loopsOf(file)).toEqual([])
}

describe.each(kinds)('an image file, %s', (_, idmap) => {
  it.each(['ext4', 'xfs', 'btrfs'] as const)('with %s is the root file system, and no loop device stays', async (type) => {
    const box = await boxFrom(idmap, (made) => imageOf(made, type))
    const file = join(box.dir, 'rootdev')
    await box.start()
    expect(loopsOf(file)).toHaveLength(1)
    expect(await box.sh('grep " / " /proc/mounts')).toContain(` / ${type} rw,`)
    await box.sh(CHANGE)
    await box.kill()
    await expectNoLoop(file)
    await box.start()
    expect(lines(await box.sh(LOOK))).toEqual(SEEN)
    await box.kill()
    await withDetachedMount(paths, { kind: 'loop', file, type }, async (top) => {
      expect([statSync(join(top, 'made')).uid, statSync(join(top, 'owned')).uid]).toEqual([7, 12])
      expect(xattr(join(top, 'able'), 'security.capability')).toBe(CAPABILITY)
    })
    await expectNoLoop(file)
  })

  it('that is missing, or empty, is named with what to do', async () => {
    const box = await boxFrom(idmap, async (made) => imageOf(made, 'ext4'))
    const file = join(box.dir, 'rootdev')
    rmSync(file)
    expect((await root.tslxc('start', box.name)).stderr).toBe(
      `tslxc start: cannot start '${box.name}': cannot mount ${file} on /: cannot open the image '${file}': No such file or directory\n  hint: truncate -s 10G ${file} && mkfs.ext4 ${file}\n`,
    )
    writeFileSync(file, Buffer.alloc(1024 * 1024))
    expect((await root.tslxc('start', box.name)).stderr).toContain(
      `cannot mount '${file}': there is no ext4, xfs or btrfs file system on it\n  hint: blkid -p ${file}\n`,
    )
    await expectNoLoop(file)
  })
})

/** What a person wrote into rootfs.path, and nothing else: no record of a driver. */
function boxWith(config: string, pathOf: (box: Box) => string): Box {
  const box = newBox(config)
  const path = pathOf(box)
  writeFileSync(join(box.dir, 'config.yaml'), `rootfs: { path: "${path}" }\n${config}net: [{ type: empty }]\n`, { mode: 0o600 })
  return box
}

describe.each(kinds)('rootfs.path by hand, %s', (_, idmap) => {
  it('takes an overlay in the words of LXC', async () => {
    const box = boxWith(idmap, (made) => {
      overlayOf(made, 2)
      return `overlayfs:${join(made.dir, 'a-layer-with-a-name-that-is-not-short/0')}:${made.rootfs}:${layersOf(made).upper}`
    })
    await box.start()
    await box.sh(CHANGE)
    await box.kill()
    await box.start()
    expect(lines(await box.sh(LOOK))).toEqual(SEEN)
    expect(await box.sh('cat /top')).toBe('0')
    expect(await box.sh('/bin/busybox df / | tail -n 1')).toMatch(/^overlay /)
  })

  it('takes an image, which others must not read', async () => {
    const box = boxWith(idmap, (made) => `loop:${join(made.dir, 'rootdev')}`)
    await imageOf(box, 'ext4')
    await box.start()
    expect(await box.sh('cat /moved/inside')).toBe('inside')
    await box.kill()
    const place = mkdtempSync('/var/tmp/tslxc-test-images-')
    places.push(place)
    chmodSync(place, 0o755)
    const shared = join(place, 'web.img')
    renameSync(join(box.dir, 'rootdev'), shared)
    chmodSync(shared, 0o644)
    writeFileSync(join(box.dir, 'config.yaml'), `rootfs: { path: "loop:${shared}" }\n${idmap}net: [{ type: empty }]\n`, { mode: 0o600 })
    const refused = await root.tslxc('start', box.name)
    expect(refused.stderr).toContain(`cannot use '${shared}' as root file system: every user of the host can read it`)
    expect(refused.stderr).toContain(`chmod 600 ${shared}`)
    chmodSync(shared, 0o600)
    await box.start()
  })

  it('says where it is wrong', async () => {
    const box = boxWith(idmap, () => 'loop:images/web.img')
    const { code, stderr } = await root.tslxc('start', box.name)
    expect(code).toBe(1)
    expect(stderr).toContain(`${join(box.dir, 'config.yaml')}:1:17: cannot use the image 'images/web.img': its path is not absolute`)
  })
})
