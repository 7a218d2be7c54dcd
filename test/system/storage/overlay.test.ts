/** Overlay: the suite, and what is special to it: shared layers, what overlayfs writes into an upper directory, sealing. */
import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makePaths } from '../../../src/platform/paths.ts'
import { type DirVolume, makeDirDriver } from '../../../src/storage/dir.ts'
import type { Volume } from '../../../src/storage/driver.ts'
import { collectLayers, holdLayers, makeLayerDir } from '../../../src/storage/layers.ts'
import { makeOverlayDriver, type OverlayVolume } from '../../../src/storage/overlay.ts'
import { expectNoLeaks } from '../../helpers/leaks.ts'
import { besides, get, manifest, type Place, put, refIn } from '../../helpers/storage-place.ts'
import { conformance } from './conformance.ts'

const installRoot = join(import.meta.dirname, '../../..')

async function setUp(): Promise<Place> {
  const root = mkdtempSync('/var/tmp/tslxc-overlay-')
  const paths = makePaths({ root, installRoot })
  mkdirSync(paths.lxcpath, { recursive: true, mode: 0o700 })
  return {
    paths,
    dir: paths.lxcpath,
    pool: {},
    list: async () => {
      const layers = join(paths.lxcpath, '.layers')
      mkdirSync(layers, { recursive: true, mode: 0o700 })
      return readdirSync(layers).filter((name) => name !== '.lock' && name !== 'empty')
    },
    tearDown: async () => rmSync(root, { recursive: true, force: true }),
  }
}

conformance('overlay', {
  driver: 'overlay',
  expected: { cow: true, quota: false, snapshotsNeedFreeze: true },
  located: (volume) => ({ driver: volume.driver, dir: (volume as OverlayVolume).dir }),
  setUp,
})

