/** Making a container: from a template's image, or with a configuration alone. */
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Document } from 'yaml'
import { readSettings } from '../../compile/settings.ts'
import { compileContainer, writeCompiled } from '../../compile/write.ts'
import { loadConfig } from '../../config/load.ts'
import type { Config } from '../../config/schema.ts'
import { UsageError } from '../../lib/errors.ts'
import { checkName } from '../../lib/names.ts'
import { attachUndoErrors } from '../../lib/undo.ts'
import { loadAddon, type NativeRootfsDir } from '../../platform/addon.ts'
import { fileError, readTextIfPresent } from '../../platform/files.ts'
import { withGuestIds } from '../../platform/rootfs-dir.ts'
import type { Volume } from '../../storage/driver.ts'
import { shiftVolume } from '../../storage/generic.ts'
import { volumeText } from '../../storage/index.ts'
import { renderFile } from '../../template/render.ts'
import { dressRootfs } from '../dress.ts'
import { allocateIds, idmapLine, shiftOf } from '../ids.ts'
import type { ContainerRecord, StoreContext } from '../store.ts'
import { alreadyExists, containerExists } from '../store.ts'
import { ownerOf } from '../sweep.ts'
import { beginCreation, type Creation } from '../transaction.ts'
import { type ConfigLayer, draftConfig, ensureInterface, renderConfig } from './build-config.ts'
import type { StorageWish } from './choose-storage.ts'
import { absentBridges, type GivenAddress, giveAddresses } from './create-network.ts'
import { type CreatedStorage, checkPlace, createdStorage, makeVolume, planRootfs, type RootfsPlan, requireLimit } from './create-storage.ts'
import { type PreparedTemplate, prepareTemplate, type Surroundings } from './images.ts'

export interface CreateRequest {
  readonly name: string
  /** `none`: no root file system. */
  readonly template: string
  readonly templateOptions: Readonly<Record<string, unknown>>
  readonly mirror?: string | undefined
  readonly flushCache: boolean
  /** Instead of the default configuration. */
  readonly configFile?: string | undefined
  /** What was said about the storage; its `dir` is an absolute path, absent: below the container's directory. */
  readonly storage: StorageWish
  /** `ADDRESS[/PREFIX]`, `auto` or `dhcp`. */
  readonly ip?: string | undefined
  readonly link?: string | undefined
  readonly gateway?: string | undefined
  readonly shares: readonly string[]
  readonly dns: readonly string[]
  readonly privileged: boolean
  readonly hostname?: string | undefined
  readonly passwordFile?: string | undefined
  readonly authKeyFile?: string | undefined
  /** Of the program, for the header of config.yaml. */
  readonly version: string
}

export interface CreatedContainer {
  readonly name: string
  readonly configFile: string
  /** Absent: none that we made. */
  readonly rootfs?: string
  readonly storage?: CreatedStorage
  /** What it was made from, for people; absent for `none`. */
  readonly image?: string
  readonly addresses: readonly GivenAddress[]
  /** Bridges that its start needs and the host lacks now. */
  readonly absentBridges: readonly string[]
  readonly unprivileged: boolean
  /** How root can log in on the console or by ssh; empty: not at all. */
  readonly rootLogin: readonly ('password' | 'key')[]
}

/** What is known before anything is made. */
interface Plan {
  readonly request: CreateRequest
  /** Absent for `none`, as is the storage. */
  readonly prepared?: PreparedTemplate
  readonly storage?: RootfsPlan
  readonly layers: readonly ConfigLayer[]
  readonly authorizedKeys?: string
  readonly password?: string
}

/**
 * Makes a container, or nothing at all.
 * @throws ExistsError with LXC's phrase · BusyError · ConfigError · UsageError · HostError · TslxcError `aborted`
 */
