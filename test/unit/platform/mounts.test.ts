import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { makeManifest } from '../../../src/image/manifest.ts'
import type { MountSource } from '../../../src/platform/mount-source.ts'
import { openDetachedMount, withDetachedMount } from '../../../src/platform/mounts.ts'
import { openRootfs } from '../../../src/platform/rootfs-dir.ts'
import { copyTree, removeTree, syncFileSystem } from '../../../src/platform/trees.ts'
import { helperFile, repositoryRoot, rootOnly } from '../../helpers/addon.ts'

const paths = { installRoot: repositoryRoot }
let dir = ''
beforeEach(() => {
  // Overlay's upper layers can't stand on another overlay, which /tmp may be.
  dir = mkdtempSync(join(existsSync('/var/tmp') ? '/var/tmp' : tmpdir(), 'tslxc-mounts-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const manifest = (tree: string): string =>
  execFileSync('python3', [helperFile('manifest.py'), tree], { encoding: 'utf8', maxBuffer: 64 << 20 })
const makeOddTree = (tree: string) => execFileSync('python3', [helperFile('oddtree.py'), tree])
/** Loop devices that show the file. */
const loopsOf = (file: string): readonly string[] =>
  readdirSync('/sys/block').filter((name) => {
    const backing = `/sys/block/${name}/loop/backing_file`
    return existsSync(backing) && readFileSync(backing, 'utf8').trim() === file
  })
async function eventually(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 10))
  expect(holds()).toBe(true)
}

function makeImage(type: 'ext4' | 'xfs' | 'btrfs'): Extract<MountSource, { kind: 'loop' }> {
  const file = join(dir, `${type}.img`)
  writeFileSync(file, '')
  truncateSync(file, 320 * 1024 * 1024)
  execFileSync(`mkfs.${type}`, [type === 'ext4' ? '-Fq' : '-q', file], { stdio: 'pipe' })
  return { kind: 'loop', file, type: 'auto' }
}

const BIND = (path: string): MountSource => ({ kind: 'bind', path, recursive: false })

describe.skipIf(rootOnly)('withDetachedMount', () => {
  it.each(['ext4', 'xfs', 'btrfs'] as const)('shows an image file with %s to every tool, and leaves nothing', async (type) => {
    const source = makeImage(type)
    const before = readFileSync('/proc/self/mountinfo', 'utf8')
    makeOddTree(join(dir, 'from'))
    await withDetachedMount(paths, source, async (root) => {
      expect(loopsOf(source.file)).toHaveLength(1)
      expect(readFileSync('/proc/self/mountinfo', 'utf8')).toBe(before)
      rmSync(join(root, 'lost+found'), { recursive: true, force: true })
      await copyTree(paths, join(dir, 'from'), root)
    })
    await eventually(() => loopsOf(source.file).length === 0)
    await withDetachedMount(
      paths,
      source,
      async (root) => {
        await copyTree(paths, root, join(dir, 'to'))
        execFileSync('tar', ['--xattrs', '-C', root, '-cf', join(dir, 'all.tar'), '.'], { stdio: 'pipe' })
        expect(await makeManifest(join(root, 'dir'))).toEqual(await makeManifest(join(dir, 'from/dir')))
        using guest = openRootfs(paths, root)
        expect(() => guest.write('/new', 'x')).toThrow(/Read-only file system/)
      },
      { readOnly: true },
    )
    expect(manifest(join(dir, 'to'))).toBe(manifest(join(dir, 'from')))
    expect(execFileSync('tar', ['-tf', join(dir, 'all.tar')], { encoding: 'utf8' })).toContain('./sparse')
    await withDetachedMount(paths, source, async (root) => {
      using guest = openRootfs(paths, root)
      guest.write('/etc/hostname', 'web\n')
      await removeTree(paths, join(root, 'dir'))
      await syncFileSystem(paths, root)
      expect(readdirSync(root)).not.toContain('dir')
      expect(readFileSync(join(root, 'etc/hostname'), 'utf8')).toBe('web\n')
    })
    await eventually(() => loopsOf(source.file).length === 0)
  })

  it('gives two mounts of one image one loop device, so that both see the same', async () => {
    const source = makeImage('ext4')
    using first = await openDetachedMount(paths, source)
    await Promise.all(
      [1, 2, 3].map(async (number) => {
        using other = await openDetachedMount(paths, source, { readOnly: number === 1 })
        writeFileSync(join(first.path, `${number}`), '')
        expect(existsSync(join(other.path, `${number}`))).toBe(true)
      }),
    )
    expect(loopsOf(source.file)).toHaveLength(1)
  })

  it('goes with a process that is killed', async () => {
    const source = makeImage('ext4')
    const child = spawn(process.execPath, [
      '-e',
      `require('${repositoryRoot}/dist/addon.node').mountDetached(${JSON.stringify(source)}, false).then((m) => { globalThis.m = m; console.log('up'); setTimeout(() => 0, 60000) })`,
    ])
    await new Promise((resolve) => child.stdout.once('data', resolve))
    expect(loopsOf(source.file)).toHaveLength(1)
    child.kill('SIGKILL')
    await new Promise((resolve) => child.once('exit', resolve))
    await eventually(() => loopsOf(source.file).length === 0)
  })

  it('stacks an overlay, keeps what is written in its upper layer, and reads one without', async () => {
    const lowers = Array.from({ length: 40 }, (_, index) => join(dir, `lower${index}`))
    for (const [index, lower] of lowers.entries()) {
      mkdirSync(lower)
      writeFileSync(join(lower, 'name'), `${index}`)
      writeFileSync(join(lower, `only${index}`), '')
    }
    mkdirSync(join(dir, 'delta'))
    const whole: MountSource = { kind: 'overlay', lowers, upper: join(dir, 'delta'), work: join(dir, 'work') }
    await withDetachedMount(paths, whole, async (root) => {
      expect(readFileSync(join(root, 'name'), 'utf8')).toBe('0')
      expect(readdirSync(root)).toHaveLength(41)
      rmSync(join(root, 'only39'))
      writeFileSync(join(root, 'name'), 'changed')
    })
    expect(readdirSync(join(dir, 'delta')).sort()).toEqual(['name', 'only39'])
    expect(statSync(join(dir, 'delta/only39')).isCharacterDevice()).toBe(true)
    for (const count of [1, 2, 40])
      await withDetachedMount(paths, { kind: 'overlay', lowers: lowers.slice(0, count) }, async (root) => {
        expect(readdirSync(root)).toHaveLength(count + 1)
        expect(() => writeFileSync(join(root, 'x'), '')).toThrow(/EROFS/)
      })
  })

  it('is attached on request, where it stays', async () => {
    mkdirSync(join(dir, 'from'))
    writeFileSync(join(dir, 'from/file'), '')
    mkdirSync(join(dir, 'at'))
    const script = `const {readdirSync} = require('node:fs')
      require('${repositoryRoot}/dist/addon.node').mountDetached({kind: 'bind', path: '${dir}/from', recursive: false}, true).then((m) => {
        m.attach('${dir}/at'); m.close(); console.log(readdirSync('${dir}/at').join()) }).catch((e) => console.log(e.message))`
    const said = execFileSync('unshare', ['-m', process.execPath, '-e', script], { encoding: 'utf8' })
    expect(said).toBe('file\n')
  })

  it('says what is missing and what to type', async () => {
    const attempt = (source: MountSource) => withDetachedMount(paths, source, async () => undefined)
    await expect(attempt({ kind: 'loop', file: join(dir, 'none.img'), type: 'auto' })).rejects.toMatchObject({
      message: `cannot open the image '${dir}/none.img': No such file or directory`,
      hint: expect.stringContaining(`mkfs.ext4 ${dir}/none.img`),
    })
    writeFileSync(join(dir, 'zero.img'), Buffer.alloc(1 << 20))
    await expect(attempt({ kind: 'loop', file: join(dir, 'zero.img'), type: 'auto' })).rejects.toMatchObject({
      message: `cannot mount '${dir}/zero.img': there is no ext4, xfs or btrfs file system on it`,
      hint: `blkid -p ${dir}/zero.img`,
    })
    await eventually(() => loopsOf(join(dir, 'zero.img')).length === 0)
    await expect(attempt({ kind: 'block', device: '/dev/vg0/web', type: 'auto' })).rejects.toMatchObject({ hint: 'vgchange -ay vg0' })
    await expect(attempt({ kind: 'block', device: '/dev/mapper/my--vg-we--b', type: 'auto' })).rejects.toMatchObject({
      hint: 'vgchange -ay my-vg',
    })
    await expect(attempt({ kind: 'block', device: dir, type: 'auto' })).rejects.toThrow(`cannot mount '${dir}': it is no block device`)
    const overlay = { kind: 'overlay', lowers: [join(dir, 'gone')], upper: dir, work: join(dir, 'w') } as const
    await expect(attempt(overlay)).rejects.toMatchObject({ hint: `mkdir -p ${dir}/gone` })
    await expect(attempt(BIND('relative'))).rejects.toMatchObject({ code: 'internal' })
  })
})
