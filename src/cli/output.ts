/** Text for standard output. LXC's own tables are native; these are for the verbs that LXC does not have. */

/** A plain table: a header line, columns aligned, no borders. Empty cells show `-`. */
export async function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): Promise<string> {
  const { default: Table } = await import('cli-table3')
  const none = ['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right']
  const inner = ['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid']
  const table = new Table({
    head: [...head],
    chars: { ...Object.fromEntries([...none, ...inner].map((key) => [key, ''])), middle: '  ' },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  })
  table.push(...rows.map((row) => row.map((cell) => (cell === '' ? '-' : cell))))
  const lines = table.toString().split('\n')
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`
}
