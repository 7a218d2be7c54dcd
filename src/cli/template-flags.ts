/** A template's options as flags of the command that takes them: `create -t debian --help` shows them. */
import type { FlagInput } from '@oclif/core/parser'
import type { Paths } from '../platform/paths.ts'
import { Flags } from './flags.ts'

/** Flags of every command that takes a template, whichever it is. */
export const templateFlags = {
  'flush-cache': Flags.boolean({ char: 'F', summary: 'Fetch the base anew, even when it is cached' }),
}

/** @throws NotFoundError with the templates there are */
export async function flagsOfTemplate(paths: Paths, name: string): Promise<FlagInput> {
  const { loadTemplate } = await import('../template/load.ts')
  const template = loadTemplate(paths, name)
  const group = `Options of the template ${name}`
  return Object.fromEntries(
    template.options.map(({ name: option, flag, summary, type, value, multiple, default: preset }) => {
      const shown = preset === undefined || preset.includes('<%') ? summary : `${summary} (${preset})`
      const common = { summary: shown, helpGroup: group, ...(flag === undefined ? {} : { char: flag as 'a' }) }
      if (type === 'boolean') return [option, Flags.boolean(common)]
      const text = { ...common, ...(value === undefined ? {} : { helpValue: value }) }
      return [option, multiple ? Flags.string({ ...text, multiple: true, multipleNonGreedy: true }) : Flags.string(text)]
    }),
  ) as FlagInput
}

/** LXC has a template's options after `--`; they are plain options as well, so the dashes are only taken out. */
export function withoutDashes(argv: readonly string[]): string[] {
  const at = argv.indexOf('--')
  return at < 0 ? [...argv] : [...argv.slice(0, at), ...argv.slice(at + 1)]
}
