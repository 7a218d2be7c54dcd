import { describe, expect, it } from 'vitest'
import { deviceSizes } from '../../../src/container/device-size.ts'
import type { StorageDriver, VolumeRef } from '../../../src/storage/driver.ts'

const MIB = 1024 ** 2
const GIB = 1024 ** 3

/** A store whose devices are of a GiB where nobody says another size. */
const driver = (name: string): StorageDriver =>
  ({
    name,
    locate: async ({ pool }: VolumeRef) => ({ driver: name, path: '/x', sizeBytes: pool.sizeBytes ?? GIB }),
  }) as unknown as StorageDriver
const sizes = (imageBytes: number, sizeBytes?: number, name = 'loop') =>
  deviceSizes(driver(name), { dir: '/', name: 'rootfs', label: 'web', pool: { sizeBytes } }, { about: 'debian', sizeBytes: imageBytes })

describe('the sizes of devices', () => {
  it('are of no matter where there are none', async () => {
    expect(await sizes(GIB, 1, 'btrfs')).toBeUndefined()
  })

  it('are those of the store', async () => {
    expect(await sizes(300 * MIB)).toEqual({ volume: GIB, image: GIB })
  })

  it('grow with the image', async () => {
    expect(await sizes(2 * GIB)).toEqual({ volume: 2663 * MIB, image: 2663 * MIB })
  })

  it('are those wished for; images of a small one are small too, those of a large one are as large as ever', async () => {
    expect(await sizes(300 * MIB, 500 * MIB)).toEqual({ volume: 500 * MIB, image: 500 * MIB })
    expect(await sizes(300 * MIB, 20 * GIB)).toEqual({ volume: 20 * GIB, image: GIB })
  })

  it('have to do for the image', async () => {
    await expect(sizes(300 * MIB, 350 * MIB)).rejects.toMatchObject({
      code: 'no-space',
      message: expect.stringMatching(/^cannot put the image 'debian' on a device of 350\S* MiB: the content has 300\S* MiB$/),
      hint: 'make it 390 MiB at least: --fssize 390M, or limits.disk',
    })
  })
})
