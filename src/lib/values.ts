/** Parsers of plain values, for the schemas of what people write. Each throws BadValue with the reason. */
import { parse as parseShell } from 'shell-quote'
import { BadValue, type Scalar } from './fields.ts'

export function text(value: Scalar): string {
  if (typeof value !== 'string') throw new BadValue(`text is expected, not ${value}`, `write "${value}" in quotes`)
  if (hasControl(value)) throw new BadValue('control characters can not stand in a value')
  return value
}

/** Text or a number: what is handed to the kernel as it is written. */
export function kernelValue(value: Scalar): string {
  if (typeof value === 'boolean') return value ? '1' : '0'
  const content = String(value)
  if (hasControl(content)) throw new BadValue('control characters can not stand in a value')
  return content
}

// Tab is what fstab lines are made of.
function hasControl(value: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return /[\x00-\x08\x0a-\x1f\x7f]/.test(value)
}

export function yesNo(value: Scalar): boolean {
  if (value === true || value === 1 || value === '1' || value === 'true') return true
  if (value === false || value === 0 || value === '0' || value === 'false') return false
  throw new BadValue(`0, 1, true or false is expected, not '${value}'`)
}

export function integer(min: number, max: number): (value: Scalar) => number {
  return (value) => {
    const number = typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value
    if (typeof number !== 'number' || !Number.isSafeInteger(number)) throw new BadValue(`a whole number is expected, not '${value}'`)
    if (number < min || number > max) throw new BadValue(`${number} is not between ${min} and ${max}`)
    return number
  }
}

export function oneOf<const T extends string>(...words: readonly T[]): (value: Scalar) => T {
  return (value) => {
    const found = words.find((word) => word === String(value))
    if (found === undefined) throw new BadValue(`'${value}' is not one of ${words.join(', ')}`)
    return found
  }
}

export function absolutePath(value: Scalar): string {
  const path = text(value)
  if (!path.startsWith('/')) throw new BadValue(`an absolute path is expected, not '${path}'`)
  return path
}

/** A command line by the shell's rules of quoting; no shell runs it, so its operators are refused. */
export function commandLine(value: Scalar): readonly string[] {
  const line = text(value)
  const words: string[] = []
  // Variables stay as they are written.
  for (const word of parseShell(line, (name) => `$${name}`)) {
    if (typeof word === 'string') words.push(word)
    else if ('pattern' in word) words.push(word.pattern)
    else {
      const operator = 'comment' in word ? '#' : word.op
      throw new BadValue(`'${operator}' has no meaning here: no shell runs this command`, `/bin/sh -c '${line}'`)
    }
  }
  if (words.length === 0 || words[0] === '') throw new BadValue('a command is expected')
  return words
}

/** kernel: IFNAMSIZ holds 15 characters (dev_valid_name in net/core/dev.c). */
export function interfaceName(value: Scalar): string {
  const name = text(value)
  const valid = name.length <= 15 && name !== '.' && name !== '..' && !/[/:\s]/.test(name)
  if (!valid) throw new BadValue(`'${name}' can not be an interface's name: at most 15 characters, no '/', ':' or blank`)
  return name
}
