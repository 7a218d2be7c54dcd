// The command classes as plain data, read from the bundle: what man pages, completion and the native option tables are made of.
import { createRequire } from 'node:module'
import { join } from 'node:path'

function loadBundle(root) {
  return createRequire(import.meta.url)(join(root, 'bin/run.cjs')).load().bundle
}

/** Keys of config.yaml, and of tslxc.yaml. */
export function readKeys(root) {
  return { keys: loadBundle(root).keys.KEYS, settings: [] }
}

/** Sorted by id. */
export async function readDefinitions(root) {
  const bundle = loadBundle(root)
  const { help, commandSpec } = bundle
  const commands = await Promise.all(
    Object.entries(bundle.loaders).map(async ([id, loader]) => ({ id, command: (await loader()).default })),
  )
  return commands
    .filter(({ command }) => command.hidden !== true)
    .map(({ id, command }) => ({
      id,
      title: id.replaceAll(':', ' '),
      native: command.native === true,
      summary: command.summary ?? '',
      description: command.description ?? '',
      examples: (command.examples ?? []).map(help.exampleText),
      args: Object.entries(command.args ?? {}).map(([name, arg]) => ({
        name,
        description: arg.description ?? '',
        required: arg.required === true,
        multiple: arg.multiple === true,
        options: arg.options,
      })),
      rest: command.rest,
      getopt: commandSpec.getoptSpec(command),
      values: Object.fromEntries(Object.entries(commandSpec.allFlags(command)).map(([name, flag]) => [name, flag.options ?? []])),
      optionLines: help.optionLines(command),
      synopsis: help.synopsis(command, id),
      help: help.renderHelp(command, id),
      usage: help.renderUsage(command, id),
    }))
    .sort((a, b) => (a.id < b.id ? -1 : 1))
}
