/** ejs, with `<%= x %>` quoting for the language of the file. ejs's own default is HTML escaping, which is wrong everywhere here. */
import { readFileSync } from 'node:fs'
import ejs from 'ejs'
import { ConfigError } from '../lib/errors.ts'

export type Language = 'shell' | 'yaml' | 'verbatim'

/** Values a template may use, by name. */
export type TemplateData = Readonly<Record<string, unknown>>

/** By the ending in front of `.ejs`: `.sh.ejs` shell, `.yaml.ejs` YAML, anything else verbatim. */
export function languageOf(file: string): Language {
  if (file.endsWith('.sh.ejs')) return 'shell'
  if (file.endsWith('.yaml.ejs')) return 'yaml'
  return 'verbatim'
}

/** @throws ConfigError that names the file, and the line where ejs knows it */
export function renderFile(file: string, data: TemplateData): string {
  return renderText(readFileSync(file, 'utf8'), data, languageOf(file), file)
}

/** `file`: for messages, and what relative includes are relative to. */
export function renderText(text: string, data: TemplateData, language: Language, file: string): string {
  if (!text.includes('<%')) return text
  try {
    return ejs.render(text, data, { escape: escapeFor(language), filename: file })
  } catch (error) {
    throw renderError(error, file)
  }
}

/** Renders each string in a tree of YAML values, verbatim: the tree is parsed already, so nothing can break out of its place. */
export function renderTree(tree: unknown, data: TemplateData, file: string): unknown {
  if (typeof tree === 'string') return renderText(tree, data, 'verbatim', file)
  if (Array.isArray(tree)) return tree.map((item) => renderTree(item, data, file))
  if (typeof tree !== 'object' || tree === null) return tree
  return Object.fromEntries(Object.entries(tree).map(([key, value]) => [key, renderTree(value, data, file)]))
}

export function escapeFor(language: Language): (value: unknown) => string {
  switch (language) {
    case 'shell':
      return quoteShell
    case 'yaml':
      return quoteYaml
    case 'verbatim':
      return (value) => (value === undefined || value === null ? '' : String(value))
  }
}

/** One word for sh(1); a list becomes as many words. */
export function quoteShell(value: unknown): string {
  if (Array.isArray(value)) return value.map(quoteShell).join(' ')
  return `'${String(value ?? '').replaceAll("'", "'\\''")}'`
}

/** A flow value: JSON is YAML, and its strings never read as another type. */
export function quoteYaml(value: unknown): string {
  return JSON.stringify(value ?? null)
}

// ejs answers `FILE:LINE`, an excerpt, an empty line and the reason.
function renderError(error: unknown, file: string): ConfigError {
  const text = error instanceof Error ? error.message : String(error)
  const reason = text.trim().split('\n').at(-1) ?? text
  const line = /^.*?:(\d+)\n/.exec(text)?.[1]
  return new ConfigError(`cannot render: ${reason}`, { file, ...(line === undefined ? {} : { line: Number(line) }) }, { cause: error })
}
