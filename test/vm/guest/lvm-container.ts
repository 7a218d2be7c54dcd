/** In the virtual machine: containers on logical volumes. `box` was made with its root file system in a directory. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makePaths } from '../../../src/platform/paths.ts'
import type { Volume } from '../../../src/storage/driver.ts'
import { copyVolume } from '../../../src/storage/generic.ts'
import { driverOf, storageDriver } from '../../../src/storage/index.ts'
import { repositoryRoot } from '../../helpers/addon.ts'

const paths = makePaths({ root: process.env.TSLXC_ROOT ?? '', installRoot: repositoryRoot })
const driver = storageDriver(paths, 'lvm')
const dir = join(process.env.TSLXC_ROOT ?? '', 'var/lib/tslxc/box')
const tslxc = (...args: string[]) => execFileSync(join(repositoryRoot, 'dist/tslxc'), args, { encoding: 'utf8' })
const inside = (script: string) => tslxc('attach', 'box', '--', 'sh', '-c', script)
const recorded = (file: string) => (JSON.parse(readFileSync(join(dir, file), 'utf8')) as { volume: Volume }).volume

describe('a container on a thin volume', () => {
  beforeAll(async () => {
    const at = { dir, name: 'rootfs.lvm', label: 'box', pool: { sizeBytes: 64 << 20 } }
    const volume = await copyVolume(paths, recorded('volume.json'), { driver, at })
    writeFileSync(join(dir, 'volume.json'), JSON.stringify({ version: 1, volume }))
    const config = join(dir, 'config.yaml')
    writeFileSync(config, readFileSync(config, 'utf8').replace(/dir:\S+\/rootfs/, `lvm:${volume.path}`))
  })
  afterAll(async () => {
    tslxc('stop', '-k', 'box')
    await driver.destroy(recorded('volume.json'))
  })

  it('starts, unprivileged, with its own ids', async () => {
    tslxc('start', 'box')
    expect(inside('grep " / " /proc/self/mounts')).toMatch(/^\/dev\/(mapper\/lxc-box|lxc\/box) \/ ext4 /)
    expect(inside('cat /proc/self/uid_map')).not.toMatch(/^ *0 +0 /)
    expect(inside('touch /root/file && stat -c %u:%g /root/file')).toBe('0:0\n')
  })

  it('is snapshotted while it runs, with what it has just written', async () => {
    inside('echo first > /root/file')
    tslxc('snapshot', 'box')
    inside('echo second > /root/file')
    const snapshot = recorded('snaps/snap0/volume.json')
    expect(snapshot).toMatchObject({ driver: 'lvm', lv: 'box+snap0' })
    const read = (volume: Volume) =>
      driverOf(paths, volume).withMounted(volume, async (root) => readFileSync(join(root, 'root/file'), 'utf8'), { readOnly: true })
    expect(await read(snapshot)).toBe('first\n')
    tslxc('stop', '-k', 'box')
    tslxc('snapshot', '-r', 'snap0', 'box')
    expect(await read(recorded('volume.json'))).toBe('first\n')
    tslxc('start', 'box')
    expect(inside('cat /root/file')).toBe('first\n')
    tslxc('snapshot', '-d', 'snap0', 'box')
    expect(execFileSync('lvs', ['--noheadings', '-o', 'lv_name', 'lxc'], { encoding: 'utf8' }).trim().split(/\s+/)).toEqual(['box', 'lxc'])
  })

  it('grows while it runs', async () => {
    const grown = await driver.resize(recorded('volume.json'), 128 << 20)
    writeFileSync(join(dir, 'volume.json'), JSON.stringify({ version: 1, volume: grown }))
    expect(Number(inside('df -k / | tail -n 1').split(/\s+/)[1])).toBeGreaterThan(100_000)
  })
})
