/** The configuration of an imported container: its own text, with what this host has given to others already replaced. */
import { loadConfig } from '../../config/load.ts'
import type { LoadedConfig } from '../../config/loaded.ts'
import { TslxcError } from '../../lib/errors.ts'
import { loadAddon } from '../../platform/addon.ts'
import { readTextIfPresent } from '../../platform/files.ts'
import type { StorageDriver, Volume } from '../../storage/driver.ts'
import { type OwnValues, planConfig } from '../copy/clone-config.ts'
import { giveCopyAddresses, type NetworkPlan, planNetwork } from '../copy/copy-network.ts'
import { isOneRange } from '../copy/copy-source.ts'
import { dressCopy } from '../dress.ts'
import { allocateIds, idmapLine } from '../ids.ts'
import {
  type Container,
  type ContainerRecord,
  type GuestInit,
  type GuestNetwork,
  listContainers,
  readRecord,
  type StoreContext,
} from '../store.ts'
import { ownerOf } from '../sweep.ts'
import { broken, CONFIG, type Manifest } from './archive-format.ts'

export interface ImportedConfig {
  /** The text of config.yaml. */
  render(rootfs: string | undefined): string
  /** Of a snapshot's. */
  renderSnapshot(text: string, rootfs: string): string
  /** No other container of this lxcpath has its uuid. */
  readonly sameMachine: boolean
  /** Inside, for a copy. */
  readonly hostname: string | undefined
  readonly limitBytes: number | undefined
  readonly addresses: readonly string[]
  readonly warnings: readonly string[]
}

export interface ImportSource {
  readonly manifest: Pick<Manifest, 'name' | 'dir'>
  readonly text: string
  readonly uuid: string
}

/** Allocates ids and addresses, which the undo of the creation gives back. @throws ConfigError */
export async function planImport(
  context: StoreContext,
  container: Container,
  { manifest, text, uuid }: ImportSource,
): Promise<ImportedConfig> {
  const { paths } = context
  const loaded = loadConfig(container.configFile, { confDirs: paths.confDirs, trustedUid: process.geteuid?.() ?? 0, text })
  const sameMachine = !(await isTaken(context, uuid))
  const { network, own, warnings } = await giveNetwork(context, container, loaded)
  const isShifted = /\bidmap=none\b/.test(String(loaded.config.rootfs?.options ?? ''))
  const hasOwnIds = /^idmap:/m.test(text) && isOneRange(loaded) && !isShifted
  const ids = hasOwnIds ? await allocateIds(context, ownerOf(paths, container)) : undefined
  const said = loaded.config.uts?.name
  // One that was chosen apart from the container's name is kept.
  const isRenamed = container.name !== manifest.name && (said === undefined || said === manifest.name)
  const values: OwnValues = {
    name: container.name,
    dir: container.dir,
    ...own,
    ...(ids === undefined ? {} : { idmap: `"${idmapLine(ids)}"` }),
  }
  const render = (source: string, rootfs: string | undefined): string =>
    planConfig(
      { name: manifest.name, dir: manifest.dir, file: CONFIG, text: source },
      {
        hostname: isRenamed,
        rootfs: rootfs !== undefined,
        idmap: hasOwnIds,
        hwaddrs: network.hwaddrs,
        addresses: network.addresses.map(({ index }) => index),
        ephemeral: false,
      },
    ).render({ ...values, rootfsPath: rootfs })
  return {
    render: (rootfs) => render(text, rootfs),
    renderSnapshot: (source, rootfs) => render(source, rootfs),
    sameMachine,
    hostname: isRenamed ? container.name : undefined,
    limitBytes: loaded.config.limits?.disk,
    addresses: [...(own.addresses?.values() ?? [])],
    warnings: [...warnings, ...powers(loaded)],
  }
}

/** What a configuration from elsewhere may do to this host. */
function powers({ config }: LoadedConfig): string[] {
  const hooks = Object.entries(config.hook ?? {}).filter(([, value]) => Array.isArray(value) && value.length > 0)
  return hooks.length === 0 ? [] : [`its configuration runs programs of this host: hook.${hooks.map(([key]) => key).join(', hook.')}`]
}

async function isTaken({ paths }: StoreContext, uuid: string): Promise<boolean> {
  for (const container of listContainers(paths)) if ((await readRecord(container))?.uuid === uuid) return true
  return false
}

