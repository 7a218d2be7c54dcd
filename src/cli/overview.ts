/** `tslxc --help`: every verb with its one line, by what one wants to do. */
import type { CommandClass, CommandLoaders } from './command-spec.ts'

/** First words of verbs, in the order of use. */
const GROUPS: readonly (readonly [string, readonly string[]])[] = [
  ['Containers', ['create', 'start', 'stop', 'destroy', 'ls', 'info', 'wait', 'freeze', 'unfreeze']],
  ['Inside', ['attach', 'console']],
  ['Copies and snapshots', ['copy', 'snapshot', 'tree']],
  ['Disk', ['df', 'resize', 'volume', 'mount', 'umount']],
  ['Moving', ['export', 'import', 'send', 'receive']],
  ['Configuration', ['config']],
  ['The host', ['doctor', 'network', 'image']],
]
const REST = 'Others'

export async function renderOverview(loaders: CommandLoaders): Promise<string> {
  const commands = await Promise.all(
    Object.keys(loaders)
      .sort()
      .map(async (id) => ({ id, command: (await loaders[id]?.())?.default as CommandClass })),
  )
  const visible = commands.filter(({ command }) => command.hidden !== true)
  const width = Math.max(...visible.map(({ id }) => id.length)) + 2
  const lineOf = ({ id, command }: (typeof visible)[number]): string => `  ${id.replaceAll(':', ' ').padEnd(width)}${command.summary ?? ''}`
  const known = GROUPS.flatMap(([, words]) => words)
  const rest = [...new Set(visible.map(({ id }) => firstWord(id)))].filter((word) => !known.includes(word))
  const sections = [...GROUPS, [REST, rest] as const].flatMap(([title, words]) => {
    const lines = words.flatMap((word) => visible.filter(({ id }) => firstWord(id) === word).map(lineOf))
    return lines.length === 0 ? [] : [`${title}:`, ...lines, '']
  })
  return [
    'Usage: tslxc COMMAND [OPTION]...',
    'System containers with the commands of LXC',
    '',
    ...sections,
    "'tslxc COMMAND --help' describes one.",
    '',
  ].join('\n')
}

const firstWord = (id: string): string => id.split(':', 1)[0] ?? id
