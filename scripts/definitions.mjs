// The command classes as plain data, read from the bundle: what man pages, completion and the native option tables are made of.
import { createRequire } from 'node:module'
import { join } from 'node:path'

function loadBundle(root) {
  return createRequire(import.meta.url)(join(root, 'bin/run.cjs')).load().bundle
}

/** Keys of config.yaml, and of tslxc.yaml. */
export function readKeys(root) {
  return { keys: loadBundle(root).keys.KEYS, settings: loadBundle(root).keys.SETTINGS }
}

/** Sorted by id. */
export async function readDefinitions(root) {
  const bundle = loadBundle(root)
  const commands = await Promise.all(
    Object.entries(bundle.loaders).map(async ([id, loader]) => ({ id, command: (await loader()).default })),
  )
  return commands
    .filter(({ command }) => command.hidden !== true)
    .map(({ id, command }) => describeCommand(id, command, bundle))
    .sort((a, b) => (a.id < b.id ? -1 : 1))
}

/** `modules` are src/cli/help.ts and src/cli/command-spec.ts, wherever they were loaded from. */
export function describeCommand(id, command, { help, commandSpec }) {
  return {
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
    })),
    rest: command.rest,
    getopt: commandSpec.getoptSpec(command),
    optionLines: help.optionLines(command),
    synopsis: help.synopsis(command, id),
    help: help.renderHelp(command, id),
    usage: help.renderUsage(command, id),
  }
}
