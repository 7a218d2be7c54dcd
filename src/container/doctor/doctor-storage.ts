/** The stores of containers: which are nearly full, and what lies in them that nobody needs any more. */
import type { Paths } from '../../platform/paths.ts'
import { collectLayers } from '../../storage/layers.ts'
import { storesOf } from '../disk/disk-usage.ts'
import { listSnapshots } from '../snapshot/snapshot-store.ts'
import { listContainers } from '../store.ts'
import { listVolumes } from '../volume-records.ts'
import { type Finding, Findings } from './doctor-report.ts'

const NEARLY_FULL = 80

/** Removes layers that a crash has left. */
export async function checkStores(paths: Paths): Promise<Finding[]> {
  const found = new Findings('storage')
  const volumes = (await listVolumes(paths)).map(({ volume }) => volume)
  for (const { name, type, sizeBytes, usedBytes, metadataPercent = 0, remedy } of await storesOf(paths, volumes)) {
    const percent = sizeBytes === 0 ? 0 : Math.floor((usedBytes * 100) / sizeBytes)
    const text = `${type} ${name}: ${percent} % used${metadataPercent === 0 ? '' : `, ${Math.floor(metadataPercent)} % of its metadata`}`
    if (percent >= NEARLY_FULL || metadataPercent >= NEARLY_FULL) found.warn(text, remedy)
    else found.ok(text)
  }
  const now = Date.now()
  const all = await Promise.all(listContainers(paths).map(listSnapshots))
  const expired = all.flat().filter(({ expires }) => expires !== undefined && Date.parse(expires) < now).length
  if (expired > 0) found.warn(`snapshots past their time: ${expired}`, 'tslxc snapshot --due')
  const layers = (await collectLayers(paths)).length
  if (layers > 0) found.ok(`removed layers that nobody used: ${layers}`)
  return found.list
}
