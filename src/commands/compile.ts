import { BaseCommand } from '../cli/base-command.ts'
import { type ErrorRecord, errorRecord } from '../cli/errors.ts'
import { Args, Flags } from '../cli/flags.ts'
import { ConfigError, TslxcError, UsageError } from '../lib/errors.ts'
import type { Namespace } from '../runtime/spec.ts'

/** The one question native asks Node. Ends in files, or in text on a descriptor, or in errors. */
export default class Compile extends BaseCommand<void> {
  static override hidden = true
  static override usesSettings = false
  static override summary = 'Compile configurations to plans for the native program'
  static override args = {
    name: Args.string({ description: 'Names of the containers', multiple: true, ignoreStdin: true }),
  }
  static override flags = {
    settings: Flags.boolean({ summary: 'Compile the system settings' }),
    'to-fd': Flags.integer({ helpValue: 'FD', summary: 'Write the plan of one container to a descriptor, not to its directory' }),
    rcfile: Flags.string({ helpValue: 'FILE', summary: "Configuration instead of the container's own" }),
    define: Flags.string({ char: 's', helpValue: 'KEY=VALUE', summary: 'A key that comes last', multiple: true, multipleNonGreedy: true }),
    'share-net': Flags.string({ helpValue: 'NAME|PID', summary: 'Join this network namespace' }),
    'share-ipc': Flags.string({ helpValue: 'NAME|PID', summary: 'Join this IPC namespace' }),
    'share-uts': Flags.string({ helpValue: 'NAME|PID', summary: 'Join this UTS namespace' }),
    'share-pid': Flags.string({ helpValue: 'NAME|PID', summary: 'Join this PID namespace' }),
  }

  async run(): Promise<void> {
    const { args, flags, context } = await this.parse(Compile)
    const names = [args.name ?? []].flat()
    const errors: unknown[] = []
    const attempt = async (work: () => unknown): Promise<void> => {
      try {
        await work()
      } catch (error) {
        errors.push(error)
      }
    }
    const { compileContainer, writeCompiled } = await import('../compile/write.ts')
    const { settleForStart } = await import('../container/settle.ts')
    const { settleLimit } = await import('../container/disk/limit.ts')
    if (flags.settings) await attempt(async () => (await import('../compile/settings.ts')).writeSettings(context.paths))
    const fd = flags['to-fd']
    if (fd === undefined) {
      // One that is wrong must not hold up the others.
      for (const name of names) {
        await attempt(async () => {
          await settleForStart(context, name)
          const { hasLimit } = await writeCompiled(context.paths, name)
          if (!hasLimit && (await settleLimit(context, name))) await writeCompiled(context.paths, name)
        })
      }
    } else {
      await attempt(async () => {
        const [name, ...more] = names
        if (name === undefined || more.length > 0) throw new UsageError('cannot compile to a descriptor: one name is expected')
        const { readDefinition } = await import('../config/definitions.ts')
        const join = joined(flags)
        const overrides = (flags.define ?? []).map(readDefinition)
        await settleForStart(context, name, { rcfile: flags.rcfile, overrides })
        const options = { overrides, join, ...(flags.rcfile === undefined ? {} : { rcfile: flags.rcfile }) }
        const compiled = await compileContainer(context.paths, name, options)
        const isNow = compiled.hasLimit || !(await settleLimit(context, name, options))
        await writeTo(fd, isNow ? compiled : await compileContainer(context.paths, name, options))
      })
    }
    this.#tell(errors)
  }

  #tell(errors: readonly unknown[]): void {
    const [first] = errors
    if (first === undefined) return
    if (process.env.TSLXC_COMPILE_JSON !== '1') {
      if (errors.length === 1) throw first
      throw new TslxcError('config', errors.map((error) => (error instanceof Error ? error.message : String(error))).join('\n'), {
        cause: first,
      })
    }
    for (const error of errors) process.stderr.write(`${JSON.stringify({ error: recordFor(error) })}\n`)
    this.exitCode = 1
  }
}

/** Native shows the message alone: the line with its caret goes along in it. */
function recordFor(error: unknown): ErrorRecord {
  const record = errorRecord(error)
  const excerpt = error instanceof ConfigError ? error.place.excerpt : undefined
  return excerpt === undefined ? record : { ...record, message: `${record.message}\n    ${excerpt.replaceAll('\n', '\n    ')}` }
}

type ShareFlags = { readonly [K in 'share-net' | 'share-ipc' | 'share-uts' | 'share-pid']?: string | undefined }

function joined(flags: ShareFlags): Partial<Record<Namespace, string>> {
  const join: Partial<Record<Namespace, string>> = {}
  for (const namespace of ['net', 'ipc', 'uts', 'pid'] as const) {
    const target = flags[`share-${namespace}`]
    if (target !== undefined) join[namespace] = target
  }
  return join
}

async function writeTo(fd: number, { spec, seccomp }: { spec: unknown; seccomp?: Buffer }): Promise<void> {
  const { writeSync } = await import('node:fs')
  const content = Buffer.from(JSON.stringify({ spec, seccomp: seccomp?.toString('base64') ?? '' }))
  for (let done = 0; done < content.length; ) done += writeSync(fd, content, done)
}
