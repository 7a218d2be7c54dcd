/** In the virtual machine: what goes wrong with LVM. The group `small` is there for it. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, fsyncSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Pool } from '../../../src/storage/driver.ts'
import { makeLvmDriver } from '../../../src/storage/lvm.ts'
import { repositoryRoot } from '../../helpers/addon.ts'

const MIB = 1 << 20
const driver = makeLvmDriver({ installRoot: repositoryRoot })
const tool = (...argv: string[]) => execFileSync(argv[0] ?? '', argv.slice(1), { encoding: 'utf8' })
const volumes = () => tool('lvs', '--noheadings', '-o', 'lv_name', 'small').split(/\s+/).filter(Boolean)

let dir = ''
beforeEach(() => {
  dir = mkdtempSync('/tmp/owners-')
})
afterEach(() => {
  execFileSync('lvremove', ['-qq', '-y', '-f', 'small'])
  rmSync(dir, { recursive: true })
})
const at = (label: string, pool: Pool = {}) => {
  mkdirSync(join(dir, label), { recursive: true })
  return { dir: join(dir, label), name: 'rootfs', label, pool: { vg: 'small', sizeBytes: 96 * MIB, ...pool } }
}

function writeMany(file: string, mebibytes: number): void {
  const fd = openSync(file, 'w')
  try {
    for (let i = 0; i < mebibytes; i++) writeSync(fd, Buffer.alloc(MIB, i + 1))
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

describe('faults of LVM', () => {
  it('a pool whose data ran full: says so, makes nothing more, and goes on once it is larger', async () => {
    tool('lvcreate', '-qq', '--yes', '-L', '64M', '--errorwhenfull', 'y', '-T', 'small/lxc')
    const web = await driver.create(at('web'))
    const write = driver.withMounted(web, async (root) => writeMany(join(root, 'big'), 80))
    await expect(write).rejects.toMatchObject({
      code: 'no-space',
      message: expect.stringContaining('of its data'),
      hint: 'lvextend -L +10G small/lxc',
    })
    await expect(driver.create(at('db'))).rejects.toMatchObject({ code: 'no-space', message: expect.stringMatching(/100 % of its data/) })
    await expect(driver.clone(web, at('db'))).rejects.toMatchObject({ code: 'no-space' })
    expect(await driver.probe(at('db'))).toMatchObject({ usable: false, reason: expect.stringContaining('too full') })
    expect(volumes()).toEqual(['lxc', 'web'])
    tool('lvextend', '-qq', '-L', '+128M', 'small/lxc')
    await driver.destroy(web)
    await driver.destroy(await driver.create(at('db')))
    expect(volumes()).toEqual(['lxc'])
  })

  it('a pool whose metadata runs full: makes nothing more', async () => {
    tool('lvcreate', '-qq', '--yes', '-L', '64M', '--poolmetadatasize', '2M', '-T', 'small/lxc')
    // The device of a pool is there only with a volume in it.
    tool('lvcreate', '-qq', '--yes', '-V', '8M', '-T', 'small/lxc', '-n', 'other')
    expect(Number(tool('python3', join(repositoryRoot, 'test/vm/guest/fill-metadata.py')))).toBeGreaterThanOrEqual(90)
    await expect(driver.create(at('db'))).rejects.toMatchObject({
      code: 'no-space',
      message: expect.stringMatching(/9\d(\.\d+)? % of its metadata/),
      hint: 'lvextend --poolmetadatasize +64M small/lxc',
    })
    expect(volumes()).not.toContain('db')
  })

  it("somebody else's volume of the same name stays", async () => {
    tool('lvcreate', '-qq', '--yes', '-L', '8M', '-n', 'web', 'small')
    const web = await driver.locate(at('web'))
    await expect(driver.create(at('web'))).rejects.toMatchObject({ code: 'exists' })
    await driver.destroy(web)
    expect(volumes()).toEqual(['web'])
  })

  it('no volume group, no pool, too little room', async () => {
    await expect(driver.create(at('web', { vg: 'nope' }))).rejects.toMatchObject({ hint: 'vgcreate nope /dev/DISK' })
    await expect(driver.create(at('web', { thinPool: 'nope' }))).rejects.toMatchObject({
      message: expect.stringContaining("no thin pool 'nope'"),
    })
    await expect(driver.create(at('web', { sizeBytes: 1e12 }))).rejects.toMatchObject({
      code: 'no-space',
      message: expect.stringMatching(/\d+ MiB free/),
    })
  })

  it('one that is mounted: by whom', async () => {
    const web = await driver.create(at('web', { sizeBytes: 32 * MIB }))
    const holder = spawn('unshare', ['-m', 'sh', '-c', 'mount /dev/small/web /mnt && echo mounted && exec sleep 600'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    try {
      await once(holder.stdout, 'data')
      await expect(driver.destroy(web)).rejects.toMatchObject({
        code: 'busy',
        message: `cannot remove '/dev/small/web': it is in use: process ${holder.pid} (sleep) sees it mounted at '/mnt'`,
      })
    } finally {
      holder.kill('SIGKILL')
      await once(holder, 'close')
    }
    await driver.destroy(web)
    expect(volumes()).toEqual([])
  })

  it('an exchange that stopped after the first name', async () => {
    const [web, made] = [
      await driver.create(at('web', { sizeBytes: 32 * MIB })),
      await driver.create(at('web.new', { sizeBytes: 32 * MIB })),
    ]
    tool('lvrename', '-qq', 'small', 'web', 'web.old')
    const { live, aside } = await driver.exchange(web, made)
    expect(volumes().sort()).toEqual(['web', 'web.old'])
    expect(await driver.exchange(web, made)).toEqual({ live, aside })
    for (const volume of [live, aside]) if (volume !== undefined) await driver.destroy(volume)
    expect(volumes()).toEqual([])
  })
})
