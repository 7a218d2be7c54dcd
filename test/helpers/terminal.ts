/** Programs on a terminal, by test/helpers/on-terminal.py. */
import { helperFile } from './addon.ts'
import { type RunOptions, runOk } from './program.ts'

export interface TerminalPlan {
  readonly argv: readonly string[]
  /** Wait for a regular expression (Python's), then type the text, or give the terminal a new size [rows, columns]. */
  readonly steps?: readonly (readonly [expected: string, typed: string | readonly [rows: number, columns: number]])[]
  readonly rows?: number
  readonly columns?: number
  /** Standard streams that are files instead. */
  readonly redirect?: Readonly<Partial<Record<'0' | '1' | '2', string>>>
  /** Seconds until it is killed. */
  readonly timeout?: number
}

export interface TerminalOutcome {
  /** What the terminal showed, with its \r\n. */
  readonly output: string
  readonly code: number
  /** Steps done. */
  readonly step: number
}

export async function onTerminal(plan: TerminalPlan, options: RunOptions = {}): Promise<TerminalOutcome> {
  const text = await runOk(['python3', helperFile('on-terminal.py'), JSON.stringify(plan)], options)
  return JSON.parse(text) as TerminalOutcome
}
