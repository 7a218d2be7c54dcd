/** The config.yaml of a new container: the defaults, what the template says, a file of the caller's, and the options, in that order. */
import { randomInt } from 'node:crypto'
import { type Document, isMap, isScalar, isSeq, type Pair, parseDocument, type YAMLMap } from 'yaml'
import { ConfigError } from '../../lib/errors.ts'

export interface ConfigLayer {
  /** For messages. */
  readonly file: string
  readonly text: string
}

export interface ConfigChoices {
  /** Weakest first. */
  readonly layers: readonly ConfigLayer[]
  /** Absent: no root file system (`-t none`). */
  readonly rootfsPath?: string
  /** Absent: privileged. */
  readonly idmap?: string
  readonly hostname: string
  readonly link?: string
  /** Added to those of the layers. */
  readonly shares: readonly string[]
  readonly dns: readonly string[]
}

/** An interface that create has to look after. */
export interface NewInterface {
  readonly index: number
  readonly type: string
  readonly link?: string
  readonly hwaddr: string
  /** `ADDRESS/PREFIX`, `dhcp` or `none`, the first one. */
  readonly address?: string
  readonly gateway?: string
}

const KEY_ORDER = ['include', 'arch', 'uts', 'rootfs', 'idmap', 'init', 'signal', 'net', 'dns', 'shares', 'limits']
const LISTS_THAT_ADD_UP = new Set(['include', 'shares', 'environment'])
const DEFAULT_BRIDGE = 'tslxcbr0'
/** Locally administered, and recognisable as ours. */
export const HWADDR_PATTERN = '10:66:6a:xx:xx:xx'

/** A document that holds all but addresses. @throws ConfigError for a layer that is no YAML map */
export function draftConfig(choices: ConfigChoices): Document {
  const layers = choices.layers.map(parseLayer)
  // The strongest layer is the document itself, so that its comments stay.
  const document = layers.at(-1) ?? parseDocument('{}\n')
  if (document.contents === null || !isMap(document.contents)) document.contents = document.createNode({}) as never
  for (const layer of layers.slice(0, -1).reverse()) fillIn(document.contents as unknown as YAMLMap, layer.contents, document)
  ;(document.contents as unknown as YAMLMap).flow = false
  applyChoices(document, choices)
  return document
}

function parseLayer({ file, text }: ConfigLayer): Document {
  const document = parseDocument(text)
  const problem = document.errors[0]
  if (problem !== undefined) throw new ConfigError(problem.message.split('\n')[0] ?? '', { file }, { cause: problem })
  if (document.contents !== null && !isMap(document.contents) && !(isScalar(document.contents) && document.contents.value === null)) {
    throw new ConfigError('a map of keys is expected', { file })
  }
  return document as Document
}

/** Takes over what the stronger layer does not say. */
function fillIn(strong: YAMLMap, weak: unknown, document: Document): void {
  if (!isMap(weak)) return
  for (const pair of weak.items as Pair[]) {
    const key = isScalar(pair.key) ? String(pair.key.value) : String(pair.key)
    const present = strong.get(key, true)
    if (present === undefined) strong.items.push(withoutComment(pair) as never)
    else if (isMap(present)) fillIn(present, pair.value, document)
    else if (LISTS_THAT_ADD_UP.has(key)) strong.set(key, document.createNode(union(plain(pair.value), plain(present))))
  }
}

/** A remark about the defaults is none about this container. */
function withoutComment(pair: Pair): Pair {
  if (isScalar(pair.key)) {
    pair.key.commentBefore = null
    pair.key.spaceBefore = false
  }
  return pair
}

const plain = (node: unknown): unknown[] => {
  const value: unknown = isSeq(node) ? node.toJSON() : isScalar(node) ? node.value : node
  return Array.isArray(value) ? value : value === null || value === undefined ? [] : [value]
}

const union = (a: readonly unknown[], b: readonly unknown[]): unknown[] => [...new Set([...a, ...b])]

function applyChoices(document: Document, choices: ConfigChoices): void {
  document.setIn(['uts'], document.createNode({ ...(document.toJS() as { uts?: object }).uts, name: choices.hostname }))
  if (choices.rootfsPath !== undefined) document.setIn(['rootfs'], withKey(document, 'rootfs', { path: choices.rootfsPath }))
  if (choices.idmap !== undefined) document.set('idmap', document.createNode([choices.idmap], { flow: true }))
  if (choices.shares.length > 0) document.set('shares', document.createNode(union(plain(document.get('shares', true)), choices.shares)))
  if (choices.dns.length > 0) document.set('dns', document.createNode([...choices.dns], { flow: true }))
  if (choices.link !== undefined) setLink(document, choices.link)
  sortKeys(document)
}

