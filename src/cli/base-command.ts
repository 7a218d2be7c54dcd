/**
 * What every command extends. A command parses, calls one function below, and returns a value:
 *
 *     export default class NetworkDown extends BaseCommand<NetworkReport> {
 *       static override summary = 'Take a managed bridge down'
 *       static override args = { bridge: Args.string({ description: 'Name of the bridge', default: 'tslxcbr0', ignoreStdin: true }) }
 *       static override flags = { force: Flags.boolean({ char: 'f', summary: 'Even with containers on it' }) }
 *
 *       async run(): Promise<NetworkReport> {
 *         const { args, flags, context } = await this.parse(NetworkDown)
 *         const { takeDown } = await import('../../network/managed.ts')
 *         return takeDown(context.paths, args.bridge, { force: flags.force, signal: context.signal, onStep: context.onStep })
 *       }
 *
 *       override print(report: NetworkReport): string {
 *         return `${report.bridge} is down\n`
 *       }
 *     }
 *
 * Errors are thrown (lib/errors.ts), never printed. `--json` prints the value itself.
 */
import { Command } from '@oclif/core/command'
import type { FlagInput, Input, ParserOutput } from '@oclif/core/parser'
import { assertNever } from '../lib/assert-never.ts'
import { HostError, TslxcError, UsageError } from '../lib/errors.ts'
import { attachUndoErrors } from '../lib/undo.ts'
import type { CommandClass } from './command-spec.ts'
import { getoptSpec } from './command-spec.ts'
import type { CommonFlags, Context } from './context.ts'
import { makeContext } from './context.ts'
import { readEnvironment } from './environment.ts'
import { errorRecord, exitCodeOf, renderError } from './errors.ts'
import type { RestArguments } from './flags.ts'
import { commonFlags } from './flags.ts'
import type { Asked } from './getopt.ts'
import { getopt } from './getopt.ts'
import { convert } from './parse.ts'
import type { Progress } from './progress.ts'
import { terminal } from './terminal.ts'

/** Not an error: `--help` and its like end parsing. */
class Question extends Error {
  readonly asked: Asked

  constructor(asked: Asked) {
    super(asked)
    this.asked = asked
  }
}

export interface Parsed {
  /** The words after `--`, or after NAME; undefined when there are none. */
  readonly rest: readonly string[] | undefined
  /** Values of the flags that `extraFlags` added. */
  readonly extra: Readonly<Record<string, unknown>>
  readonly context: Context
}

export abstract class BaseCommand<Result = unknown> extends Command {
  static override baseFlags: FlagInput = commonFlags
  /** Words that are passed on untouched. */
  static rest: RestArguments | undefined = undefined

  /** Whether tslxc.yaml is read before the command runs: all but the one that compiles it. */
  static usesSettings = true

  /** What the program exits with when nothing is thrown. */
  protected exitCode = 0
  #common: CommonFlags | undefined
  #context: Context | undefined
  #progress: Progress | undefined

  abstract override run(): Promise<Result>

  /** What was asked for, for people: standard output, with -q too. */
  print(_result: Result): string | Promise<string> {
    return ''
  }

  /** What is worth knowing after the work, for people: standard output, unless -q. */
  summarize(_result: Result): string | Promise<string> {
    return ''
  }

  /** Flags that depend on the argv itself (a template's options). */
  protected async extraFlags(_argv: readonly string[]): Promise<FlagInput> {
    return {}
  }

