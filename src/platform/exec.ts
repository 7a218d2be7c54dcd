/** The only way processes are run: argv arrays, never a shell, `LC_ALL=C`. */
import { spawn } from 'node:child_process'
import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { PassThrough, type Readable, type Writable } from 'node:stream'
import { abortedError, throwIfAborted } from '../lib/abort.ts'
import { CommandError, HostError, TslxcError } from '../lib/errors.ts'

export interface RunOptions {
  readonly input?: string | Uint8Array | undefined
  readonly timeoutMs?: number | undefined
  readonly cwd?: string | undefined
  /** Added to the environment; `undefined` removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
  /** Each line of stdout and stderr as it comes, without newline. */
  readonly onLine?: ((line: string) => void) | undefined
  readonly signal?: AbortSignal | undefined
  /** What an abort or a timeout sends; default SIGTERM, and SIGKILL after 5 s. `unshare --fork` blocks SIGTERM. */
  readonly killSignal?: NodeJS.Signals | undefined
  /** Runs before the input is written: a program that waits for its first line can be prepared from outside. */
  readonly beforeInput?: ((pid: number) => Promise<void>) | undefined
  /** Exit codes that are no error; default only 0. */
  readonly okCodes?: readonly number[] | undefined
}

export interface RunResult {
  readonly stdout: string
  readonly stderr: string
  readonly status: number
}

const STDERR_LINES_IN_MESSAGE = 5
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024
const KILL_AFTER_MS = 5_000
const MOST_STDERR = 64 * 1024
// Started from cron, a unit or a hook, PATH may lack the directories where the tools of an administrator are.
const SYSTEM_PATH = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']

/**
 * Runs a program to its end.
 * @throws CommandError with the last lines of stderr when it fails; HostError when it is not installed;
 *   TslxcError `aborted` or `timeout`.
 */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  throwIfAborted(options.signal)
  const { execa } = await import('execa')
  const child = execa(argv[0] ?? '', argv.slice(1), {
    ...execaOptions(options),
    ...stdinOf(options),
  })
  const forwarded = options.onLine === undefined ? undefined : forwardLines(child, options.onLine)
  const prepared = options.beforeInput === undefined ? undefined : prepare(child, options.beforeInput, options.input)
  const result = await child
  await forwarded
  await prepared
  const { stdout, stderr } = result
  if (result.exitCode !== undefined && (options.okCodes ?? [0]).includes(result.exitCode)) {
    return { stdout, stderr, status: result.exitCode }
  }
  if (options.signal?.aborted) throw abortedError(options.signal.reason)
  throw failure(argv, options, result)
}

/**
 * Runs `action` in the middle of a program that does something, says a line, and undoes it when its standard input ends,
 * which it does when `action` is over or this process has died.
 * @throws CommandError when the program fails, `action` then did not run or its result is lost
 */
export async function runWhile<T>(argv: readonly string[], options: Pick<RunOptions, 'env'>, action: () => Promise<T>): Promise<T> {
  const { execa } = await import('execa')
  // No signal reaches it: a process group's Ctrl-C is for us to answer.
  const child = execa(argv[0] ?? '', argv.slice(1), { ...execaOptions(options), stdin: 'pipe' })
  const said = new Promise<true>((resolve) => child.stdout.once('data', () => resolve(true)))
  const early = await Promise.race([said, child])
  if (early !== true) throw failure(argv, options, early)
  let result: T
  try {
    result = await action()
  } finally {
    child.stdin.end()
  }
  const end = await child
  if (end.exitCode !== 0) throw failure(argv, options, end)
  return result
}

/**
 * Runs a program on the caller's own terminal and answers its exit code, 128 + signal when it was killed.
 * @throws HostError when it is not installed
 */
export async function runAttached(argv: readonly string[], options: Pick<RunOptions, 'cwd' | 'env'> = {}): Promise<number> {
  const { execa } = await import('execa')
  const { env, ...rest } = execaOptions(options)
  const result = await execa(argv[0] ?? '', argv.slice(1), { ...rest, env: { ...env, LC_ALL: process.env.LC_ALL }, stdio: 'inherit' })
  if (result.exitCode !== undefined) return result.exitCode
  if (result.signal !== undefined) {
    const { constants: os } = await import('node:os')
    return 128 + (os.signals[result.signal as NodeJS.Signals] ?? 0)
  }
  throw failure(argv, options, result)
}

export interface PipedProcess {
  /** Absent where the program does not read ours. */
  readonly stdin: Writable | undefined
  /** Absent where the program writes to our own standard output. */
  readonly stdout: Readable | undefined
  /** @throws CommandError with the last lines of stderr; HostError when it is not installed */
  readonly ended: Promise<RunResult>
  kill(): void
}

export interface PipeOptions {
  readonly stdin?: 'pipe' | 'ignore'
  /** A number: a descriptor of ours. */
  readonly stdout?: 'pipe' | 'ignore' | number
  readonly signal?: AbortSignal | undefined
}