describe('layers', () => {
  expectNoLeaks()
  let place: Place
  beforeAll(async () => {
    place = await setUp()
  })
  afterAll(async () => await place.tearDown())
  const overlay = () => makeOverlayDriver(place.paths)
  const dirs = () => makeDirDriver(place.paths)
  const ref = (label: string) => refIn(place, label)
  const read = (volume: OverlayVolume, name: string) => get(overlay() as never, volume, name)
  const write = (volume: OverlayVolume, name: string, text: string) => put(overlay() as never, volume, name, text)
  const tree = (volume: Volume) => manifest(overlay() as never, volume)
  const sealed = async (volume: Volume, label: string): Promise<OverlayVolume> => {
    const planned = await overlay().planSeal?.(volume, ref(label))
    if (planned === undefined) throw new Error('nothing to seal')
    await overlay().seal?.(volume, planned)
    return planned
  }
  const plainDir = async (label: string): Promise<DirVolume> => {
    const volume = await dirs().create(ref(label))
    writeFileSync(join(volume.path, 'file'), label)
    mkdirSync(join(volume.path, 'replaced'))
    writeFileSync(join(volume.path, 'replaced/old'), 'old')
    mkdirSync(join(volume.path, 'moved/deep'), { recursive: true })
    writeFileSync(join(volume.path, 'moved/deep/file'), 'moved')
    return volume
  }
  const shell = (volume: OverlayVolume, script: string) =>
    overlay().withMounted(
      volume,
      async (root) => void execFileSync('sh', ['-ec', script], { cwd: root, stdio: ['ignore', 'pipe', 'ignore'] }),
    )

  it('makes a layer of a directory by a rename; source and clone need neither the other nor a copy', async () => {
    const plain = await plainDir('web')
    chmodSync(plain.path, 0o2751)
    chownSync(plain.path, 12, 34)
    execFileSync('setfattr', ['-n', 'user.mark', '-v', 'here', plain.path])
    const { ino } = statSync(join(plain.path, 'file'))
    const web = await sealed(plain, 'web')
    expect(existsSync(plain.path)).toBe(false)
    expect(statSync(join(web.lowers[0] ?? '', 'file')).ino).toBe(ino)
    const db = await overlay().clone(web, ref('db'))
    expect(readdirSync(db.upper ?? '')).toEqual([])
    for (const volume of [web, db]) {
      const [top] = await tree(volume)
      expect(top).toMatchObject({ mode: '0o42751', owner: [12, 34], xattrs: { 'user.mark': Buffer.from('here').toString('hex') } })
      expect(await read(volume, 'file')).toBe('web')
    }
    await overlay().destroy(web)
    expect(await read(db, 'file')).toBe('web')
    await overlay().destroy(db)
    expect(await place.list()).toEqual([])
  })

  it('keeps what was deleted, replaced and moved in clones and snapshots, over several layers', async () => {
    const web = await sealed(await plainDir('web'), 'web')
    await shell(
      web,
      'rm file; rm -r replaced; mkdir replaced; echo new > replaced/new; mv moved renamed; setfattr -n user.a -v b replaced; mknod node c 1 3',
    )
    const before = await tree(web)
    expect(before.map(({ path }) => path).sort()).toEqual([
      '.',
      'node',
      'renamed',
      'renamed/deep',
      'renamed/deep/file',
      'replaced',
      'replaced/new',
    ])
    const snapshot = await overlay().snapshot(web, ref('web@one'))
    const clone = await overlay().clone(web, ref('db'))
    const ofSnapshot = await overlay().clone(snapshot, ref('third'))
    for (const volume of [snapshot, clone, ofSnapshot]) expect(await tree(volume)).toEqual(before)
    const again = await sealed(web, 'web')
    expect(again.lowers).toHaveLength(2)
    expect(await tree(again)).toEqual(before)
    await shell(again, 'rm -r replaced; echo back > file')
    const last = await overlay().clone(again, ref('last'))
    expect(await read(last, 'file')).toBe('back\n')
    expect((await tree(last)).map(({ path }) => path)).not.toContain('replaced')
    expect(await tree(snapshot)).toEqual(before)
    for (const volume of [snapshot, clone, ofSnapshot, again, last]) await overlay().destroy(volume)
    expect(await place.list()).toEqual([])
  })

  it.each(['the journal', 'layers.json', 'the directory of the layer', 'the rename', 'the whole'])(
    'is sealed after a crash behind %s',
    async (step) => {
      const plain = await plainDir('web')
      const planned = await overlay().planSeal?.(plain, ref('web'))
      if (planned === undefined) throw new Error('nothing to seal')
      const [layer = ''] = planned.lowers
      if (step !== 'the journal') await holdLayers(place.paths, planned.dir, planned.lowers, layer)
      if (!['the journal', 'layers.json'].includes(step)) await makeLayerDir(layer)
      if (['the rename', 'the whole'].includes(step)) renameSync(plain.path, layer)
      if (step === 'the whole') await overlay().seal?.(plain, planned)
      await overlay().seal?.(plain, planned)
      expect(await read(planned, 'file')).toBe('web')
      await overlay().destroy(planned)
      expect(await place.list()).toEqual([])
    },
  )

  it('lets a layer go with its last user, many at once', async () => {
    const web = await sealed(await plainDir('web'), 'web')
    const labels = Array.from({ length: 12 }, (_, index) => `clone${index}`)
    const clones = await Promise.all(labels.map((label) => overlay().clone(web, ref(label))))
    const more = overlay().clone(web, ref('more'))
    await Promise.all(clones.map((clone) => overlay().destroy(clone)))
    const kept = await more
    await overlay().destroy(web)
    expect(await place.list()).toHaveLength(1)
    expect(await read(kept, 'file')).toBe('web')
    await overlay().destroy(kept)
    expect(await place.list()).toEqual([])
  })

  it('keeps a layer whose user was renamed behind its record', async () => {
    const web = await sealed(await plainDir('web'), 'web')
    const db = await overlay().clone(web, ref('db'))
    renameSync(dirname(db.dir), join(place.dir, 'renamed'))
    await overlay().destroy(web)
    expect(await place.list()).toHaveLength(1)
    expect(await collectLayers(place.paths)).toEqual([])
    renameSync(join(place.dir, 'renamed'), dirname(db.dir))
    expect(await read(db, 'file')).toBe('web')
    await overlay().destroy(db)
    expect(await place.list()).toEqual([])
  })

  it('stops sealing at 32 layers, and copies the upper one from then on', async () => {
    let web = await overlay().create(ref('web'))
    for (let count = 0; ; count++) {
      await write(web, `file-${count}`, String(count))
      const planned = await overlay().planSeal?.(web, ref('web'))
      if (planned === undefined) break
      await overlay().seal?.(web, planned)
      web = planned
    }
    expect(web.lowers).toHaveLength(32)
    const clone = await overlay().clone(web, ref('db'))
    expect(await tree(clone)).toEqual(await tree(web))
    expect(readdirSync(clone.upper ?? '')).not.toEqual([])
    for (const volume of [web, clone]) await overlay().destroy(volume)
    expect(await place.list()).toEqual([])
  })

  it('copies fully into another lxcpath, whose layers count for themselves', async () => {
    const web = await sealed(await plainDir('web'), 'web')
    const other = await setUp()
    const there = makeOverlayDriver(other.paths)
    const clone = await there.clone(web, refIn(other, 'db'))
    expect(clone.lowers).toEqual([join(other.paths.lxcpath, '.layers/empty/rootfs')])
    const before = await tree(web)
    await overlay().destroy(web)
    expect(await manifest(there as never, clone)).toEqual(before)
    await there.destroy(clone)
    await other.tearDown()
  })

  it('takes what a person wrote, and never the directory it stands in', async () => {
    const base = join(place.dir, 'byhand')
    for (const name of ['lower', 'upper']) mkdirSync(join(base, name), { recursive: true, mode: 0o700 })
    writeFileSync(join(base, 'lower/file'), 'lower')
    const volume = overlay().parse(`${base}/lower:${base}/upper`)
    expect(volume).toMatchObject({ lowers: [`${base}/lower`], upper: `${base}/upper`, work: `${base}/olwork` })
    await write(volume, 'other', 'upper')
    expect(await read(volume, 'file')).toBe('lower')
    const made = await overlay().create(besides(ref('web')))
    await expect(overlay().exchange(volume, made)).rejects.toThrow('a person wrote it')
    await overlay().destroy(made)
    await overlay().destroy(volume)
    expect(readdirSync(base)).toEqual(['lower'])
    rmSync(base, { recursive: true })
    for (const wrong of ['/a', 'a:/b', '/a::/b', ':/b']) expect(() => overlay().parse(wrong)).toThrow('it is not LOWER[:LOWER…]:UPPER')
  })
})
