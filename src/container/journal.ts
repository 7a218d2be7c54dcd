/** creating.json: what a command is making, written before it is made, so that the next one can undo it after a crash. */
import { join } from 'node:path'
import { writeDurable, writeUnflushed } from '../platform/files.ts'
import type { Volume } from '../storage/driver.ts'
import { CREATING, type StoreContext } from './store.ts'

export const JOURNAL_VERSION = 1

export interface Journal {
  readonly version: typeof JOURNAL_VERSION
  readonly pid: number
  readonly command: string
  readonly startedAt: string
  readonly volumes: readonly Volume[]
}

/** Of what is made in `dir`. `flush` false: the caller flushes the file system. */
export async function writeJournal({ command }: StoreContext, dir: string, volumes: readonly Volume[], flush = true): Promise<void> {
  const startedAt = new Date().toISOString()
  const journal: Journal = { version: JOURNAL_VERSION, pid: process.pid, command, startedAt, volumes }
  const text = `${JSON.stringify(journal, null, 2)}\n`
  if (flush) await writeDurable(join(dir, CREATING), text)
  else writeUnflushed(join(dir, CREATING), text)
}
