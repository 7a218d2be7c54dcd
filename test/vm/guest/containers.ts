/** In the virtual machine: containers on logical volumes, by the program. Each of its commands takes seconds here. */
import { execFileSync, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { makePaths } from '../../../src/platform/paths.ts'
import type { Volume } from '../../../src/storage/driver.ts'
import { driverOf } from '../../../src/storage/index.ts'
import { repositoryRoot } from '../../helpers/addon.ts'

const root = process.env.TSLXC_ROOT ?? ''
const paths = makePaths({ root, installRoot: repositoryRoot })
const program = join(repositoryRoot, 'dist/tslxc')
const tslxc = (...args: string[]) => execFileSync(program, args, { encoding: 'utf8' })
const inside = (name: string, script: string) => spawnSync(program, ['attach', name, '--', 'sh', '-c', script], { encoding: 'utf8' })
const created = (name: string, ...storage: string[]): unknown =>
  JSON.parse(tslxc('create', name, '-t', 'busybox', '-f', join(root, 'box.yaml'), '--json', ...storage))
const containers = join(root, 'var/lib/tslxc')
const recorded = (file: string) => (JSON.parse(readFileSync(join(containers, file), 'utf8')) as { volume: Volume }).volume
const read = (volume: Volume, file: string) =>
  driverOf(paths, volume).withMounted(volume, async (at) => readFileSync(join(at, file), 'utf8'), { readOnly: true })
/** `NAME` or `NAME ORIGIN`, sorted. */
const volumes = (vg: string) =>
  execFileSync('lvs', ['--noheadings', '-o', 'lv_name,origin', vg], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((line) => line.trim().replace(/\s+/, ' '))
    .map((line) => line.replaceAll(/image-[0-9a-f-]+/g, 'IMAGE'))
    .sort()

describe('containers on thin volumes', () => {
  // Also of what failed: others come after it.
  afterAll(() => {
    for (const name of readdirSync(containers).filter((entry) => !entry.startsWith('.') && entry !== 'box'))
      tslxc('destroy', '-f', '-s', name)
    tslxc('image', 'rm', '--all')
    execFileSync('lvremove', ['-qq', '-y', '-f', 'small'])
  })

  it('are clones of the image, which best finds to be the thing', () => {
    expect(created('web', '-B', 'best')).toMatchObject({
      storage: { driver: 'lvm', why: expect.any(String), passedOver: [{ driver: 'btrfs' }, { driver: 'zfs' }] },
    })
    expect(volumes('lxc')).toEqual(['IMAGE', 'lxc', 'web IMAGE'])
  })

  it('start, unprivileged, with their own ids', () => {
    tslxc('start', 'web')
    expect(inside('web', 'grep " / " /proc/self/mounts').stdout).toMatch(/^\/dev\/(mapper\/lxc-web|lxc\/web) \/ ext4 /)
    expect(inside('web', 'cat /proc/self/uid_map').stdout).not.toMatch(/^ *0 +0 /)
    expect(inside('web', 'touch /root/file && stat -c %u:%g /root/file').stdout).toBe('0:0\n')
  })

  it('grow while they run', () => {
    tslxc('resize', 'web', '1536M')
    expect(Number(inside('web', 'df -k / | tail -n 1').stdout.split(/\s+/)[1])).toBeGreaterThan(1_200_000)
  })

  it('are snapshotted while they run, with what was just written, and copied, which shares blocks', async () => {
    inside('web', 'echo first > /root/file')
    tslxc('snapshot', 'web')
    inside('web', 'echo second > /root/file')
    const snapshot = recorded('web/snaps/snap0/volume.json')
    expect(snapshot).toMatchObject({ driver: 'lvm', lv: 'web+snap0' })
    expect(await read(snapshot, 'root/file')).toBe('first\n')
    tslxc('copy', '-a', '-s', 'web', 'db')
    expect(await read(recorded('db/volume.json'), 'root/file')).toBe('second\n')
    expect(volumes('lxc')).toEqual(['IMAGE', 'db web', 'lxc', 'web IMAGE', 'web+snap0 web'])
    tslxc('stop', '-k', 'web')
    tslxc('snapshot', '-r', 'snap0', 'web')
    tslxc('start', 'web')
    expect(inside('web', 'cat /root/file').stdout).toBe('first\n')
    tslxc('destroy', '-f', '-s', 'web')
    expect(await read(recorded('db/volume.json'), 'root/file')).toBe('second\n')
    tslxc('destroy', 'db')
    expect(volumes('lxc')).toEqual(['IMAGE', 'lxc'])
  })

  it('get errors when their pool runs full while they write; nothing hangs, and nothing more is made in it', () => {
    execFileSync('lvcreate', ['-qq', '--yes', '-L', '64M', '--errorwhenfull', 'y', '-T', 'small/data'])
    created('full', '-B', 'lvm', '--vgname', 'small', '--thinpool', 'data', '--fssize', '128M')
    tslxc('start', 'full')
    const write = (mebibytes: number) => inside('full', `dd if=/dev/zero of=/root/big bs=1M count=${mebibytes} conv=fsync`)
    expect(write(90)).toMatchObject({ status: 1, stderr: expect.stringMatching(/error|read-only/i) })
    expect(inside('full', 'echo alive').stdout).toBe('alive\n')
    const { status, stderr } = spawnSync(program, ['snapshot', 'full'], { encoding: 'utf8' })
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: expect.stringMatching(/'small\/data' is too full: 100 % of its data[\s\S]*hint: lvextend -L \+10G small\/data/),
    })
    // What the file system has lost by then only its check can tell; the container and its volume can go.
    tslxc('destroy', '-f', 'full')
    expect(volumes('small')).toEqual(['IMAGE', 'data'])
  })
})
