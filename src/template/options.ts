/** The options a template declares: their values, with defaults filled in and checked. */
import { UsageError } from '../lib/errors.ts'
import type { Template, TemplateOption } from './load.ts'
import { renderText, type TemplateData } from './render.ts'

export type OptionValue = string | boolean | readonly string[]

/** What defaults may depend on; asked by the caller, so that rendering stays pure. */
export interface HostFacts {
  /** Debian's name of the architecture, e.g. `amd64`. */
  readonly arch: string
  /** The kernel's name of it, e.g. `x86_64`. */
  readonly lxcArch: string
  /** e.g. `de_DE.UTF-8` */
  readonly locale: string
}

/**
 * Every option of the template with a value: what was given, or the default, or nothing ('' / false / []).
 * @param given by option name; `undefined` means not given
 * @throws UsageError for a value that does not match the option's pattern
 */
export function optionValues(
  template: Pick<Template, 'options' | 'name' | 'dir'>,
  given: Readonly<Record<string, unknown>>,
  facts: HostFacts,
): Record<string, OptionValue> {
  const file = `${template.dir}/template.yaml`
  return Object.fromEntries(
    template.options.map((option) => {
      const preset = option.default === undefined ? undefined : renderText(option.default, { ...facts }, 'verbatim', file)
      return [option.name, checked(option, wantedValue(option, given[option.name] ?? preset))]
    }),
  )
}

/** The names in ejs: `security-mirror` is `securityMirror`. */
export function templateData(values: Readonly<Record<string, OptionValue>>, facts: HostFacts): TemplateData {
  const named = Object.entries(values).map(([name, value]) => [name.replace(/-([a-z0-9])/g, (_, letter) => letter.toUpperCase()), value])
  return { host: facts, ...Object.fromEntries(named) }
}

function wantedValue(option: TemplateOption, given: unknown): OptionValue {
  if (option.type === 'boolean') return given === true || given === 'true'
  if (!option.multiple) return given === undefined ? '' : String(given)
  const words = (Array.isArray(given) ? given : [given]).flatMap((word) => String(word ?? '').split(/[\s,]+/))
  return words.filter((word) => word !== '')
}

function checked(option: TemplateOption, value: OptionValue): OptionValue {
  if (option.pattern === undefined || typeof value === 'boolean') return value
  const pattern = new RegExp(`^(?:${option.pattern})$`, 'u')
  const wrong = (typeof value === 'string' ? [value] : value).find((word) => word !== '' && !pattern.test(word))
  if (wrong === undefined) return value
  throw new UsageError(`cannot use '${wrong}' for --${option.name}: it does not match ${option.pattern}`)
}
