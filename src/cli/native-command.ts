/**
 * A verb that the native program carries out. The class is its definition only: help, man pages, completion and the native option
 * tables are rendered from it. Run through Node it starts the native program with the same words.
 */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { join } from 'node:path'
import { HostError } from '../lib/errors.ts'
import { BaseCommand } from './base-command.ts'
import { readEnvironment } from './environment.ts'

export abstract class NativeCommand extends BaseCommand<void> {
  static readonly native = true

  /** Raises: the native program has printed everything itself. */
  override async run(): Promise<void> {
    const program = join(readEnvironment().installRoot, 'dist/tslxc')
    const child = spawn(program, [this.id ?? '', ...this.argv], { stdio: 'inherit' })
    this.exitCode = await new Promise<number>((resolve, reject) => {
      child.on('error', (cause) => {
        reject(new HostError(`cannot run '${program}': ${cause.message}`, { hint: 'npm ci && npm run build', cause }))
      })
      child.on('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])))
    })
  }
}
