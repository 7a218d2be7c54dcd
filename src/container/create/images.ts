/** From a template and its options to an image in the cache: where template, image and storage meet. */
import { fingerprintOf, type ImageCache, type ImageRecord, type ImageWanted, imagesDir, withImage } from '../../image/cache.ts'
import { parseSource } from '../../image/index.ts'
import type { OnStep } from '../../lib/progress.ts'
import { architecture, hasUserNamespaces, hostLocale } from '../../platform/host.ts'
import type { Paths } from '../../platform/paths.ts'
import type { Volume } from '../../storage/driver.ts'
import { storageDriver } from '../../storage/index.ts'
import { loadTemplate, type Template } from '../../template/load.ts'
import { type HostFacts, type OptionValue, optionValues, templateData } from '../../template/options.ts'
import { renderFile, renderTree, type TemplateData } from '../../template/render.ts'
import { allocateIds, releaseIds } from '../ids.ts'
import type { StoreContext } from '../store.ts'

export interface TemplateRequest {
  readonly template: string
  /** By option name; undefined: not given. */
  readonly options: Readonly<Record<string, unknown>>
  /** TSLXC_MIRROR: for templates that have an option `mirror`, when it is not given. */
  readonly mirror?: string | undefined
  readonly refresh: boolean
}

export interface Surroundings {
  readonly paths: Paths
  /** Names us to those who wait, e.g. `tslxc create`. */
  readonly command: string
  readonly signal?: AbortSignal | undefined
  readonly onStep: OnStep
}

export interface PreparedTemplate {
  readonly template: Template
  readonly values: Readonly<Record<string, OptionValue>>
  readonly data: TemplateData
  readonly wanted: ImageWanted
  readonly fingerprint: string
}

export function hostFacts(): HostFacts {
  const { debian, lxc } = architecture()
  return { arch: debian, lxcArch: lxc, locale: hostLocale() }
}

/** Loads, checks and renders; fetches nothing. @throws UsageError · NotFoundError · ConfigError · HostError */
export async function prepareTemplate(
  { paths, command }: Pick<Surroundings, 'paths' | 'command'>,
  request: TemplateRequest,
): Promise<PreparedTemplate> {
  const template = loadTemplate(paths, request.template)
  const facts = hostFacts()
  const mirror = request.mirror === undefined ? {} : { mirror: request.mirror }
  const given = Object.fromEntries(Object.entries(request.options).filter(([, value]) => value !== undefined))
  const values = optionValues(template, { ...mirror, ...given }, facts)
  const data = templateData(values, facts)
  const file = `${template.dir}/template.yaml`
  const { source, options } = parseSource(renderTree(template.source, data, file) as { kind: string }, file)
  const setupScript = template.setupFile === undefined ? undefined : renderFile(template.setupFile, data)
  const place = { templateDir: template.dir }
  const identity = { kind: source.kind, source: await source.identity(options, place), setup: setupScript ?? '' }
  const fingerprint = fingerprintOf(identity)
  const wanted: ImageWanted = {
    about: source.describe(options),
    template: template.name,
    identity,
    refresh: request.refresh,
    duration: template.duration,
    fill: (work) => {
      const fetch = (firstId?: number) => source.fetch(options, { ...work, ...place, setupScript, firstId })
      return source.runsGuestCode ? withIds({ paths, command }, fingerprint, fetch) : fetch()
    },
  }
  return { template, values, data, wanted, fingerprint }
}

/** Lends host ids that are nobody's for a while. A fetch that was killed leaves them to the next one of the same image. */
async function withIds(context: StoreContext, fingerprint: string, use: (firstId?: number) => Promise<void>): Promise<void> {
  if (!hasUserNamespaces()) return await use()
  const owner = { lxcpath: imagesDir(context.paths), name: fingerprint }
  const { first } = await allocateIds(context, owner)
  try {
    await use(first)
  } finally {
    await releaseIds(context, owner)
  }
}

/** The image, fetched unless it is cached; it stays while `use` runs. */
export async function withTemplateImage<T>(
  around: Surroundings,
  prepared: PreparedTemplate,
  use: (image: ImageRecord<Volume>) => Promise<T>,
): Promise<T> {
  return await withImage(imageCache(around), prepared.wanted, use)
}

/** Images are volumes of the driver that needs nothing of the host. */
export function imageCache({ paths, command, signal, onStep }: Surroundings): ImageCache<Volume> {
  return { paths, command, signal, onStep, volumes: storageDriver(paths, 'dir') }
}

export interface FetchedImage {
  readonly fingerprint: string
  readonly about: string
  readonly sizeBytes: number
  /** Nothing was fetched: it was there. */
  readonly cached: boolean
}

/** `image fetch`. */
export async function fetchTemplateImage(around: Surroundings, request: TemplateRequest): Promise<FetchedImage> {
  const prepared = await prepareTemplate(around, request)
  const started = new Date().toISOString()
  return await withTemplateImage(around, prepared, async ({ about, sizeBytes, createdAt }) => ({
    fingerprint: prepared.fingerprint,
    about,
    sizeBytes,
    cached: createdAt < started,
  }))
}