  protected override async parse<F extends object, B extends object, A extends object>(
    options?: Input<F, B, A>,
    argv: string[] = this.argv,
  ): Promise<ParserOutput<F, B, A> & Parsed> {
    const command = (options ?? this.ctor) as CommandClass
    const extraFlags = await this.extraFlags(argv)
    const read = getopt(argv, getoptSpec(command, extraFlags))
    if (read.asked !== undefined) throw new Question(read.asked)
    const output = await convert(command, read, extraFlags)
    this.parsed = true
    this.#common = output.flags as unknown as CommonFlags
    const { context, progress } = await makeContext(this.#common, readEnvironment(), {
      title: this.#title,
      usesSettings: (command as typeof BaseCommand).usesSettings,
    })
    this.#context = context
    this.#progress = progress
    const extra = Object.fromEntries(Object.keys(extraFlags).map((name) => [name, output.flags[name]]))
    return { ...output, rest: read.rest, extra, context } as unknown as ParserOutput<F, B, A> & Parsed
  }

  /** Runs, prints, and sets the exit code; never throws. */
  async execute(): Promise<void> {
    await this._run()
  }

  protected override async _run<T>(): Promise<T> {
    let result: Result | undefined
    try {
      result = await this.run()
      this.#progress?.clear()
      await this.#report(result)
      process.exitCode = this.exitCode
    } catch (error) {
      this.#progress?.clear()
      if (error instanceof Question) await this.#answer(error.asked)
      else this.#fail(error)
    }
    return result as T
  }

  get #title(): string {
    return `tslxc ${(this.id ?? '').replaceAll(':', ' ')}`
  }

  async #report(result: Result): Promise<void> {
    if (this.#common?.json) terminal.out(`${JSON.stringify(result ?? null, null, 2)}\n`)
    else terminal.out((await this.print(result)) + (this.#common?.quiet ? '' : await this.summarize(result)))
  }

  #fail(raised: unknown): void {
    const error = this.#explain(attachUndoErrors(raised))
    process.exitCode = exitCodeOf(error)
    // The error may be about the flags themselves, hence the look at the words.
    const own = this.argv.slice(0, this.argv.includes('--') ? this.argv.indexOf('--') : undefined)
    const json = this.#common?.json ?? own.includes('--json')
    if (json) terminal.out(`${JSON.stringify({ error: errorRecord(error) })}\n`)
    else if (!this.#common?.quiet)
      terminal.err(renderError(error, (this.id ?? '').replaceAll(':', ' '), this.#context?.logLevel ?? 'ERROR'))
  }

  #explain(raised: unknown): unknown {
    const { signal } = this.#context ?? {}
    // Whatever broke off because of the signal: the signal is the reason that is told.
    if (signal?.aborted && signal.reason instanceof TslxcError) {
      if (raised instanceof TslxcError && raised !== signal.reason) signal.reason.undoErrors.push(...raised.undoErrors)
      return signal.reason
    }
    if (raised instanceof UsageError && raised.hint === undefined && this.#common === undefined) {
      return new UsageError(raised.message, { hint: `run '${this.#title} --help'`, exitCode: raised.exitCode, cause: raised.cause })
    }
    return fromErrno(raised) ?? raised
  }

  async #answer(asked: Asked): Promise<void> {
    const { renderHelp, renderUsage } = await import('./help.ts')
    const command = this.ctor as CommandClass
    switch (asked) {
      case 'version':
        terminal.out(`${this.config.version}\n`)
        break
      case 'usage':
        terminal.err(renderUsage(command, this.id ?? ''))
        break
      case 'help':
      case 'help-error':
        terminal.err(renderHelp(command, this.id ?? '', await this.extraFlags(this.argv)))
        break
      default:
        assertNever(asked)
    }
    process.exitCode = asked === 'help-error' ? 1 : 0
  }
}

/** A system call's failure that nobody below put in words. */
function fromErrno(raised: unknown): TslxcError | undefined {
  if (!(raised instanceof Error) || raised instanceof TslxcError || !('errno' in raised) || !('syscall' in raised)) return undefined
  const { code, syscall, path } = raised as NodeJS.ErrnoException
  const what = `cannot ${syscall ?? 'go on'}${path === undefined ? '' : ` '${path}'`}: ${raised.message.replace(/^[A-Z]+: /, '').replace(/,.*/, '')}`
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new HostError(what, { code: 'no-space', hint: 'df -h shows what is full', cause: raised })
  if (code === 'EACCES' || code === 'EPERM') return new HostError(what, { code: 'permission', hint: 'run it with sudo', cause: raised })
  return new HostError(what, { cause: raised })
}