interface GivenNetwork {
  readonly network: NetworkPlan
  readonly own: Pick<OwnValues, 'hwaddrs' | 'addresses'>
  readonly warnings: readonly string[]
}

/** Hardware and fixed addresses stay where nobody has them here. */
async function giveNetwork(context: StoreContext, container: Container, loaded: LoadedConfig): Promise<GivenNetwork> {
  const taken = await takenHwaddrs(context)
  const net = loaded.config.net ?? []
  const hwaddrs = net.flatMap(({ hwaddr }, index) => (hwaddr !== undefined && taken.includes(hwaddr.toLowerCase()) ? [index] : []))
  const planned = planNetwork(loaded, { keepMac: true })
  const sources = new Map(net.map(({ hwaddr }, index) => [index, hwaddr ?? '']))
  const give = async (addresses: NetworkPlan['addresses']) =>
    (await giveCopyAddresses(context, { hwaddrs, addresses, warnings: [] }, [container.name], sources))[0] ?? {}
  const asIs = planned.addresses.flatMap((address) => {
    const fixed = net[address.index]?.ipv4?.address?.find((one) => typeof one === 'object')
    return fixed === undefined || typeof fixed !== 'object'
      ? []
      : [{ ...address, request: { kind: 'static' as const, address: fixed.address, prefix: fixed.prefix } }]
  })
  const network: NetworkPlan = { hwaddrs, addresses: planned.addresses, warnings: [] }
  try {
    return { network: { ...network, addresses: asIs }, own: await give(asIs), warnings: [] }
  } catch (error) {
    if (!(error instanceof TslxcError)) throw error
    try {
      return { network, own: await give(planned.addresses), warnings: [`its address has changed: ${error.message}`, ...planned.warnings] }
    } catch (other) {
      if (!(other instanceof TslxcError)) throw other
      const warning = `its address is kept and not reserved: ${other.message}`
      return { network: { ...network, addresses: [] }, own: await give([]), warnings: [warning] }
    }
  }
}

/** In small letters, of every container of this lxcpath. */
async function takenHwaddrs({ paths }: StoreContext): Promise<string[]> {
  const texts = await Promise.all(listContainers(paths).map(({ configFile }) => readTextIfPresent(configFile)))
  return texts.flatMap((text) => [...(text ?? '').matchAll(/\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b/gi)].map(([address]) => address.toLowerCase()))
}

const NETWORKS: readonly GuestNetwork[] = ['networkd', 'ifupdown', 'busybox', 'none']
const INITS: readonly GuestInit[] = ['systemd', 'busybox', 'sysv']

/** @throws TslxcError when it is malformed */
export function recordFrom(text: string | undefined, { uuid }: Pick<Manifest, 'uuid'>): ContainerRecord {
  const none = { template: 'none', options: {}, guest: { network: 'none', init: 'sysv' }, createdAt: new Date().toISOString() } as const
  if (text === undefined) return { ...none, version: 1, uuid: uuid ?? crypto.randomUUID() }
  const read = parsed(text)
  const network = NETWORKS.find((one) => one === read.guest?.network)
  const init = INITS.find((one) => one === read.guest?.init)
  const isText = (value: unknown): value is string => typeof value === 'string' && value.length < 1000
  if (network === undefined || init === undefined || !isText(read.uuid) || !isText(read.template) || !isText(read.createdAt)) {
    throw broken('its record.json is malformed')
  }
  const { template, createdAt, options, image } = read
  return {
    version: 1,
    uuid: read.uuid,
    template,
    options: typeof options === 'object' && options !== null ? options : {},
    ...(isText(image) ? { image } : {}),
    guest: { network, init },
    createdAt,
  }
}

function parsed(text: string): Partial<ContainerRecord> {
  try {
    return (JSON.parse(text) ?? {}) as Partial<ContainerRecord>
  } catch {
    throw broken('its record.json is malformed')
  }
}

/** As a copy on the same host: another machine than its source. */
export async function dressImported(
  { paths }: StoreContext,
  { driver, volume }: { readonly driver: StorageDriver; readonly volume: Volume },
  hostname: string | undefined,
): Promise<void> {
  await driver.withMounted(volume, async (mountedAt) => {
    const root = loadAddon(paths.installRoot).openRootfsDir(mountedAt)
    try {
      dressCopy(root, hostname)
    } finally {
      root.close()
    }
  })
}
