/** Where the bits of a root file system come from, and what the cache needs of whoever keeps them. */
import type { ZodMiniType } from 'zod/mini'
import type { OnStep } from '../lib/progress.ts'

export interface ImageSource<S extends { readonly kind: string }> {
  readonly kind: S['kind']
  readonly options: ZodMiniType<S>
  /** Whether `fetch` runs programs of the guest, and so wants `firstId`. */
  readonly runsGuestCode: boolean
  /** For people: `debian bookworm amd64`. */
  describe(source: S): string
  /** JSON of all that decides the content; the fingerprint is made of it. */
  identity(source: S, place: SourcePlace): Promise<unknown>
  /**
   * Fills `work.rootfs`. On return it holds nothing of the host that made it: no resolv.conf, hostname, machine-id, ssh host keys,
   * package lists. Owners on disk are the guest's ids.
   */
  fetch(source: S, work: FetchWork): Promise<void>
}

export interface SourcePlace {
  /** Relative paths in a source are relative to it. */
  readonly templateDir: string
}

export interface FetchWork extends SourcePlace {
  /** An empty directory. */
  readonly rootfs: string
  /** Directory of our own on the same file system, removed afterwards. */
  readonly workDir: string
  /** A shell script that runs once inside the new root file system. */
  readonly setupScript?: string | undefined
  /** What the tools said; kept when the fetch fails. */
  readonly logFile: string
  readonly installRoot: string
  /** First of 65536 host ids that are nobody's: code of the guest runs as these. Absent: no user namespaces here. */
  readonly firstId?: number | undefined
  readonly signal?: AbortSignal | undefined
  readonly onStep: OnStep
}

/** What the cache asks of a storage driver, so that this floor knows none. `V` is the driver's record. */
export interface ImageVolumes<V> {
  create(at: {
    readonly dir: string
    readonly name: string
    readonly label: string
    readonly pool: Readonly<Record<string, never>>
  }): Promise<V>
  destroy(volume: V): Promise<void>
  /** Makes the content reachable as a directory while `use` runs. */
  withMounted<T>(volume: V, use: (root: string) => Promise<T>): Promise<T>
}
