import { expect, it } from 'vitest'
import { diskText } from '../../../src/commands/df.ts'

const MIB = 1024 ** 2

it('shows containers, snapshots below them, what is shared, and the stores', async () => {
  const text = await diskText({
    containers: [
      {
        name: 'db',
        driver: 'loop',
        usedBytes: 3 * MIB,
        referencedBytes: 25.1 * MIB,
        limitBytes: 100 * MIB,
        snapshots: [{ name: 'db@snap0', driver: 'loop', usedBytes: 0, referencedBytes: MIB }],
      },
      { name: 'lost', driver: 'dir', error: { code: 'host', message: 'cannot measure it' } },
      { name: 'none' },
    ],
    shared: [
      { what: 'images', count: 1, usedBytes: 512 },
      { what: 'layers', count: 2, usedBytes: MIB },
      { what: 'trash', count: 0, usedBytes: 0 },
    ],
    stores: [
      { name: '/', type: 'ext4', sizeBytes: 10 * MIB, usedBytes: 4 * MIB, remedy: '' },
      { name: 'vg/lxc', type: 'thin pool', sizeBytes: 10 * MIB, usedBytes: 11 * MIB, metadataPercent: 41.4, remedy: '' },
    ],
    totalUsedBytes: 5 * MIB,
  })
  expect(text).toBe(`\
NAME                 DRIVER  USED       REFERENCED  LIMIT       USE%
db                   loop    3.00 MiB   25.10 MiB   100.00 MiB  26%
  db@snap0           loop    0 bytes    1.00 MiB    -           -
lost                 dir     unknown    -           -           -
none                 -       -          -           -           -
(1 image in stores)  -       512 bytes  -           -           -
(2 shared layers)    -       1.00 MiB   -           -           -
total                -       5.00 MiB   -           -           -

STORE   TYPE       SIZE       USED       FREE      USE%
/       ext4       10.00 MiB  4.00 MiB   6.00 MiB  40%
vg/lxc  thin pool  10.00 MiB  11.00 MiB  0 bytes   110%, metadata 41%
`)
})
