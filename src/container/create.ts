/** Making a container: from a template's image, or with a configuration alone. */
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, dirname, isAbsolute } from 'node:path'
import type { Document } from 'yaml'
import { readSettings } from '../compile/settings.ts'
import { compileContainer, writeCompiled } from '../compile/write.ts'
import { loadConfig } from '../config/load.ts'
import { ExistsError, UsageError } from '../lib/errors.ts'
import { checkName } from '../lib/names.ts'
import { attachUndoErrors } from '../lib/undo.ts'
import { loadAddon } from '../platform/addon.ts'
import { fileError, readTextIfPresent } from '../platform/files.ts'
import type { Volume, VolumeRef } from '../storage/driver.ts'
import { storageDriver } from '../storage/index.ts'
import { renderFile } from '../template/render.ts'
import { type ConfigLayer, draftConfig, ensureInterface, renderConfig } from './build-config.ts'
import { absentBridges, type GivenAddress, giveAddresses } from './create-network.ts'
import { dressRootfs } from './dress.ts'
import { allocateIds, idmapLine } from './ids.ts'
import { type PreparedTemplate, prepareTemplate, type Surroundings, withTemplateImage } from './images.ts'
import type { ContainerRecord, StoreContext } from './store.ts'
import { alreadyExists, containerExists, rootfsRef } from './store.ts'
import { ownerOf } from './sweep.ts'
import { beginCreation, type Creation } from './transaction.ts'

export interface CreateRequest {
  readonly name: string
  /** `none`: no root file system. */
  readonly template: string
  readonly templateOptions: Readonly<Record<string, unknown>>
  readonly mirror?: string | undefined
  readonly flushCache: boolean
  /** Instead of the default configuration. */
  readonly configFile?: string | undefined
  /** Name of a storage driver. */
  readonly storage: string
  /** Absolute path of the root file system to be; absent: below the container's directory. */
  readonly dir?: string | undefined
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
  /** Absent for `none`. */
  readonly prepared?: PreparedTemplate
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
    const config = await checkedConfig(creation, plan, draft.document)
    const volume = await makeVolume(creation, context, plan)
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
  checkDir(request)
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
  return {
    request,
    ...(prepared === undefined ? {} : { prepared }),
    layers: await readLayers(paths, request, prepared),
    ...(authorizedKeys === undefined ? {} : { authorizedKeys }),
    ...(password === undefined ? {} : { password }),
  }
}

function checkDir({ dir, template }: CreateRequest): void {
  if (dir === undefined) return
  if (!isAbsolute(dir)) throw new UsageError(`cannot use --dir '${dir}': it is not an absolute path`)
  if (template === 'none') throw new UsageError("cannot use --dir: template 'none' makes no root file system")
  // It is removed when the creation fails: nobody else's must be taken for ours.
  if (existsSync(dir)) throw new ExistsError(`cannot create '${dir}': it already exists`, { hint: 'pass a path that is not there yet' })
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
async function draftOf(creation: Creation, { request, layers, prepared }: Plan): Promise<Draft> {
  const { context, container } = creation
  const owner = ownerOf(context.paths, container)
  const ids = request.privileged ? undefined : await allocateIds(context, owner)
  const rootfs = prepared === undefined ? undefined : (request.dir ?? `${container.dir}/rootfs`)
  const document = draftConfig({
    layers,
    hostname: request.hostname ?? request.name,
    shares: request.shares,
    dns: request.dns,
    ...(rootfs === undefined ? {} : { rootfsPath: `${request.storage}:${rootfs}` }),
    ...(ids === undefined ? {} : { idmap: idmapLine(ids) }),
    ...(request.link === undefined ? {} : { link: request.link }),
  })
  if (request.ip !== undefined) ensureInterface(document)
  const { ip, gateway } = request
  const addresses = await giveAddresses(context, document, { owner, ip, gateway, choose: prepared !== undefined })
  return { document, addresses }
}

/** The text of config.yaml; compiled once, so that what is wrong with it is said before anything is fetched. */
async function checkedConfig(
  { context: { paths }, container }: Creation,
  { request, prepared }: Plan,
  document: Document,
): Promise<string> {
  const values = Object.entries(prepared?.values ?? {}).filter(([, value]) => value !== '' && value !== false && String(value) !== '')
  const text = renderConfig(document, {
    name: container.name,
    template: request.template,
    parameters: values.map(([key, value]) => `${key}=${String(value)}`).join(' '),
    version: request.version,
    ...(prepared === undefined ? {} : { templateDigest: prepared.template.digest }),
  })
  if (prepared !== undefined) await compileContainer(paths, container.name, { text, justMade: true })
  // Without a root file system it can't be started yet: its keys alone are checked.
  else loadConfig(container.configFile, { confDirs: paths.confDirs, text })
  return text
}

async function makeVolume(creation: Creation, around: Surroundings, plan: Plan): Promise<Volume | undefined> {
  const { request, prepared } = plan
  if (prepared === undefined) return undefined
  const { paths, signal, onStep } = around
  const driver = storageDriver(paths, request.storage)
  const at: VolumeRef =
    request.dir === undefined
      ? rootfsRef(creation.container)
      : { ...rootfsRef(creation.container), dir: dirname(request.dir), name: basename(request.dir) }
  const volume = await withTemplateImage(around, prepared, async (image) => {
    onStep({ text: 'copying the root file system' })
    await creation.willMake(await driver.locate(at))
    return await driver.clone(image.volume, at, { signal })
  })
  await driver.withMounted(volume, (root) => dress(paths.installRoot, root, plan))
  return volume
}

async function dress(installRoot: string, path: string, { authorizedKeys, password }: Plan): Promise<void> {
  const root = loadAddon(installRoot).openRootfsDir(path)
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
  const { request, prepared, authorizedKeys, password } = plan
  return {
    name: request.name,
    configFile,
    ...(volume === undefined ? {} : { rootfs: volume.path }),
    ...(prepared === undefined ? {} : { image: prepared.wanted.about }),
    addresses,
    unprivileged: !request.privileged,
    rootLogin: [...(password === undefined ? [] : (['password'] as const)), ...(authorizedKeys === undefined ? [] : (['key'] as const))],
  }
}
