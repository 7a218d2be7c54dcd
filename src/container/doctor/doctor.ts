/** Looks for what keeps containers from working, and names the command that mends each thing. */
import { existsSync } from 'node:fs'
import { isRoot } from '../../platform/host.ts'
import type { StoreContext } from '../store.ts'
import { checkContainer, checkContainers } from './doctor-containers.ts'
import { checkCgroups, checkKernel, checkLimits, checkProgram, checkStorage, checkUsers } from './doctor-host.ts'
import { checkNetwork } from './doctor-network.ts'
import { type DoctorReport, type Finding, Findings } from './doctor-report.ts'
import { checkStores } from './doctor-storage.ts'

/** Without root only what an ordinary user may see. With `name` that container's configuration as well.
 *  @throws NotFoundError when `name` is no container */
export async function diagnose(context: StoreContext, name?: string): Promise<DoctorReport> {
  const { paths } = context
  const findings: Finding[] = [
    ...checkProgram(paths),
    ...checkKernel(),
    ...checkCgroups(),
    ...checkUsers(),
    ...(await checkNetwork(paths)),
    ...checkStorage(paths),
    ...checkLimits(),
    ...(isRoot() && existsSync(paths.lxcpath) ? await guarded(() => checkStores(paths)) : []),
    ...(isRoot() ? await guarded(() => checkContainers(context)) : []),
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
