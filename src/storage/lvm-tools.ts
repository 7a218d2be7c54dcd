/** Running LVM's tools, and what their failures mean. */
import { existsSync } from 'node:fs'
import { BusyError, CommandError, HostError, type TslxcError } from '../lib/errors.ts'
import { type RunResult, run, which } from '../platform/exec.ts'

/** The first use of a pool after boot checks its metadata, which takes minutes for large ones. */
const TIMEOUT_MS = 600_000
/** Our descriptors are not closed by LVM; without this it complains about each. */
const ENVIRONMENT = { LVM_SUPPRESS_FD_WARNINGS: '1' }
const INSTALL = 'apt-get install --no-install-recommends lvm2 thin-provisioning-tools'

/**
 * Runs one of LVM's tools.
 * @throws HostError, BusyError with cause and remedy for failures that are known; else CommandError
 */
export async function lvm(argv: readonly [tool: string, ...args: string[]], signal?: AbortSignal): Promise<RunResult> {
  const tool = argv[0]
  if (which(tool) === undefined) throw new HostError(`cannot run '${tool}': it is not installed`, { hint: INSTALL })
  try {
    return await run(argv, { timeoutMs: TIMEOUT_MS, env: ENVIRONMENT, signal })
  } catch (error) {
    throw error instanceof CommandError ? explain(error) : error
  }
}

export const noVolumeGroup = (vg: string): HostError =>
  new HostError(`cannot use LVM: there is no volume group '${vg}'`, { hint: `vgcreate ${vg} /dev/DISK` })

const BUSY = /in use|filesystem in use|device or resource busy/i

interface Known {
  readonly pattern: RegExp
  readonly make: (found: RegExpExecArray, error: CommandError) => TslxcError
}

const because = (reason: string, hint: string, error: CommandError, code: 'host' | 'no-space' = 'host') =>
  new HostError(`cannot use LVM: ${reason}`, { hint, code, cause: error })

const KNOWN: readonly Known[] = [
  { pattern: /Volume group "([^"]+)" not found/, make: ([, vg = '']) => noVolumeGroup(vg) },
  {
    pattern: /\/dev\/mapper\/control: open failed|communicate with kernel device-mapper/,
    make: (_, error) => because(NO_MAPPER.reason, NO_MAPPER.hint, error),
  },
  {
    pattern: /Volume group "([^"]+)" has insufficient free space \((\d+) extents\): (\d+) required/,
    make: ([, vg = '', free, wanted], error) =>
      because(`the volume group '${vg}' has ${free} free extents, ${wanted} are needed`, `vgextend ${vg} /dev/DISK`, error, 'no-space'),
  },
  {
    pattern: /(?:free space in pool|thin pool) (\S+?)\/(\S+?):? (?:reached threshold|.*is? ?full|.*over-?provision)/i,
    make: ([, vg = '', pool = ''], error) =>
      because(`the thin pool '${vg}/${pool}' is full`, `lvextend -L +10G ${vg}/${pool}`, error, 'no-space'),
  },
  {
    pattern: /(?:duplicate PVs?|PV .* was already found|not prefer(?:red|ring) device)/i,
    make: (_, error) => because('a physical volume is seen twice', 'pvs -a -o pv_name,pv_uuid,vg_name', error),
  },
  {
    pattern: /rejected by a? ?filter|excluded by a filter/i,
    make: (_, error) => because('a filter hides the disk', 'lvmconfig devices/filter devices/global_filter', error),
  },
  {
    pattern: /thin_check.*(?:not found|failed)|check of pool .* failed/i,
    make: (_, error) => because('the check of the thin pool failed', INSTALL, error),
  },
]

const NO_MAPPER = {
  reason: 'the kernel has no device mapper here, as inside of a container',
  hint: 'modprobe -a dm_mod dm_thin_pool',
}

function explain(error: CommandError): TslxcError {
  for (const { pattern, make } of KNOWN) {
    const found = pattern.exec(error.stderr)
    if (found !== null) return make(found, error)
  }
  if (BUSY.test(error.stderr)) return new BusyError(error.message, { cause: error })
  return error
}

/** Why LVM can't be used on this host, or undefined. */
export function whyNoLvm(): { readonly reason: string; readonly hint: string } | undefined {
  if (which('lvs') === undefined || which('lvcreate') === undefined) return { reason: 'the tools of LVM are not installed', hint: INSTALL }
  if (process.geteuid?.() !== 0) return { reason: 'LVM needs root', hint: 'sudo tslxc' }
  if (!existsSync('/dev/mapper/control')) return NO_MAPPER
  return undefined
}
