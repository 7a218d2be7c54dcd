/** Templates are data: a folder with template.yaml, ejs files beside it, no code. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { LineCounter, parseDocument } from 'yaml'
import * as z from 'zod/mini'
import { ConfigError, NotFoundError, UsageError } from '../lib/errors.ts'
import type { Paths } from '../platform/paths.ts'

const TEMPLATE_NAME = /^[a-z0-9][a-z0-9_.-]*$/
const OPTION_NAME = /^[a-z][a-z0-9-]*$/

const optionSchema = z.strictObject({
  summary: z.string(),
  /** One letter. */
  flag: z.optional(z.string().check(z.regex(/^[A-Za-z]$/, 'is not one letter'))),
  type: z._default(z.enum(['string', 'boolean']), 'string'),
  /** Text with ejs; may use facts about the host (`arch`, `locale`). */
  default: z.optional(z.string()),
  /** May be given several times, and each as a list with commas. */
  multiple: z._default(z.boolean(), false),
  /** What stands for the value in the help. */
  value: z.optional(z.string()),
  /** A regular expression the whole value must match. */
  pattern: z.optional(z.string()),
})

const templateSchema = z.strictObject({
  summary: z.string(),
  /** How long the first fetch takes, for people. */
  duration: z.optional(z.string()),
  options: z._default(z.record(z.string().check(z.regex(OPTION_NAME, 'is not a name for an option')), optionSchema), {}),
  /** Checked by the image source of that kind, after its strings were rendered. */
  source: z.looseObject({ kind: z.string() }),
  guest: z.strictObject({
    network: z.enum(['networkd', 'ifupdown', 'busybox', 'none']),
    init: z.enum(['systemd', 'busybox', 'sysv']),
  }),
  config: z.string().check(z.regex(/^[^/]+\.yaml\.ejs$/, 'is not the name of a .yaml.ejs file beside template.yaml')),
  setup: z.optional(z.string().check(z.regex(/^[^/]+\.sh\.ejs$/, 'is not the name of a .sh.ejs file beside template.yaml'))),
})

export type GuestDialect = z.infer<typeof templateSchema>['guest']

export interface TemplateOption {
  readonly name: string
  readonly summary: string
  readonly flag?: string
  readonly type: 'string' | 'boolean'
  readonly default?: string
  readonly multiple: boolean
  readonly value?: string
  readonly pattern?: string
}

export interface Template {
  readonly name: string
  readonly dir: string
  readonly summary: string
  readonly duration?: string
  readonly options: readonly TemplateOption[]
  /** As written: strings still hold ejs. */
  readonly source: Readonly<Record<string, unknown>>
  readonly guest: GuestDialect
  /** Absolute path of the .yaml.ejs file. */
  readonly configFile: string
  /** Absolute path of the .sh.ejs file. */
  readonly setupFile?: string
  /** SHA-256 over all files of the folder, hexadecimal. */
  readonly digest: string
}

/** An administrator's own templates come first. */
const templateDirs = (paths: Pick<Paths, 'confDirs' | 'installRoot'>): string[] => [
  join(paths.confDirs[0] ?? '/etc/tslxc', 'templates'),
  join(paths.installRoot, 'templates'),
]

/**
 * Reads and checks a template.
 * @throws UsageError for a malformed name, NotFoundError with the names that exist, ConfigError with file, line and column
 */
export function loadTemplate(paths: Pick<Paths, 'confDirs' | 'installRoot'>, name: string): Template {
  if (name.includes('/')) {
    throw new UsageError(`cannot use template '${name}': a template is given by its name, not by a path`, {
      hint: `take one of: ${listTemplates(paths).join(', ')}`,
    })
  }
  for (const parent of templateDirs(paths)) {
    const dir = join(parent, name)
    const text = TEMPLATE_NAME.test(name) ? readIfPresent(join(dir, 'template.yaml')) : undefined
    if (text !== undefined) return parseTemplate(text, dir, name)
  }
  throw new NotFoundError(`cannot find template '${name}'`, { hint: `take one of: ${listTemplates(paths).join(', ')}` })
}

/** Names of all templates, sorted. */
export function listTemplates(paths: Pick<Paths, 'confDirs' | 'installRoot'>): string[] {
  const names = templateDirs(paths).flatMap((parent) =>
    entriesOf(parent).filter((name) => TEMPLATE_NAME.test(name) && readIfPresent(join(parent, name, 'template.yaml')) !== undefined),
  )
  return [...new Set(names)].sort()
}

export function parseTemplate(text: string, dir: string, name: string): Template {
  const file = join(dir, 'template.yaml')
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const fail = (offset: number, reason: string): never => {
    const { line, col } = lines.linePos(offset)
    const excerpt = `${text.split('\n')[line - 1] ?? ''}\n${' '.repeat(col - 1)}^`
    throw new ConfigError(reason, { file, line, column: col, excerpt }, { hint: `edit ${file}` })
  }
  const syntax = document.errors[0]
  if (syntax !== undefined) fail(syntax.pos[0], syntax.message)
  const parsed = templateSchema.safeParse(document.toJS())
  const issue = parsed.error?.issues[0]
  if (!parsed.success || issue !== undefined) {
    const unknown = issue?.code === 'unrecognized_keys' ? issue.keys[0] : undefined
    const path = [...(issue?.path ?? []), ...(unknown === undefined ? [] : [unknown])]
    const reason = unknown === undefined ? (issue?.message ?? 'is malformed').replace(/^Invalid input: /, '') : 'is not a known key'
    fail(offsetOf(document, path), `${path.join('.') || 'the file'}: ${reason}`)
    throw new Error('unreachable')
  }
  return makeTemplate(parsed.data, dir, name)
}

function makeTemplate(data: z.infer<typeof templateSchema>, dir: string, name: string): Template {
  const options = Object.entries(data.options).map(
    ([option, { flag, default: preset, value, pattern, ...rest }]): TemplateOption => ({
      name: option,
      ...rest,
      ...(flag === undefined ? {} : { flag }),
      ...(preset === undefined ? {} : { default: preset }),
      ...(value === undefined ? {} : { value }),
      ...(pattern === undefined ? {} : { pattern }),
    }),
  )
  return {
    name,
    dir,
    summary: data.summary,
    ...(data.duration === undefined ? {} : { duration: data.duration }),
    options,
    source: data.source,
    guest: data.guest,
    configFile: join(dir, data.config),
    ...(data.setup === undefined ? {} : { setupFile: join(dir, data.setup) }),
    digest: digestOf(dir),
  }
}

/** Where the value of `path` stands in the text, or its nearest parent that exists. */
function offsetOf(document: { getIn(path: unknown[], keepScalar: boolean): unknown }, path: readonly PropertyKey[]): number {
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length) as unknown[], true) as { readonly range?: readonly number[] } | undefined
    if (node?.range?.[0] !== undefined) return node.range[0]
  }
  return 0
}

function digestOf(dir: string): string {
  const hash = createHash('sha256')
  for (const file of filesBelow(dir))
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(dir, file)))
      .update('\0')
  return hash.digest('hex')
}

/** Relative paths of all files below `dir`, sorted. */
export function filesBelow(dir: string, prefix = ''): string[] {
  return readdirSync(join(dir, prefix), { withFileTypes: true })
    .flatMap((entry) => {
      const path = prefix === '' ? entry.name : `${prefix}/${entry.name}`
      return entry.isDirectory() ? filesBelow(dir, path) : [path]
    })
    .sort()
}

function entriesOf(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch {
    return []
  }
}

function readIfPresent(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