/** Starts a program that reads or writes a stream. Whoever breaks off must `kill` it and wait for its end. */
export function startPiped(argv: readonly string[], { stdin = 'ignore', stdout = 'pipe', signal }: PipeOptions = {}): PipedProcess {
  throwIfAborted(signal)
  const child = spawn(argv[0] ?? '', argv.slice(1), {
    stdio: [stdin, stdout, 'pipe'],
    env: { ...process.env, PATH: searchPath().join(delimiter), LC_ALL: 'C' },
  })
  let stderr = ''
  child.stderr?.on('data', (text: Buffer) => {
    stderr = (stderr + text.toString('utf8')).slice(-MOST_STDERR)
  })
  // That it does not read to the end shows in how it ends.
  child.stdin?.on('error', () => undefined)
  // Node throws away what nobody has begun to read when a program ends.
  const out = child.stdout?.pipe(new PassThrough())
  const kill = (): void => {
    child.kill('SIGKILL')
    // It is only over when nothing is left to read.
    child.stdout?.destroy()
    out?.destroy()
    child.stdin?.destroy()
  }
  signal?.addEventListener('abort', kill, { once: true })
  const ended = new Promise<RunResult>((resolve, reject) => {
    let code: string | undefined
    child.once('error', (error: NodeJS.ErrnoException) => {
      code = error.code
    })
    child.once('close', (exitCode, killedBy) => {
      signal?.removeEventListener('abort', kill)
      if (exitCode === 0) resolve({ stdout: '', stderr, status: 0 })
      else if (signal?.aborted) reject(abortedError(signal.reason))
      else {
        const status = code === 'ENOENT' || exitCode === null ? undefined : exitCode
        reject(failure(argv, {}, { exitCode: status, signal: killedBy ?? undefined, stderr, code }))
      }
    })
  })
  // Whoever broke off has a reason of their own.
  ended.catch(() => undefined)
  return { stdin: child.stdin ?? undefined, stdout: out, ended, kill }
}

/** Starts a program that goes on after us, with nothing of ours; whether it could be started is not told. */
export function spawnBehind(argv: readonly string[], env: Readonly<Record<string, string>>): void {
  const child = spawn(argv[0] ?? '', argv.slice(1), {
    detached: true,
    stdio: 'ignore',
    cwd: '/',
    env: { ...process.env, ...env, LC_ALL: 'C' },
  })
  child.on('error', () => undefined)
  child.unref()
}

/** Absolute path of a tool, or undefined when it is not installed. */
export function which(tool: string): string | undefined {
  return searchPath()
    .map((dir) => join(dir, tool))
    .find(isExecutable)
}

function searchPath(): string[] {
  return [...new Set([...(process.env.PATH ?? '').split(delimiter).filter((dir) => dir.startsWith('/')), ...SYSTEM_PATH])]
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

function execaOptions(options: RunOptions) {
  return {
    reject: false as const,
    stripFinalNewline: false as const,
    maxBuffer: MAX_OUTPUT_BYTES,
    forceKillAfterDelay: KILL_AFTER_MS,
    killSignal: options.killSignal ?? ('SIGTERM' as const),
    env: { PATH: searchPath().join(delimiter), LC_ALL: 'C', ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs }),
    ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
  }
}

function stdinOf({ input, beforeInput }: RunOptions) {
  if (beforeInput !== undefined) return { stdin: 'pipe' as const }
  return input === undefined ? { stdin: 'ignore' as const } : { input }
}

interface Preparable {
  readonly pid?: number | undefined
  readonly stdin: { end(input: string | Uint8Array): unknown } | null
  kill(signal: NodeJS.Signals): boolean
}

async function prepare(child: Preparable, beforeInput: (pid: number) => Promise<void>, input: string | Uint8Array = ''): Promise<void> {
  if (child.pid === undefined) return
  try {
    await beforeInput(child.pid)
    child.stdin?.end(input)
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }
}

async function forwardLines(
  child: { iterable(options: { from: 'all' | 'stdout' | 'stderr' }): AsyncIterable<unknown> },
  onLine: (line: string) => void,
) {
  const forward = async (from: 'stdout' | 'stderr') => {
    for await (const line of child.iterable({ from })) onLine(String(line))
  }
  // A failing child is reported by run() itself.
  await Promise.allSettled([forward('stdout'), forward('stderr')])
}

interface FailedResult {
  readonly exitCode?: number | undefined
  readonly signal?: string | undefined
  readonly stderr?: string | undefined
  readonly timedOut?: boolean
  readonly code?: string | undefined
  readonly cause?: unknown
}

function failure(argv: readonly string[], options: RunOptions, result: FailedResult): TslxcError {
  const tool = argv[0] ?? ''
  if (result.code === 'ENOENT' && result.exitCode === undefined) return new HostError(`cannot run '${tool}': it is not installed`)
  if (result.timedOut) return new TslxcError('timeout', `cannot run '${tool}': no end after ${(options.timeoutMs ?? 0) / 1000} s`)
  const stderr = result.stderr ?? ''
  const lastLines = stderr.trim().split('\n').slice(-STDERR_LINES_IN_MESSAGE).join('\n')
  const reason = result.exitCode === undefined ? `killed by ${result.signal ?? result.code ?? 'a signal'}` : `exit code ${result.exitCode}`
  const message = `cannot run '${tool}': ${lastLines === '' ? reason : lastLines}`
  return new CommandError(message, { argv, status: result.exitCode, stderr }, { cause: result.cause })
}
