/** Runs the built program as a user would. */
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'

export const checkout = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
export const program = join(checkout, 'dist/tslxc')
export const shim = join(checkout, 'bin/tslxc')

export interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  /** Added to the environment; `undefined` takes a variable away. */
  readonly env?: Record<string, string | undefined>
  readonly input?: string
  readonly cwd?: string
  /** Default 60 s: a test that hangs tells so, by code 124. */
  readonly timeoutMs?: number
}

/** Runs any command to its end; never throws for an exit code. Trailing newlines are kept. */
export async function run(command: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const [file = '', ...args] = command
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: undefined, ...options.env } as unknown as Record<string, string>
  const result = await execa(file, args, {
    reject: false,
    stripFinalNewline: false,
    extendEnv: false,
    env,
    input: options.input ?? '',
    timeout: options.timeoutMs ?? 60_000,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  })
  const code = result.timedOut ? 124 : (result.exitCode ?? (result.signal === undefined ? 127 : 128))
  return { code, stdout: String(result.stdout ?? ''), stderr: String(result.stderr ?? result.shortMessage ?? '') }
}

/** As `run`, but an exit code other than 0 fails the test, with everything that was printed. */
export async function runOk(command: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await run(command, options)
  if (code !== 0) throw new Error(`'${command.join(' ')}' exited with ${code}\n${stdout}${stderr}`)
  return stdout
}
