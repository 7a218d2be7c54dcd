/** The rule by which a compiled file is stale, the same as native/spec/spec_head.cpp: build id and stamps of all inputs. */
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Stamp } from '../runtime/spec.ts'

/** An edit within one tick of the kernel's clock (4 ms at most, 10 ms at HZ=100) after another leaves the same ctime. */
export const SETTLE_MS = 20
const SETTLED_NS = BigInt(SETTLE_MS) * 1_000_000n
const FAR_AHEAD_NS = 1_000_000_000n

/** Absent ones get a stamp too: their appearing makes stale. */
export function stampsOf(paths: readonly string[]): readonly Stamp[] {
  return paths.map(stampOf)
}

function stampOf(path: string): Stamp {
  const status = statSync(path, { bigint: true, throwIfNoEntry: false })
  if (status === undefined) return [path]
  return [path, String(status.dev), String(status.ino), Number(status.size), String(status.ctimeNs)]
}

/** Whether all was written long enough before `startedNs`, when reading began, that a later edit can't look the same. */
export function isSettled(stamps: readonly Stamp[], startedNs: bigint): boolean {
  return stamps.every(([, , , , changed]) => {
    if (changed === undefined) return true
    const age = startedNs - BigInt(changed)
    // A time far ahead means that the clock was set back: waiting for it would hold everything up.
    return age >= SETTLED_NS || age < -FAR_AHEAD_NS
  })
}

/** Whether what was compiled into `file` has to be compiled again; an unparsable or absent file has. */
export const isStale = (file: string, build: string): boolean => readFresh(file, build) === undefined

/** What was compiled into `file`, where it need not be compiled again. */
export function readFresh(file: string, build: string): unknown {
  try {
    const compiled = JSON.parse(readFileSync(file, 'utf8')) as { readonly build?: unknown; readonly stamps?: readonly Stamp[] }
    if (compiled.build !== build || compiled.stamps === undefined) return undefined
    return compiled.stamps.every(isUnchanged) ? compiled : undefined
  } catch {
    return undefined
  }
}

function isUnchanged(stamp: Stamp): boolean {
  const now = stampOf(stamp[0])
  return now.length === stamp.length && now.every((part, index) => part === stamp[index])
}

/** What the program was built as; empty in a checkout that is not built. */
export function readBuildId(installRoot: string): string {
  try {
    return readFileSync(join(installRoot, 'dist/build-id'), 'utf8').trim()
  } catch {
    return ''
  }
}
