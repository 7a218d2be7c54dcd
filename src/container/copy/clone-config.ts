/**
 * The config.yaml of a copy or of a renamed container: the source's own text, byte for byte, with the values replaced that
 * belong to one container alone. The text is read once; each of many copies costs a few replacements.
 */
import { type Document, type Scalar, visit } from 'yaml'
import { parseYaml } from '../../config/document.ts'
import { findKey, setKey } from '../../config/edit.ts'

export interface SourceConfig {
  readonly name: string
  /** Absolute path of the container's directory. */
  readonly dir: string
  readonly file: string
  readonly text: string
}

/** Which values a copy has of its own; the others are the source's. */
export interface OwnKeys {
  readonly hostname: boolean
  readonly rootfs: boolean
  readonly idmap: boolean
  /** Numbers of interfaces. */
  readonly hwaddrs: readonly number[]
  readonly addresses: readonly number[]
  readonly ephemeral: boolean
  /** Without `limits.disk`, whichever file says it. */
  readonly unlimited?: boolean
  /** Lines that come after those of `mount.entry`. A path below the source's directory becomes one below the copy's. */
  readonly mountEntries?: readonly string[]
}

export interface OwnValues {
  readonly name: string
  readonly dir: string
  readonly rootfsPath?: string | undefined
  /** `b 0 1000000 65536` */
  readonly idmap?: string | undefined
  readonly hwaddrs?: ReadonlyMap<number, string>
  /** `10.0.4.10/24` or `dhcp`. */
  readonly addresses?: ReadonlyMap<number, string>
}

type Value = (own: OwnValues) => string

interface Replacement {
  readonly start: number
  readonly end: number
  readonly value: Value
}

/** What is the same in all copies of one container. */
export interface ConfigPlan {
  render(own: OwnValues): string
  /** Paths below the container's directory that the text names. */
  readonly ownPaths: readonly string[]
}

const PLACEHOLDER = 'placeholder'

/** @throws ConfigError when the text is no YAML */
export function planConfig(source: SourceConfig, keys: OwnKeys): ConfigPlan {
  const text = withAllKeys(source, keys)
  const { document } = parseYaml(source.file, text)
  const ownPaths = new Set<string>()
  const replacements = [
    ...keyReplacements(document, text, keys),
    ...pathReplacements(document, source, ownPaths),
    ...headerReplacements(text, source.name),
  ]
  const ordered = withoutOverlaps(replacements)
  return {
    ownPaths: [...ownPaths],
    render: (own) => {
      let done = 0
      let result = ''
      for (const { start, end, value } of ordered) {
        result += text.slice(done, start) + value(own)
        done = end
      }
      return result + text.slice(done)
    },
  }
}

/** The text with every key that will be replaced. */
function withAllKeys({ file, text }: SourceConfig, keys: OwnKeys): string {
  const { document } = parseYaml(file, text)
  const wanted = [
    ...(keys.hostname ? ['uts.name'] : []),
    ...(keys.rootfs ? ['rootfs.path'] : []),
    ...(keys.idmap ? ['idmap'] : []),
    ...keys.hwaddrs.map((index) => `net.${index}.hwaddr`),
    ...keys.addresses.map((index) => `net.${index}.ipv4.address`),
  ]
  const missing = wanted.filter((key) => !hasText(findKey(document, key)))
  const complete = missing.reduce((result, key) => setKey(file, result, key, PLACEHOLDER), text)
  const free = keys.unlimited === true ? setKey(file, complete, 'limits.disk', '') : complete
  const whole = keys.ephemeral ? setKey(file, free, 'ephemeral', '1') : free
  const { mountEntries = [] } = keys
  if (mountEntries.length === 0) return whole
  const { mount } = document.toJS() as { readonly mount?: { readonly entry?: string | readonly string[] } }
  return setKey(file, whole, 'mount.entry', JSON.stringify([...[mount?.entry ?? []].flat(), ...mountEntries]))
}

const hasText = (node: unknown): boolean => {
  const range = (node as { readonly range?: readonly number[] } | undefined)?.range
  return range !== undefined && range[0] !== range[1]
}

