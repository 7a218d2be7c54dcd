import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fingerprintOf, type ImageCache, listImages, removeImage, withImage } from '../../../src/image/cache.ts'

const installRoot = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '')
const isBuilt = existsSync(join(installRoot, 'dist/addon.node'))

interface Plain {
  readonly path: string
}

let cacheDir: string
let steps: string[]
let fills: number

beforeEach(() => {
  cacheDir = mkdtempSync(join(tmpdir(), 'tslxc-cache-'))
  steps = []
  fills = 0
})
afterEach(() => rmSync(cacheDir, { recursive: true, force: true }))

function cache(): ImageCache<Plain> {
  return {
    paths: { cacheDir, installRoot },
    command: 'tslxc test',
    onStep: ({ text }) => steps.push(text),
    volumes: {
      async create({ dir, name }) {
        mkdirSync(join(dir, name))
        return { path: join(dir, name) }
      },
      async destroy({ path }) {
        rmSync(path, { recursive: true, force: true })
      },
      withMounted: ({ path }, use) => use(path),
    },
  }
}

const identity = { kind: 'test', suite: 'one' }
const wanted = (more: { refresh?: boolean; fail?: boolean } = {}) => ({
  about: 'test one',
  template: 'test',
  identity,
  refresh: more.refresh ?? false,
  async fill({ rootfs, workDir }: { rootfs: string; workDir: string }) {
    fills++
    writeFileSync(join(workDir, 'scratch'), 'x')
    mkdirSync(join(rootfs, 'etc'))
    writeFileSync(join(rootfs, 'etc/issue'), `fill ${fills}`)
    symlinkSync('/etc/issue', join(rootfs, 'link'))
    if (more.fail === true) throw new Error('the tool failed')
  },
})
const entry = () => join(cacheDir, 'images', fingerprintOf(identity))
const fetch = (more = {}) => withImage(cache(), wanted(more), async ({ volume }) => readFileSync(join(volume.path, 'etc/issue'), 'utf8'))
const onlyVolume = () => join(entry(), readdirSync(entry()).find((name) => name.startsWith('rootfs-')) ?? '')

describe.skipIf(!isBuilt)('the image cache', () => {
  it('fetches once', async () => {
    expect(await fetch()).toBe('fill 1')
    expect(await fetch()).toBe('fill 1')
    expect(readdirSync(entry()).sort()).toEqual(['image.json', 'manifest', expect.stringMatching(/^rootfs-/)])
    expect(await listImages({ cacheDir })).toMatchObject([{ about: 'test one', entries: 4, sizeBytes: 6 }])
  })

  it('fetches anew when asked to, and leaves one volume', async () => {
    await fetch()
    expect(await fetch({ refresh: true })).toBe('fill 2')
    expect(readdirSync(entry()).filter((name) => name.startsWith('rootfs-'))).toHaveLength(1)
  })

  it.each([
    ['a changed file', () => writeFileSync(join(onlyVolume(), 'etc/issue'), 'FILL 1')],
    ['a changed mode', () => chmodSync(join(onlyVolume(), 'etc/issue'), 0o600)],
    ['a missing file', () => rmSync(join(onlyVolume(), 'link'))],
    ['a changed manifest', () => writeFileSync(join(entry(), 'manifest'), '')],
    ['no image.json', () => rmSync(join(entry(), 'image.json'))],
    ['an unreadable image.json', () => writeFileSync(join(entry(), 'image.json'), '{')],
  ])('does not use an image with %s', async (_what, damage) => {
    await fetch()
    damage()
    expect(await fetch()).toBe('fill 2')
  })

  it('says what is damaged', async () => {
    await fetch()
    writeFileSync(join(onlyVolume(), 'etc/issue'), 'FILL 1')
    await fetch()
    expect(steps).toContain("the cached image 'test one' is damaged ('etc/issue' is not what was fetched): fetching it again")
  })

  it('still uses an image whose files were touched, not changed', async () => {
    await fetch()
    utimesSync(join(onlyVolume(), 'etc/issue'), 1, 1)
    expect(await fetch()).toBe('fill 1')
  })

  it('leaves nothing of a fetch that failed', async () => {
    await expect(fetch({ fail: true })).rejects.toThrow('the tool failed')
    expect(existsSync(entry())).toBe(false)
    expect(await fetch()).toBe('fill 2')
  })

  it('keeps the old image when its refresh fails', async () => {
    await fetch()
    await expect(fetch({ refresh: true, fail: true })).rejects.toThrow('the tool failed')
    expect(await fetch()).toBe('fill 1')
    expect(readdirSync(entry())).toHaveLength(3)
  })

  it('sweeps what a killed fetch left', async () => {
    mkdirSync(join(entry(), 'rootfs-old/etc'), { recursive: true })
    mkdirSync(join(entry(), 'work'))
    expect(await listImages({ cacheDir })).toEqual([])
    expect(await fetch()).toBe('fill 1')
    expect(readdirSync(entry())).toHaveLength(3)
  })

  it('fetches once for two who ask at once', async () => {
    expect(await Promise.all([fetch(), fetch()])).toEqual(['fill 1', 'fill 1'])
    expect(fills).toBe(1)
  })

  it('removes by a unique beginning of the fingerprint', async () => {
    await fetch()
    await removeImage(cache(), fingerprintOf(identity).slice(0, 8))
    expect(await listImages({ cacheDir })).toEqual([])
    expect(existsSync(entry())).toBe(false)
    await expect(removeImage(cache(), 'abc')).rejects.toThrow("cannot remove image 'abc': there is no such image")
  })
})