export async function createContainer(context: StoreContext & Surroundings, request: CreateRequest): Promise<CreatedContainer> {
  const plan = await makePlan(context, request)
  try {
    await using creation = await beginCreation(context, request.name)
    const draft = await draftOf(creation, plan)
    const { idmap } = await checkConfig(creation, plan, draft.document)
    const volume = await makeRootfs(creation, context, plan, idmap)
    const config = configWith(plan, creation, draft.document, volume)
    const made = await creation.commit({ config, record: recordOf(plan), ...(volume === undefined ? {} : { volume }) })
    // Only a cache: whoever needs it next makes it again. Nobody else can have written these files within the same tick.
    if (volume !== undefined) await writeCompiled(context.paths, request.name, { justMade: true }).catch(() => undefined)
    return { ...report(plan, made.configFile, draft.addresses, volume), absentBridges: await absentBridges(draft.addresses) }
  } catch (error) {
    throw attachUndoErrors(error)
  }
}

async function makePlan(context: Surroundings, request: CreateRequest): Promise<Plan> {
  const { paths } = context
  checkName(request.name)
  if (containerExists(paths, request.name)) throw alreadyExists(request.name)
  checkPlace(request)
  if (request.gateway !== undefined && (request.ip === undefined || request.ip === 'dhcp')) {
    throw new UsageError('cannot use --gw without a fixed address', { hint: 'pass --ip ADDRESS, or leave --gw out' })
  }
  const { template, templateOptions: options, mirror, flushCache: refresh } = request
  const prepared = template === 'none' ? undefined : await prepareTemplate(context, { template, options, mirror, refresh })
  const authorizedKeys = request.authKeyFile === undefined ? undefined : await readGiven(request.authKeyFile)
  const password = request.passwordFile === undefined ? undefined : firstLine(await readGiven(request.passwordFile), request.passwordFile)
  if (prepared === undefined && (authorizedKeys ?? password) !== undefined) {
    throw new UsageError("cannot open root's account: template 'none' makes no root file system")
  }
  const layers = await readLayers(paths, request, prepared)
  const storage = prepared === undefined ? undefined : await planRootfs(context, { wish: request.storage, name: request.name, layers })
  return {
    request,
    ...(prepared === undefined ? {} : { prepared }),
    ...(storage === undefined ? {} : { storage }),
    layers,
    ...(authorizedKeys === undefined ? {} : { authorizedKeys }),
    ...(password === undefined ? {} : { password }),
  }
}

async function readGiven(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw fileError('read', path, error)
  }
}

function firstLine(text: string, path: string): string {
  const [line = ''] = text.split(/\r?\n/)
  if (line === '') throw new UsageError(`cannot use the password in '${path}': its first line is empty`)
  return line
}

/** Defaults < template < the caller's file, which stands in the place of the defaults. */
async function readLayers(
  paths: Surroundings['paths'],
  request: CreateRequest,
  prepared: PreparedTemplate | undefined,
): Promise<ConfigLayer[]> {
  const { configFile, name, hostname } = request
  const layers: ConfigLayer[] = []
  if (configFile === undefined) {
    const file = readSettings(paths).values['lxc.default_config']
    const text = file === undefined ? undefined : await readTextIfPresent(file)
    if (file !== undefined && text !== undefined) layers.push({ file, text })
  }
  if (prepared !== undefined) {
    const { configFile: file } = prepared.template
    layers.push({ file, text: renderFile(file, { ...prepared.data, name: hostname ?? name }) })
  }
  if (configFile !== undefined) {
    // Said with its own name and lines, not those of the file it becomes a part of.
    loadConfig(configFile, { confDirs: paths.confDirs })
    layers.push({ file: configFile, text: await readGiven(configFile) })
  }
  return layers
}

interface Draft {
  readonly document: Document
  readonly addresses: readonly GivenAddress[]
}

