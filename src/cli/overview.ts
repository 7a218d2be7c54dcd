/** `tslxc --help`: every verb with its one line. */
import type { CommandClass, CommandLoaders } from './command-spec.ts'

export async function renderOverview(loaders: CommandLoaders): Promise<string> {
  const commands = await Promise.all(
    Object.keys(loaders)
      .sort()
      .map(async (id) => ({ id, command: (await loaders[id]?.())?.default as CommandClass })),
  )
  const visible = commands.filter(({ command }) => command.hidden !== true)
  const width = Math.max(...visible.map(({ id }) => id.length)) + 2
  const lines = visible.map(({ id, command }) => `  ${id.replaceAll(':', ' ').padEnd(width)}${command.summary ?? ''}`)
  return [
    'Usage: tslxc COMMAND [OPTION]...',
    'System containers with the commands of LXC',
    '',
    'Commands:',
    ...lines,
    '',
    "'tslxc COMMAND --help' describes one.",
    '',
  ].join('\n')
}
