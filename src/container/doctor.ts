/** Looks for what keeps containers from working, and names the command that mends each thing. */
import { isRoot } from '../platform/host.ts'
import type { Paths } from '../platform/paths.ts'
import { checkContainer, checkContainers } from './doctor-containers.ts'
import { checkCgroups, checkKernel, checkLimits, checkProgram, checkStorage, checkUsers } from './doctor-host.ts'
import { checkNetwork } from './doctor-network.ts'
import { type DoctorReport, type Finding, Findings } from './doctor-report.ts'

export interface DoctorRequest {
  /** Checks this container's configuration as well. */
  readonly name?: string
  /** What runs, for those who wait: `tslxc doctor`. */
  readonly command: string
}

/** Without root only what an ordinary user may see.
 *  @throws NotFoundError when `name` is no container */
export async function diagnose(paths: Paths, { name, command }: DoctorRequest): Promise<DoctorReport> {
  const findings: Finding[] = [
    ...checkProgram(paths),
    ...checkKernel(),
    ...checkCgroups(),
    ...checkUsers(),
    ...(await checkNetwork(paths)),
    ...checkStorage(paths),
    ...checkLimits(),
    ...(isRoot() ? await guarded(() => checkContainers(paths, command)) : []),
    ...(name === undefined ? [] : await checkContainer(paths, name)),
  ]
  const count = (level: Finding['level']) => findings.filter((finding) => finding.level === level).length
  return { findings, problems: count('problem'), warnings: count('warning') }
}

/** A broken installation must not hide what else was found. */
async function guarded(check: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await check()
  } catch (error) {
    const found = new Findings('containers')
    found.block(error instanceof Error ? error.message : String(error))
    return found.list
  }
}
