/** The containers side of `doctor`: what crashed, what is half made or half destroyed, and one configuration in depth. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { compileContainer } from '../../compile/write.ts'
import { BusyError, TslxcError } from '../../lib/errors.ts'
import { readLeases, releaseAddresses } from '../../network/leases.ts'
import { findManagedNetwork } from '../../network/managed-file.ts'
import { listLinks } from '../../network/managed-host.ts'
import { isRoot } from '../../platform/host.ts'
import type { Paths } from '../../platform/paths.ts'
import type { MountSource, Spec } from '../../runtime/spec.ts'
import {
  type Container,
  CREATING,
  containerOf,
  DESTROYING,
  findContainer,
  listContainers,
  lockContainer,
  type StoreContext,
  stateOf,
} from '../store.ts'
import { sweepCrashed } from '../sweep.ts'
import { type Finding, Findings } from './doctor-report.ts'

/** Sweeps what a crashed create or destroy left, and says so. */
export async function checkContainers(context: StoreContext): Promise<Finding[]> {
  const { paths } = context
  const found = new Findings('containers')
  const whole = listContainers(paths)
  found.ok(`${whole.length} ${whole.length === 1 ? 'container' : 'containers'} in ${paths.lxcpath}`)
  for (const { name } of whole) checkCrash(paths, name, found)
  const names = new Set(whole.map(({ name }) => name))
  for (const name of listDirs(paths.lxcpath)) if (!names.has(name)) await checkPartial(context, name, found)
  if (isRoot()) await releaseOrphans(paths, context.command, found)
  return found.list
}

function listDirs(dir: string): string[] {
  if (!existsSync(dir)) return []
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map(({ name }) => name)
}

function checkCrash(paths: Paths, name: string, found: Findings): void {
  const { crashed, state } = stateOf(paths, name)
  if (!crashed) return
  const what = state === 'ABORTING' ? 'its monitor is gone, its processes still run' : 'its monitor ended without cleaning up'
  found.warn(`'${name}' crashed: ${what}`, `tslxc stop -k ${name}`)
}

async function checkPartial(context: StoreContext, name: string, found: Findings): Promise<void> {
  const container = containerOf(context.paths, name)
  const isOurs = [CREATING, DESTROYING].some((file) => existsSync(join(container.dir, file)))
  if (isOurs) return await sweepWhenFree(context, container, found)
  if (existsSync(join(container.dir, 'config'))) found.warn(`'${name}' has LXC's config, which is not supported yet`)
  else found.warn(`${container.dir} is no container: it has no config.yaml`, `ls -la ${container.dir}`)
}

async function sweepWhenFree(context: StoreContext, container: Container, found: Findings): Promise<void> {
  const { name } = container
  try {
    const lock = await lockContainer({ ...context, lockTimeoutMs: 0 }, name)
    try {
      if (await sweepCrashed(context, container)) found.ok(`removed what a crash left of '${name}'`)
    } finally {
      lock.release()
    }
  } catch (error) {
    if (!(error instanceof BusyError)) throw error
    found.ok(`'${name}' is being worked on: ${error.message}`)
  }
}

// An address whose container is gone was left by a crash between its reservation and the first file of its container.
async function releaseOrphans(paths: Paths, command: string, found: Findings): Promise<void> {
  const leases = await readLeases(paths)
  for (const { lxcpath, name, address } of leases) {
    if (lxcpath !== paths.lxcpath || existsSync(join(lxcpath, name))) continue
    await releaseAddresses(paths, { lxcpath, name }, command)
    found.ok(`gave back ${address}, which belonged to '${name}'`)
  }
}

/** Everything `start` would refuse, without starting.
 *  @throws NotFoundError */
export async function checkContainer(paths: Paths, name: string): Promise<Finding[]> {
  const found = new Findings('containers')
  await findContainer(paths, name, 'check')
  const spec = await compiled(paths, name, found)
  if (spec === undefined) return found.list
  found.ok(`'${name}': the configuration is right`)
  await checkLinks(paths, spec, found)
  checkRootfs(spec, found)
  return found.list
}

async function compiled(paths: Paths, name: string, found: Findings): Promise<Spec | undefined> {
  try {
    return (await compileContainer(paths, name)).spec
  } catch (error) {
    if (!(error instanceof TslxcError)) throw error
    found.block(`'${name}': ${error.message}`, error.hint)
    return undefined
  }
}

async function checkLinks(paths: Paths, { name, network }: Spec, found: Findings): Promise<void> {
  const links = await listLinks()
  for (const { link, index } of network) {
    if (link === undefined || links.some((other) => other.name === link)) continue
    const fix =
      findManagedNetwork(paths, link) === undefined
        ? `set net.${index}.link to a bridge that exists: tslxc config edit ${name}`
        : `tslxc network up ${link}`
    found.block(`'${name}': bridge ${link} of net.${index} does not exist`, fix)
  }
}

/** What a mount needs to be there on this host. */
function placesOf(source: MountSource | undefined): readonly string[] {
  switch (source?.kind) {
    case 'bind':
      return [source.path]
    case 'overlay':
      return [...source.lowers, ...(source.upper === undefined ? [] : [source.upper])]
    case 'loop':
      return [source.file]
    case 'block':
      return [source.device]
    default:
      return []
  }
}

function checkRootfs({ name, mounts }: Spec, found: Findings): void {
  const missing = placesOf(mounts[0]?.source).find((path) => !existsSync(path))
  if (missing !== undefined) found.block(`'${name}': its root file system ${missing} does not exist`, `tslxc config edit ${name}`)
}
