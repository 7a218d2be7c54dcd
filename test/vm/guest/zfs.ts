/** In the virtual machine: the conformance suite on OpenZFS, and containers by the program. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { makePaths } from '../../../src/platform/paths.ts'
import type { ZfsVolume } from '../../../src/storage/zfs.ts'
import { repositoryRoot } from '../../helpers/addon.ts'
import { conformance } from '../../system/storage/conformance.ts'

const root = process.env.TSLXC_ROOT ?? ''
const program = join(repositoryRoot, 'dist/tslxc')
const tslxc = (...args: string[]) => execFileSync(program, args, { encoding: 'utf8' })
const inside = (name: string, script: string) => spawnSync(program, ['attach', name, '--', 'sh', '-c', script], { encoding: 'utf8' }).stdout
const recorded = (file: string) => (JSON.parse(readFileSync(join(root, 'var/lib/tslxc', file), 'utf8')) as { volume: ZfsVolume }).volume
const datasets = () => execFileSync('zfs', ['list', '-H', '-r', '-t', 'all', '-o', 'name', 'tank'], { encoding: 'utf8' }).trim().split('\n')

conformance('OpenZFS', {
  driver: 'zfs',
  expected: { cow: true, quota: true, snapshotsNeedFreeze: false },
  crashRounds: 6,
  async setUp() {
    const dir = mkdtempSync('/tmp/owners-')
    const owners = join(dir, 'lxc')
    mkdirSync(owners, { mode: 0o700 })
    return {
      paths: makePaths({ root: dir, installRoot: repositoryRoot }),
      dir: owners,
      pool: { zfsRoot: 'tank/lxc' },
      list: async () => datasets(),
      writeOut: () => void execFileSync('zpool', ['sync', 'tank']),
      tearDown: async () => rmSync(dir, { recursive: true }),
    }
  },
})

describe('containers on OpenZFS', () => {
  afterAll(() => tslxc('image', 'rm', '--all'))

  it('start, unprivileged, with their own ids', () => {
    writeFileSync(join(root, 'box.yaml'), 'net: [{ type: empty }]\n')
    tslxc('create', 'web', '-t', 'busybox', '-f', join(root, 'box.yaml'), '-B', 'zfs', '--zfsroot', 'tank/lxc')
    tslxc('start', 'web')
    expect(inside('web', 'grep " / " /proc/self/mounts')).toMatch(/^tank\/lxc\/web \/ zfs /)
    expect(inside('web', 'cat /proc/self/uid_map')).not.toMatch(/^ *0 +0 /)
    expect(inside('web', 'stat -c %u:%g / /bin; touch /root/file && chown 7:8 /root/file && stat -c %u:%g /root/file')).toBe(
      '0:0\n0:0\n7:8\n',
    )
  })

  it('are snapshotted while they run, and what was then comes back', () => {
    inside('web', 'echo first > /root/file')
    tslxc('snapshot', 'web')
    inside('web', 'echo second > /root/file')
    tslxc('copy', '-a', '-s', 'web', 'db')
    expect(recorded('db/volume.json').shift).not.toBe(recorded('web/volume.json').shift ?? -1)
    tslxc('stop', '-k', 'web')
    tslxc('snapshot', '-r', 'snap0', 'web')
    tslxc('start', 'web')
    expect(inside('web', 'cat /root/file; stat -c %u:%g /root/file')).toBe('first\n7:8\n')
    tslxc('start', 'db')
    expect(inside('db', 'cat /root/file; stat -c %u:%g /root/file')).toBe('second\n7:8\n')
  })

  it('go with all that stood for them', () => {
    for (const name of ['web', 'db']) tslxc('destroy', '-f', '-s', name)
    expect(datasets().filter((name) => !name.includes('image-'))).toEqual(['tank', 'tank/lxc'])
  })
})