/** The configuration with what had to be allocated for it: ids and addresses. */
async function draftOf(creation: Creation, { request, layers, prepared, storage }: Plan): Promise<Draft> {
  const { context, container } = creation
  const owner = ownerOf(context.paths, container)
  const ids = request.privileged ? undefined : await allocateIds(context, owner)
  // Of a volume that stands on others the path is known when it is made.
  const rootfs = storage === undefined ? undefined : volumeText(await storage.driver.locate(storage.at))
  const document = draftConfig({
    layers,
    hostname: request.hostname ?? request.name,
    shares: request.shares,
    dns: request.dns,
    ...(rootfs === undefined ? {} : { rootfsPath: rootfs }),
    ...(ids === undefined ? {} : { idmap: idmapLine(ids) }),
    ...(request.link === undefined ? {} : { link: request.link }),
  })
  if (request.ip !== undefined) ensureInterface(document)
  const { ip, gateway } = request
  const addresses = await giveAddresses(context, document, { owner, ip, gateway, choose: prepared !== undefined })
  return { document, addresses }
}

/** Compiled once, so that what is wrong with it is said before anything is fetched. */
async function checkConfig(creation: Creation, plan: Plan, document: Document): Promise<Config> {
  const { context, container } = creation
  const { paths } = context
  const text = configWith(plan, creation, document)
  if (plan.storage === undefined) {
    // Without a root file system it can't be started yet: its keys alone are checked.
    return loadConfig(container.configFile, { confDirs: paths.confDirs, text }).config
  }
  const { config } = await compileContainer(paths, container.name, { text, justMade: true })
  requireLimit(plan.storage, config.limits?.disk)
  return config
}

/** The text of config.yaml. */
function configWith({ request, prepared }: Plan, { container }: Creation, document: Document, volume?: Volume): string {
  if (volume !== undefined) document.setIn(['rootfs', 'path'], volumeText(volume))
  const values = Object.entries(prepared?.values ?? {}).filter(([, value]) => value !== '' && value !== false && String(value) !== '')
  return renderConfig(document, {
    name: container.name,
    template: request.template,
    parameters: values.map(([key, value]) => `${key}=${String(value)}`).join(' '),
    version: request.version,
    ...(prepared === undefined ? {} : { templateDigest: prepared.template.digest }),
  })
}

async function makeRootfs(creation: Creation, around: Surroundings, plan: Plan, idmap: Config['idmap']): Promise<Volume | undefined> {
  const { storage, prepared } = plan
  if (storage === undefined || prepared === undefined) return undefined
  const { paths, signal } = around
  const volume = await shiftVolume(paths, await makeVolume(creation, around, { storage, prepared }), shiftOf(storage, idmap), { signal })
  await storage.driver.withMounted(volume, (path) =>
    dress(withGuestIds(loadAddon(paths.installRoot).openRootfsDir(path), volume.shift), plan),
  )
  return volume
}

async function dress(root: NativeRootfsDir, { authorizedKeys, password }: Plan): Promise<void> {
  try {
    await dressRootfs(root, { authorizedKeys, password })
  } finally {
    root.close()
  }
}

function recordOf({ request, prepared }: Plan): ContainerRecord {
  return {
    version: 1,
    uuid: randomUUID(),
    template: request.template,
    options: prepared?.values ?? {},
    ...(prepared === undefined ? {} : { image: prepared.fingerprint }),
    guest: prepared?.template.guest ?? { network: 'none', init: 'sysv' },
    createdAt: new Date().toISOString(),
  }
}

function report(
  plan: Plan,
  configFile: string,
  addresses: readonly GivenAddress[],
  volume: Volume | undefined,
): Omit<CreatedContainer, 'absentBridges'> {
  const { request, prepared, storage, authorizedKeys, password } = plan
  return {
    name: request.name,
    configFile,
    ...(volume === undefined || storage === undefined ? {} : { rootfs: volume.path, storage: createdStorage(storage, volume) }),
    ...(prepared === undefined ? {} : { image: prepared.wanted.about }),
    addresses,
    unprivileged: !request.privileged,
    rootLogin: [...(password === undefined ? [] : (['password'] as const)), ...(authorizedKeys === undefined ? [] : (['key'] as const))],
  }
}
