/** The map of image sources. */
import { ConfigError } from '../lib/errors.ts'
import { bootstrap } from './bootstrap.ts'
import { busybox } from './busybox.ts'
import type { ImageSource } from './source.ts'

export type SourceKind = 'busybox' | 'bootstrap'

const sources = { busybox, bootstrap } satisfies { [K in SourceKind]: { readonly kind: K } }

/** A source with its checked options. */
export interface ParsedSource {
  readonly source: ImageSource<{ readonly kind: string }>
  readonly options: { readonly kind: string }
}

/** @throws ConfigError for an unknown kind, or options the source does not take */
export function parseSource(value: { readonly kind: string }, file: string): ParsedSource {
  // Each source has options of its own: what its schema passed is what it takes.
  const source = Object.hasOwn(sources, value.kind) ? (sources[value.kind as SourceKind] as unknown as ParsedSource['source']) : undefined
  if (source === undefined) {
    throw new ConfigError(`source.kind: '${value.kind}' is none of ${Object.keys(sources).join(', ')}`, { file })
  }
  const parsed = source.options.safeParse(value)
  if (parsed.success) return { source, options: parsed.data as { kind: string } }
  const issue = parsed.error.issues[0]
  throw new ConfigError(`source.${issue?.path.join('.')}: ${issue?.message.replace(/^Invalid input: /, '')}`, { file })
}
