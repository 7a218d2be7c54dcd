/** Tests say why they can't run; the reporter prints it. */
import { readlinkSync } from 'node:fs'
import type { TestContext } from 'vitest'

/** Skips the running test with its reason, e.g. `needs(ctx, hasCgroup2(), 'no cgroup v2 here')`. */
export function needs(context: TestContext, present: boolean, reason: string): void {
  context.skip(!present, reason)
}

export const isRoot = (): boolean => process.geteuid?.() === 0

/** Bridges and containers of tests never stand in the host's network. `npm test` sees to it. */
export function requireOwnNetwork(): void {
  if (readlinkSync('/proc/self/ns/net') === firstNetwork()) {
    throw new Error("system tests need a network namespace of their own: run 'npm run test:system', or 'unshare -nm npx vitest …'")
  }
}

/** Undefined where a process without all of init's capabilities may not ask. ptrace(2), PTRACE_MODE_READ_FSCREDS */
function firstNetwork(): string | undefined {
  try {
    return readlinkSync('/proc/1/ns/net')
  } catch {
    return undefined
  }
}
