import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { CommandError } from '../../../src/lib/errors.ts'
import { run } from '../../../src/platform/exec.ts'
import type { Pool } from '../../../src/storage/driver.ts'
import { poolOf } from '../../../src/storage/index.ts'
import { type LvmVolume, makeLvmDriver } from '../../../src/storage/lvm.ts'
import { parseReport } from '../../../src/storage/lvm-report.ts'

vi.mock('../../../src/platform/exec.ts', () => ({ run: vi.fn(), which: (tool: string) => `/sbin/${tool}` }))
vi.mock('../../../src/platform/mounts.ts', () => ({
  withDetachedMount: async (_paths: unknown, _source: unknown, use: (root: string) => Promise<unknown>) => await use(dir),
}))

type Row = Readonly<Record<string, string>>
const GROUP: Row = { vg_extent_size: '4194304', vg_free: '1073741824', vg_permissions: 'writeable', vg_partial: '', vg_exported: '' }
const POOL: Row = { lv_name: 'lxc', lv_size: '1073741824', lv_layout: 'thin,pool', data_percent: '10.00', metadata_percent: '11.00' }
const lv = (name: string, more: Row = {}): Row => ({
  lv_name: name,
  lv_size: '1073741824',
  lv_layout: 'thin,sparse',
  pool_lv: 'lxc',
  ...more,
})

const driver = makeLvmDriver({ installRoot: '/' })
let dir = ''
let rows: Row[] = []
/** What LVM's tools say on stderr; they fail then. */
let failures: Record<string, string> = {}
let ran: string[] = []
/** What there is once something was made. */
let appears: Row | undefined

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tslxc-lvm-'))
  rows = [POOL]
  failures = {}
  ran = []
  appears = undefined
  vi.mocked(run).mockImplementation(async (argv) => {
    const [tool = ''] = argv
    const stderr = failures[tool]
    if (tool !== 'lvs' && tool !== 'vgs') ran.push(argv.join(' '))
    if (tool === 'lvcreate' && appears !== undefined) rows = [...rows, appears]
    if (stderr !== undefined) throw new CommandError(`cannot run '${tool}': ${stderr}`, { argv, status: 5, stderr })
    const report = tool === 'vgs' ? { vg: [GROUP] } : { lv: rows.map((row) => ({ ...GROUP, ...row })) }
    return { stdout: JSON.stringify({ report: [report] }), stderr: '', status: 0 }
  })
})
afterEach(() => rmSync(dir, { recursive: true }))

const at = (label: string, pool: Pool = {}) => ({ dir, name: 'rootfs', label, pool })
const tag = async (label: string) => (await driver.locate(at(label))).tag ?? ''
const ours = async (label: string, more: Row = {}): Promise<Row> =>
  lv(label.replace('@', '+'), { lv_tags: `tslxc,${await tag(label)}`, ...more })

describe('records', () => {
  it('are read from a path, without asking', () => {
    expect(driver.parse('/dev/tank/web')).toEqual({
      driver: 'lvm',
      path: '/dev/tank/web',
      vg: 'tank',
      lv: 'web',
      fstype: 'auto',
      sizeBytes: 0,
    })
    expect(poolOf(driver.parse('/dev/tank/web'))).toEqual({ vg: 'tank' })
    expect(run).not.toHaveBeenCalled()
    for (const path of ['/dev/sda', 'tank/web', '/dev/-x/web', '/dev/tank/web/x'])
      expect(() => driver.parse(path)).toThrow('/dev/GROUP/NAME')
  })

  it("have LXC's defaults, in whole extents", async () => {
    const located = await driver.locate(at('web', { sizeBytes: 5_000_000 }))
    expect(located).toEqual({
      driver: 'lvm',
      path: '/dev/lxc/web',
      vg: 'lxc',
      lv: 'web',
      thinPool: 'lxc',
      fstype: 'ext4',
      sizeBytes: 8 << 20,
      tag: expect.stringMatching(/^tslxc\.[0-9a-f]{16}$/),
    })
    // The same for what is made from it: clones, snapshots, a successor.
    expect(poolOf(located)).toEqual({ vg: 'lxc', thinPool: 'lxc', fstype: 'ext4', sizeBytes: 8 << 20 })
    rows = [{ ...POOL, lv_layout: 'linear' }]
    expect((await driver.locate(at('web'))).thinPool).toBeUndefined()
    rows = []
    expect(await driver.locate(at('web'))).toMatchObject({ sizeBytes: 1 << 30, fstype: 'ext4' })
  })

  it('name what LVM can take', async () => {
    const name = async (label: string, pool?: Pool) => (await driver.locate(at(label, pool))).lv
    expect(await name('web@snap0')).toBe('web+snap0')
    expect(await name('snapshot1')).toBe('+snapshot1')
    expect(await name('a_tdata')).toBe('a_+tdata')
    expect(await name('web', { lvName: 'disk0' })).toBe('disk0')
    await expect(name('web', { lvName: '-x' })).rejects.toMatchObject({ code: 'usage' })
    await expect(name('web', { fstype: 'vfat' })).rejects.toThrow('there is ext4, xfs, btrfs')
  })

  it('tell owners apart that have the same name', async () => {
    const other = mkdtempSync(join(tmpdir(), 'tslxc-lvm-'))
    expect((await driver.locate({ ...at('web'), dir: other })).tag).not.toBe(await tag('web'))
    expect(await tag('web')).toBe(await tag('web'))
    rmSync(other, { recursive: true })
  })
})

