/** Examples of a document: ```console blocks, whose lines with `# ` are commands and whose others are what they print. */

export interface Example {
  /** Line of the document, 1-based. */
  readonly line: number
  readonly command: string
  /** Lines of output; `…` stands for anything in a line, alone for any number of lines. */
  readonly expected: readonly string[]
}

export function readExamples(text: string): Example[] {
  const examples: { line: number; command: string; expected: string[] }[] = []
  let inside = false
  for (const [index, line] of text.split('\n').entries()) {
    if (line.startsWith('```')) inside = line === '```console'
    else if (inside && line.startsWith('# ')) examples.push({ line: index + 1, command: line.slice(2), expected: [] })
    else if (inside) examples.at(-1)?.expected.push(line)
  }
  return examples
}

/** Numbers, random names and the width of gaps differ from machine to machine. */
export function expectedPattern(expected: readonly string[]): RegExp {
  const lines = expected.map((line) => (line.trim() === '…' ? '(?:.*\\n)*?' : `${linePattern(line)}\\n`))
  return new RegExp(`^${lines.join('')}$`)
}

function linePattern(line: string): string {
  const escaped = line.trimEnd().replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  return escaped
    .replaceAll('…', '.*')
    .replace(/veth\w+/g, 'veth\\w+')
    .replace(/ (bytes|KiB|MiB)\b/g, ' (?:bytes|KiB|MiB)')
    .replace(/\d+(\\\.\d+)?(?= \(\?:bytes| seconds| ms$)/g, '[\\d.]+')
    .replace(/\d{4}:\d\d:\d\d \d\d:\d\d:\d\d/, '\\d{4}(?::\\d\\d){2} \\d\\d(?::\\d\\d){2}')
    .replace(/\\.yaml:\d+:\d+/, '\\.yaml:\\d+:\\d+')
    .replace(/^(PID: +)\d+/, '$1\\d+')
    .replace(/[ \t]+/g, '\\s+')
    .concat(' *')
}
