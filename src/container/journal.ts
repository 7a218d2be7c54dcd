/** creating.json: what a command is making, written before it is made, so that the next one can undo it after a crash. */
import { join } from 'node:path'
import { writeJson } from '../platform/files.ts'
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

/** Of what is made in `dir`. */
export async function writeJournal({ command }: StoreContext, dir: string, volumes: readonly Volume[]): Promise<void> {
  const startedAt = new Date().toISOString()
  const journal: Journal = { version: JOURNAL_VERSION, pid: process.pid, command, startedAt, volumes }
  await writeJson(join(dir, CREATING), journal)
}