describe('making', () => {
  it('a thin one', async () => {
    const volume = await driver.create(at('web'))
    expect(ran).toEqual([
      `lvcreate -qq --yes -kn -n web --addtag tslxc --addtag ${volume.tag} -V 1073741824b -T lxc/lxc`,
      'mkfs.ext4 -q -F -m 0 -O metadata_csum_seed -E lazy_itable_init=1 /dev/lxc/web',
    ])
    expect(volume).toEqual(await driver.locate(at('web')))
    expect(driver.rootfsPlan(volume)).toEqual({ kind: 'block', device: '/dev/lxc/web', type: 'ext4' })
  })

  it('a thick one', async () => {
    rows = []
    await driver.create(at('web', { fstype: 'xfs' }))
    expect(ran[0]).toMatch(/^lvcreate -qq --yes -kn -n web --addtag tslxc --addtag tslxc\.\w+ -Wy -L 1073741824b lxc$/)
    expect(ran[1]).toBe('mkfs.xfs -q -f /dev/lxc/web')
  })

  it('clones and snapshots that share blocks', async () => {
    const web = await driver.locate(at('web', { fstype: 'xfs' }))
    rows = [POOL, await ours('web')]
    await driver.clone(web, at('db', { fstype: 'xfs' }))
    expect(ran).toEqual([
      expect.stringMatching(/^lvcreate -qq --yes -kn -s -prw -n db --addtag tslxc --addtag tslxc\.\w+ lxc\/web$/),
      'xfs_admin -U generate /dev/lxc/db',
    ])
    ran = []
    await driver.snapshot(web, at('web@snap0'))
    expect(ran.at(-1)).toBe('lvchange -qq -pr lxc/web+snap0')
  })

  it('nothing over what is there', async () => {
    rows = [POOL, lv('web')]
    await expect(driver.create(at('web'))).rejects.toMatchObject({ code: 'exists' })
    expect(ran).toEqual([])
  })

  it.each([
    [{ data_percent: '95.00' }, '95 % of its data', 'lvextend -L +10G lxc/lxc'],
    [{ metadata_percent: '90.50' }, '90.5 % of its metadata', 'lvextend --poolmetadatasize +64M lxc/lxc'],
    [{ lv_health_status: 'failed' }, 'has failed', 'lvconvert --repair lxc/lxc'],
    [{ vg_permissions: 'read-only' }, 'is read-only', 'lvmconfig'],
    [{ vg_partial: 'partial' }, 'are missing', 'pvs'],
    [{ vg_exported: 'exported' }, 'is exported', 'vgimport lxc'],
  ])('nothing where it would do harm: %o', async (row, reason, hint) => {
    rows = [{ ...GROUP, ...POOL, ...(row as Row) }]
    vi.mocked(run).mockImplementation(async () => ({ stdout: JSON.stringify({ report: [{ lv: rows }] }), stderr: '', status: 0 }))
    const failure = { message: expect.stringContaining(reason), hint: expect.stringContaining(hint) }
    await expect(driver.create(at('web'))).rejects.toMatchObject(failure)
    expect(ran).toEqual([])
  })

  it('and removes what it made when the rest fails', async () => {
    const row = await ours('web')
    failures = { 'mkfs.ext4': 'too small' }
    appears = row
    await expect(driver.create(at('web'))).rejects.toThrow('too small')
    expect(ran.at(-1)).toBe('lvremove -qq -f -y lxc/web')
  })
})

