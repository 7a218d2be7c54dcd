/** All command classes, by id, from the sources. */

import { listCommands } from '../../scripts/bundle.mjs'
import type { CommandClass, CommandLoaders } from '../../src/cli/command-spec.ts'
import { checkout } from './program.ts'

export const commandIds: readonly string[] = [...listCommands(checkout).keys()]

export const loaders: CommandLoaders = Object.fromEntries(
  [...listCommands(checkout)].map(([id, file]) => [
    id,
    () => import(new URL(`../../${file}`, import.meta.url).href) as Promise<{ default: unknown }>,
  ]),
)

export async function loadCommand(id: string): Promise<CommandClass> {
  const loaded = await loaders[id]?.()
  return loaded?.default as CommandClass
}