function keyReplacements(document: Document, text: string, keys: OwnKeys): Replacement[] {
  const at = (key: string, value: (own: OwnValues) => string | undefined): Replacement[] => {
    const range = findKey(document, key)?.range
    if (!range) return []
    return [{ start: range[0], end: range[1], value: (own) => value(own) ?? text.slice(range[0], range[1]) }]
  }
  return [
    ...(keys.hostname ? at('uts.name', ({ name }) => plain(name)) : []),
    ...(keys.rootfs ? at('rootfs.path', ({ rootfsPath }) => rootfsPath && plain(rootfsPath)) : []),
    ...(keys.idmap ? at('idmap', ({ idmap }) => idmap && `[${idmap}]`) : []),
    ...keys.hwaddrs.flatMap((index) => at(`net.${index}.hwaddr`, ({ hwaddrs }) => hwaddrs?.get(index))),
    ...keys.addresses.flatMap((index) => at(`net.${index}.ipv4.address`, ({ addresses }) => addresses?.get(index))),
  ]
}

/** Every value that names something below the old directory. */
function pathReplacements(document: Document, source: SourceConfig, ownPaths: Set<string>): Replacement[] {
  const found: Replacement[] = []
  visit(document, {
    Scalar(key, node: Scalar) {
      if (key === 'key' || typeof node.value !== 'string' || !node.range) return
      const { value } = node
      const paths = pathsBelow(value, source.dir)
      if (paths.length === 0 && value !== source.dir) return
      for (const path of paths) ownPaths.add(path)
      found.push({
        start: node.range[0],
        end: node.range[1],
        value: (own) => plain(movedPaths(value, source, own)) + (node.type?.startsWith('BLOCK') === true ? '\n' : ''),
      })
    },
  })
  return found
}

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
// What may stand before and after a path in a value: `dir:/a/b`, `/a/b:/c`, `upperdir=/a/b,workdir=…`, a command's words.
const pathPattern = (dir: string): RegExp => new RegExp(`(?<=^|[\\s:=,"'])${escaped(dir)}(?<rest>/[^\\s:,"']*|(?=$|[\\s:,"']))`, 'g')

export function pathsBelow(value: string, dir: string): string[] {
  return [...value.matchAll(pathPattern(dir))].map(([path]) => path).filter((path) => path.length > dir.length + 1)
}

/** A text with the paths below one container's directory as paths below the other's; its log files follow the name. */
export function movedPaths(value: string, from: Pick<SourceConfig, 'name' | 'dir'>, to: Pick<OwnValues, 'name' | 'dir'>): string {
  return value.replaceAll(pathPattern(from.dir), (_, rest: string) => {
    const moved = rest === `/${from.name}.log` ? `/${to.name}.log` : rest
    return `${to.dir}${moved}`
  })
}

/** Of the remarks only those of ours name the container. */
function headerReplacements(text: string, name: string): Replacement[] {
  const patterns = [
    new RegExp(`(?<=^# Container ')${escaped(name)}(?=', made by tslxc )`, 'dm'),
    new RegExp(`(?<=^#.*'tslxc config edit )${escaped(name)}(?=')`, 'dm'),
  ]
  return patterns.flatMap((pattern) => {
    const span = pattern.exec(text)?.indices?.[0]
    return span === undefined ? [] : [{ start: span[0], end: span[1], value: ({ name: own }: OwnValues) => own }]
  })
}

/** Of two that overlap the outer one, which comes first: a key's own value says more than a path in it. */
function withoutOverlaps(replacements: readonly Replacement[]): Replacement[] {
  const kept: Replacement[] = []
  for (const one of replacements) if (!kept.some((other) => one.start < other.end && other.start < one.end)) kept.push(one)
  return kept.sort((a, b) => a.start - b.start)
}

/** A YAML scalar: bare where that is the same string. */
function plain(text: string): string {
  return /^[A-Za-z_/][\w./:@+-]*$/.test(text) && !text.endsWith(':') && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(text)
    ? text
    : JSON.stringify(text)
}
