/** `networks/<bridge>.yaml`: what a managed network shall be. People write it; `network up` writes it once when it is absent. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Document, LineCounter, parseDocument } from 'yaml'
import * as z from 'zod/mini'
import { ConfigError } from '../lib/errors.ts'
import { networksDir, type Paths } from '../platform/paths.ts'
import {
  broadcastOf,
  contains,
  type Ipv4Cidr,
  type Ipv4Range,
  inRange,
  networkOf,
  networkText,
  parseIpv4Cidr,
  parseIpv4Range,
} from './ipv4.ts'

export const DEFAULT_BRIDGE = 'tslxcbr0'

export interface ManagedNetwork {
  readonly bridge: string
  /** The file it was read from. */
  readonly file: string
  /** The bridge's own address: gateway and DNS server of the containers. */
  readonly address: Ipv4Cidr
  readonly nat: boolean
  /** Addresses that dnsmasq hands out; absent: no DHCP. */
  readonly dhcp?: Ipv4Range
  readonly dns: boolean
  /** Containers are NAME and NAME.domain; absent: NAME alone. */
  readonly domain?: string
}

/** Linux allows more; these are the names that nft, dnsmasq and a file system take without quoting. */
export const isBridgeName = (name: string): boolean => /^[A-Za-z][A-Za-z0-9_.-]{0,14}$/.test(name)

export const networkFile = (paths: Paths, bridge: string): string => join(networksDir(paths), `${bridge}.yaml`)

const cidr = z.string().check(z.refine((text) => parseIpv4Cidr(text) !== undefined, 'is not ADDRESS/PREFIX, for example 10.0.4.1/24'))
const range = z
  .string()
  .check(z.refine((text) => parseIpv4Range(text) !== undefined, 'is not FIRST-LAST, for example 10.0.4.100-10.0.4.199'))
const dhcp = z.strictObject({ range })
const label = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i

const schema = z.strictObject({
  bridge: z.string().check(z.refine(isBridgeName, 'is not a bridge name: a letter, then up to 14 of letters, digits, "_", "." and "-"')),
  ipv4: z.strictObject({
    address: cidr,
    nat: z._default(z.boolean(), true),
    dhcp: z.optional(z.union([z.literal(false), dhcp], 'must be false or { range: FIRST-LAST }')),
  }),
  dns: z._default(z.boolean(), true),
  domain: z.optional(z.string().check(z.regex(label, 'is not a domain name'))),
})

type Path = readonly PropertyKey[]

interface Source {
  readonly file: string
  readonly text: string
  readonly document: Document
  readonly lines: LineCounter
}

/** Reads and checks one file. Undefined when it is absent.
 *  @throws ConfigError with file, line and column. */
export function readManagedNetwork(file: string): ManagedNetwork | undefined {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  return parseManagedNetwork(text, file)
}

/** The network that manages `bridge`, or undefined when no file of ours names it. */
export const findManagedNetwork = (paths: Paths, bridge: string): ManagedNetwork | undefined =>
  isBridgeName(bridge) ? readManagedNetwork(networkFile(paths, bridge)) : undefined

export function parseManagedNetwork(text: string, file: string): ManagedNetwork {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const source: Source = { file, text, document, lines }
  const syntax = document.errors[0]
  if (syntax !== undefined) throw errorAt(source, syntax.pos[0], syntax.message.toLowerCase())
  const parsed = schema.safeParse(document.toJS() as unknown)
  const issues: readonly SchemaIssue[] = parsed.error?.issues ?? []
  // A misspelt key explains why another one is missing.
  const issue = issues.find(({ keys }) => keys !== undefined) ?? issues[0]
  if (issue !== undefined) throw schemaError(source, issue)
  const { bridge, ipv4, dns, domain } = parsed.data as z.infer<typeof schema>
  const address = parseIpv4Cidr(ipv4.address)
  if (address === undefined) throw new ConfigError('ipv4.address is malformed', { file })
  const dhcp = ipv4.dhcp ? parseIpv4Range(ipv4.dhcp.range) : undefined
  const network: ManagedNetwork = {
    bridge,
    file,
    address,
    nat: ipv4.nat,
    dns,
    ...(dhcp === undefined ? {} : { dhcp }),
    ...(domain === undefined ? {} : { domain }),
  }
  checkMeaning(source, network)
  return network
}

function checkMeaning(source: Source, { bridge, address, dhcp, file }: ManagedNetwork): void {
  const fail = (path: Path, reason: string): never => {
    throw errorAt(source, offsetOf(source, path), `${path.join('.')} ${reason}`)
  }
  if (file.endsWith('.yaml') && !file.endsWith(`/${bridge}.yaml`))
    fail(['bridge'], `is '${bridge}', but the file is named for another bridge`)
  if (address.prefix < 8 || address.prefix > 29) fail(['ipv4', 'address'], 'needs a prefix between 8 and 29')
  if (address.address === networkOf(address))
    fail(['ipv4', 'address'], `is the network's own address; the bridge needs a host address in ${networkText(address)}`)
  if (address.address === broadcastOf(address)) fail(['ipv4', 'address'], 'is the broadcast address')
  if (dhcp === undefined) return
  for (const end of [dhcp.first, dhcp.last])
    if (!contains(address, end)) fail(['ipv4', 'dhcp', 'range'], `has ${end}, which is outside ${networkText(address)}`)
  for (const end of [address.address, networkOf(address), broadcastOf(address)])
    if (inRange(dhcp, end)) fail(['ipv4', 'dhcp', 'range'], `must not hold ${end}`)
}

interface SchemaIssue {
  readonly code?: string | undefined
  readonly path: Path
  readonly message: string
  readonly keys?: readonly string[] | undefined
  readonly expected?: string | undefined
}

function schemaError(source: Source, issue: SchemaIssue): ConfigError {
  const unknown = issue.keys?.[0]
  const path = unknown === undefined ? issue.path : [...issue.path, unknown]
  const name = path.length === 0 ? 'the file' : path.join('.')
  const missing = issue.code === 'invalid_type' && source.document.getIn(path as unknown[], true) === undefined
  const wrong = issue.code === 'invalid_type' ? `must be ${issue.expected}` : issue.message
  const reason = unknown !== undefined ? 'is not a known key' : missing ? 'is missing' : wrong
  return errorAt(source, offsetOf(source, path), `${name} ${reason}`)
}

/** Where the value of `path` stands, or its nearest parent that exists. */
function offsetOf({ document }: Source, path: Path): number {
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length) as unknown[], true) as { readonly range?: readonly number[] } | undefined
    if (node?.range?.[0] !== undefined) return node.range[0]
  }
  return 0
}

function errorAt({ file, text, lines }: Source, offset: number, reason: string): ConfigError {
  const { line, col } = lines.linePos(offset)
  const content = text.split('\n')[line - 1] ?? ''
  const excerpt = `${content}\n${' '.repeat(col - 1)}^`
  return new ConfigError(reason, { file, line, column: col, excerpt }, { hint: `edit ${file}` })
}
