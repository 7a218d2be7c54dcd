/** The effective configuration of a container: its file and all it includes, checked and merged. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { HostError, NotFoundError } from '../lib/errors.ts'
import type { Items } from '../lib/fields.ts'
import { checkFile } from './check.ts'
import { errorAt, parseYaml, type YamlFile } from './document.ts'
import type { LoadedConfig } from './loaded.ts'
import { mergeFile, Origins } from './merge.ts'
import { PermissionCheck } from './permissions.ts'
import { type Config, type ConfigFile, containerSchema } from './schema.ts'
import { checkWhole } from './whole.ts'

export interface LoadOptions {
  /** Searched for included files after the including file's own directory. */
  readonly confDirs: readonly string[]
  /** Stands for the content of the file, e.g. before it is saved. */
  readonly text?: string
  /** YAML that comes last, as if written at the end of the file: `start -s`. */
  readonly overrides?: readonly string[]
  /** Whose files are trusted besides root's; absent: owners and modes are not looked at. */
  readonly trustedUid?: number
  /** Instead of `trustedUid`: what was looked at already is not looked at again. */
  readonly permissions?: PermissionCheck
}

interface Loading {
  readonly options: LoadOptions
  readonly tree: Record<string, unknown>
  readonly origins: Origins
  readonly inputs: Set<string>
  readonly stack: readonly string[]
  readonly permissions: PermissionCheck | undefined
}

/** @throws ConfigError · NotFoundError when the file is absent · HostError `permission` */
export function loadConfig(file: string, options: LoadOptions): LoadedConfig {
  const permissions = options.permissions ?? (options.trustedUid === undefined ? undefined : new PermissionCheck(options.trustedUid))
  const loading: Loading = { options, tree: {}, origins: new Origins(), inputs: new Set(), stack: [], permissions }
  loadFile(file, options.text ?? readInput(file), loading)
  for (const text of options.overrides ?? []) loadFile('command line', text, loading)
  const loaded: LoadedConfig = { file, config: loading.tree as Config, origins: loading.origins, inputs: [...loading.inputs] }
  checkWhole(loaded)
  return loaded
}

function readInput(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') throw new NotFoundError(`cannot read '${file}': there is no such file`, { cause: error })
    throw new HostError(`cannot read '${file}': ${code === 'EACCES' ? 'permission denied' : code}`, { code: 'permission', cause: error })
  }
}

function loadFile(file: string, text: string, loading: Loading): void {
  if (isAbsolute(file)) {
    loading.permissions?.check(file)
    loading.inputs.add(file)
  }
  const { source, checked } = loading.stack.length === 0 ? understandFirst(file, text) : understandIncluded(file, text)
  includedNames(checked.include).forEach(({ name, index }) => {
    include(name, { source, index }, { ...loading, stack: [...loading.stack, file] })
  })
  mergeFile(loading.tree, checked as Record<string, unknown>, source, loading.origins)
}

interface Understood {
  readonly source: YamlFile
  readonly checked: ConfigFile
}

function understand(file: string, text: string): Understood {
  const source = parseYaml(file, text)
  return { source, checked: checkFile(source, containerSchema) as ConfigFile }
}

let latest: Understood | undefined

/** A command looks at a container before it has its lock, and again under it. */
function understandFirst(file: string, text: string): Understood {
  if (latest?.source.file !== file || latest.source.text !== text) latest = understand(file, text)
  return latest
}

const included = new Map<string, Understood>()

/** Many containers include the same few files: when many are compiled, each is parsed and checked once. Merging changes none. */
function understandIncluded(file: string, text: string): Understood {
  const known = included.get(file)
  if (known?.source.text === text) return known
  const understood = understand(file, text)
  included.set(file, understood)
  return understood
}

function includedNames(include: Items<string> | null | undefined): { name: string; index: number }[] {
  let names: { name: string; index: number }[] = []
  include?.items.forEach((name, index) => {
    if (name === null) names = []
    else names.push({ name, index })
  })
  return names
}

function include(name: string, from: { source: YamlFile; index: number }, loading: Loading): void {
  const files = findIncluded(name, dirname(from.source.file), loading)
  if (files === undefined) {
    const places = isAbsolute(name) ? [] : loading.options.confDirs
    const where = isAbsolute(name) ? '' : ` beside this file or in ${places.join(', ')}`
    throw errorAt(from.source, ['include', from.index], `cannot include '${name}': there is no such file${where}`)
  }
  for (const file of files) {
    if (loading.stack.includes(file)) throw errorAt(from.source, ['include', from.index], `cannot include '${file}': it includes itself`)
    loadFile(file, readInput(file), loading)
  }
}

/** One file, or the files of all directories of that name; of files of one name the first place's. */
function findIncluded(name: string, ownDir: string, loading: Loading): readonly string[] | undefined {
  const candidates = isAbsolute(name) ? [name] : [ownDir, ...loading.options.confDirs].map((dir) => resolve(dir, name))
  const byName = new Map<string, string>()
  let found = false
  for (const path of new Set(candidates)) {
    loading.inputs.add(path)
    const stats = statSync(path, { throwIfNoEntry: false })
    if (stats === undefined) continue
    if (!stats.isDirectory()) return found ? sorted(byName) : [path]
    found = true
    loading.permissions?.check(path)
    for (const entry of readdirSync(path))
      if (entry.endsWith('.yaml') && !entry.startsWith('.') && !byName.has(entry)) byName.set(entry, join(path, entry))
  }
  return found ? sorted(byName) : undefined
}

const sorted = (byName: ReadonlyMap<string, string>): string[] => [...byName.keys()].sort().map((name) => byName.get(name) ?? name)
