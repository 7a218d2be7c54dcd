/** The containers side of `doctor`: what crashed, what is half made or half destroyed, and one configuration in depth. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { compileContainer } from '../compile/write.ts'
import { NotFoundError, TslxcError } from '../lib/errors.ts'
import { readLeases, releaseAddresses } from '../network/leases.ts'
import { findManagedNetwork } from '../network/managed-file.ts'
import { listLinks } from '../network/managed-host.ts'
import { loadAddon } from '../platform/addon.ts'
import { isRoot } from '../platform/host.ts'
import { configFile, containerDir, type Paths, runDir } from '../platform/paths.ts'
import type { Spec } from '../runtime/spec.ts'
import { type Finding, Findings } from './doctor-report.ts'

export async function checkContainers(paths: Paths, command: string): Promise<Finding[]> {
  const found = new Findings('containers')
  const names = listDirs(paths.lxcpath)
  const whole = names.filter((name) => existsSync(configFile(paths, name)))
  found.ok(`${whole.length} containers in ${paths.lxcpath}`)
  for (const name of whole) checkCrash(paths, name, found)
  for (const name of names.filter((other) => !whole.includes(other))) checkPartial(paths, name, found)
  if (isRoot()) await releaseOrphans(paths, command, found)
  return found.list
}

function listDirs(dir: string): string[] {
  if (!existsSync(dir)) return []
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map(({ name }) => name)
}

function checkCrash(paths: Paths, name: string, found: Findings): void {
  const { crashed, state } = loadAddon(paths.installRoot).readState(runDir(paths, name))
  if (!crashed) return
  const what = state === 'ABORTING' ? 'its monitor is gone, its processes still run' : 'its monitor ended without cleaning up'
  found.warn(`'${name}' crashed: ${what}`, `tslxc stop -k ${name}`)
}

function checkPartial(paths: Paths, name: string, found: Findings): void {
  const dir = containerDir(paths, name)
  if (existsSync(join(dir, 'destroying.yaml'))) found.warn(`'${name}' is half destroyed`, `tslxc destroy ${name}`)
  else if (existsSync(join(dir, 'creating.json')))
    found.warn(`'${name}' is being made, or its create broke off`, `tslxc doctor again in a moment`)
  else if (existsSync(join(dir, 'config'))) found.warn(`'${name}' has LXC's config, which is not supported yet`)
  else found.warn(`${dir} is no container: it has no config.yaml`)
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
  if (!existsSync(configFile(paths, name)))
    throw new NotFoundError(`cannot check '${name}': there is no such container in ${paths.lxcpath}`, { hint: 'tslxc ls' })
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

function checkRootfs({ name, mounts }: Spec, found: Findings): void {
  const source = mounts[0]?.source
  if (source?.kind === 'bind' && !existsSync(source.path))
    found.block(`'${name}': its root file system ${source.path} does not exist`, `tslxc config edit ${name}`)
}