describe('removing', () => {
  it('takes only what carries its tag, and the absent for done', async () => {
    const web = await driver.locate(at('web'))
    await driver.destroy(web)
    rows = [POOL, lv('web'), lv('web.src')]
    await driver.destroy(web)
    rows = [POOL, lv('web', { lv_tags: 'tslxc,tslxc.0123456789abcdef' })]
    await driver.destroy(web)
    expect(ran).toEqual([])
    rows = [POOL, await ours('web')]
    await driver.destroy(web)
    expect(ran).toEqual(['lvremove -qq -f -y lxc/web'])
    await expect(driver.destroy(driver.parse('/dev/lxc/web'))).rejects.toMatchObject({ hint: 'lvremove lxc/web' })
  })

  it("keeps an origin of somebody's thick snapshot", async () => {
    const web = await driver.locate(at('web'))
    rows = [await ours('web', { pool_lv: '' }), lv('backup', { origin: 'web', pool_lv: '' })]
    await expect(driver.destroy(web)).rejects.toMatchObject({ code: 'busy', hint: 'lvremove lxc/backup' })
    const backup = driver.parse('/dev/lxc/backup')
    const { thinPool: _, ...thick } = web
    expect(await driver.dependents(thick as LvmVolume, [backup, driver.parse('/dev/lxc/other'), driver.parse('/dev/x/backup')])).toEqual([
      backup,
    ])
  })

  it.each([
    [
      'lvremove',
      'Logical volume lxc/web contains a filesystem in use.',
      { code: 'busy', message: "cannot remove '/dev/lxc/web': it is in use" },
    ],
    ['lvs', 'Volume group "lxc" not found', { code: 'host', hint: 'vgcreate lxc /dev/DISK' }],
    ['lvs', '/dev/mapper/control: open failed: No such device', { code: 'host', hint: 'modprobe -a dm_mod dm_thin_pool' }],
  ])('says why not: %s: %s', async (tool, stderr, failure) => {
    const web = await driver.locate(at('web'))
    rows = [POOL, await ours('web')]
    failures = { [tool]: stderr }
    await expect(driver.destroy(web)).rejects.toMatchObject(failure)
  })
})

describe('exchanging', () => {
  const names = (...list: string[]) => {
    rows = [POOL, ...list.map((name) => lv(name))]
  }
  it.each([
    [
      ['web', 'web.new'],
      ['lvrename -qq lxc web web.old', 'lvrename -qq lxc web.new web'],
    ],
    [['web.old', 'web.new'], ['lvrename -qq lxc web.new web']],
    [['web.old', 'web'], []],
  ])('goes on from %o', async (there, renames) => {
    const [web, made] = [await driver.locate(at('web')), await driver.locate({ ...at('web.new'), name: 'rootfs.new' })]
    names(...there)
    expect(await driver.exchange(web, made)).toEqual({
      live: { ...made, lv: 'web', path: '/dev/lxc/web' },
      aside: { ...web, lv: 'web.old', path: '/dev/lxc/web.old' },
    })
    expect(ran).toEqual(renames)
  })

  it("keeps a person's own, with another name", async () => {
    const [web, made] = [driver.parse('/dev/lxc/web'), await driver.locate(at('web.new'))]
    names('web', 'web.new')
    expect(await driver.exchange(web, made)).toEqual({ live: { ...made, lv: 'web', path: '/dev/lxc/web' }, aside: undefined })
    expect(ran).toEqual(['lvrename -qq lxc web web.old', 'lvrename -qq lxc web.new web'])
  })

  it('does not go over a third one', async () => {
    const [web, made] = [await driver.locate(at('web')), await driver.locate(at('web.new'))]
    names('web', 'web.new', 'web.old')
    await expect(driver.exchange(web, made)).rejects.toMatchObject({ code: 'busy', message: expect.stringContaining('web.old') })
    expect(await driver.exchange(web, { ...made, vg: 'other' })).toEqual({ live: { ...made, vg: 'other' }, aside: web })
  })
})

it('shrinks only what can shrink, file system first', async () => {
  const web = await driver.locate(at('web'))
  rows = [POOL, await ours('web')]
  expect(await driver.resize(web, 512 << 20)).toMatchObject({ sizeBytes: 512 << 20, limitBytes: 512 << 20 })
  expect(ran).toEqual(['e2fsck -f -p /dev/lxc/web', 'resize2fs /dev/lxc/web 524288K', 'lvreduce -qq -f -y -L 536870912b lxc/web'])
  await expect(driver.resize({ ...web, fstype: 'xfs' }, 512 << 20)).rejects.toThrow('from 1.00 GiB to 512.00 MiB: only ext4 can shrink')
  expect(await driver.resize({ ...web, limitBytes: 1 }, undefined)).toEqual(web)
})

it('reads reports, and refuses what is none', () => {
  expect(parseReport('{"report":[{"lv":[{"lv_name":"a"}]},{"lv":[]}]}', 'lv')).toEqual([{ lv_name: 'a' }])
  expect(() => parseReport('  WARNING', 'lv')).toThrow('it is not JSON')
})
