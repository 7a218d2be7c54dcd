/** What of a snapshot's configuration can't be put back: ids that are the container's for ever, addresses that are others' by now. */
import { isScalar, isSeq, type Node } from 'yaml'
import { parseYaml } from '../../config/document.ts'
import { findKey, setKey, unsetKey } from '../../config/edit.ts'
import { loadConfig } from '../../config/load.ts'
import { ExistsError } from '../../lib/errors.ts'
import { isOwnedBy } from '../../lib/owner.ts'
import { readLeases } from '../../network/leases.ts'
import type { Paths } from '../../platform/paths.ts'
import type { Container } from '../store.ts'
import { ownerOf } from '../sweep.ts'

/** The snapshot's text with the id range that the container has now. */
export function withPresentIds(file: string, text: string, present: string): string {
  const now = idmapOf(file, present)
  if (JSON.stringify(now) === JSON.stringify(idmapOf(file, text))) return text
  return now === undefined ? (unsetKey(file, text, 'idmap') ?? text) : setKey(file, text, 'idmap', JSON.stringify(now))
}

function idmapOf(file: string, text: string): unknown {
  const node: Node | undefined = findKey(parseYaml(file, text).document, 'idmap')
  return isScalar(node) || isSeq(node) ? node.toJSON() : undefined
}

/** @throws ExistsError when an address of the snapshot belongs to another container by now */
export async function requireFreeAddresses(paths: Paths, container: Container, text: string): Promise<void> {
  const { config } = loadConfig(container.configFile, { confDirs: paths.confDirs, text })
  const others = (await readLeases(paths)).filter((lease) => !isOwnedBy(lease, ownerOf(paths, container)))
  if (others.length === 0) return
  for (const { link, ipv4 } of config.net ?? []) {
    for (const given of ipv4?.address ?? []) {
      if (typeof given === 'string') continue
      const { address } = given
      const holder = others.find((lease) => lease.network === link && lease.address === address)
      if (holder === undefined) continue
      throw new ExistsError(`cannot restore '${container.name}': its address ${address} belongs to '${holder.name}' by now`, {
        hint: 'pass --keep-config to restore the files alone, or change the address of the other one',
      })
    }
  }
}