function withKey(document: Document, key: string, values: Record<string, unknown>): unknown {
  const present = (document.toJS() as Record<string, unknown>)[key]
  return document.createNode({ ...(typeof present === 'object' ? present : {}), ...values })
}

function setLink(document: Document, link: string): void {
  ensureInterface(document)
  document.setIn(['net', 0, 'link'], link)
}

/** Makes `net.0` a veth when there is no interface at all. `net` becomes a list, for it may be written as a map. */
export function ensureInterface(document: Document): void {
  const net = document.get('net', true)
  if (isSeq(net) && net.items.length > 0) return
  const first = isMap(net) ? net.toJSON() : { type: 'veth', link: DEFAULT_BRIDGE, flags: 'up' }
  document.set('net', document.createNode([first]))
  sortKeys(document)
}

function sortKeys(document: Document): void {
  const map = document.contents as unknown as YAMLMap
  const rank = (pair: Pair): number => {
    const at = KEY_ORDER.indexOf(isScalar(pair.key) ? String(pair.key.value) : String(pair.key))
    return at < 0 ? KEY_ORDER.length : at
  }
  ;(map.items as unknown as Pair[]).sort((a, b) => rank(a) - rank(b))
}

/** Fills in hardware addresses, so that they stay the same, and lists the interfaces. */
export function settleInterfaces(document: Document): NewInterface[] {
  const net = (document.toJS() as { net?: unknown }).net
  if (isMap(document.get('net', true))) document.set('net', document.createNode([net]))
  const items = Array.isArray(net) ? net : net === undefined || net === null ? [] : [net]
  return items.flatMap((value, index) => {
    const item = (value ?? {}) as { type?: string; link?: string; hwaddr?: string; ipv4?: { address?: unknown; gateway?: unknown } }
    if (item.type !== 'veth') return []
    const hwaddr = expandHwaddr(String(item.hwaddr ?? HWADDR_PATTERN))
    document.setIn(['net', index, 'hwaddr'], hwaddr)
    const [address] = [item.ipv4?.address].flat()
    const gateway = item.ipv4?.gateway
    return [
      {
        index,
        type: item.type,
        hwaddr,
        ...(item.link === undefined ? {} : { link: item.link }),
        ...(address === undefined || address === null ? {} : { address: String(address) }),
        ...(gateway === undefined || gateway === null ? {} : { gateway: String(gateway) }),
      },
    ]
  })
}

export function setAddress(document: Document, index: number, value: { readonly address: string; readonly gateway?: string }): void {
  document.setIn(['net', index, 'ipv4'], document.createNode({ ...value }, { flow: true }))
}

/** Replaces each `x` by a random digit. */
export function expandHwaddr(pattern: string): string {
  return pattern.toLowerCase().replaceAll('x', () => randomInt(16).toString(16))
}

export interface HeaderFacts {
  readonly name: string
  /** `debian`, or `none`. */
  readonly template: string
  readonly templateDigest?: string
  /** `release=bookworm arch=amd64` */
  readonly parameters: string
  readonly version: string
}

/** The text that is written. */
export function renderConfig(document: Document, facts: HeaderFacts): string {
  const body = document.toString({ lineWidth: 0 })
  return `${header(facts)}\n${body}${body.endsWith('\n') ? '' : '\n'}\n${EXAMPLES.replaceAll('NAME', facts.name)}`
}

function header({ name, template, templateDigest, parameters, version }: HeaderFacts): string {
  const lines = [
    `Container '${name}', made by tslxc ${version}.`,
    `Template: ${template}${parameters === '' ? '' : ` (${parameters})`}`,
    ...(templateDigest === undefined ? [] : [`Template checksum (SHA-256): ${templateDigest}`]),
    `An edit applies at the next start. 'tslxc config edit ${name}' checks it first; all keys: man tslxc.yaml.`,
  ]
  return lines.map((line) => `# ${line}\n`).join('')
}

const EXAMPLES = `# Taken out of comments, these work:
# limits: { memory: 2G, cpus: 1.5, pids: 500 }
# shares: ["/srv/www:/srv/www:ro"]
# start: { auto: 1, order: 10 }
# dns: [1.1.1.1]
`
