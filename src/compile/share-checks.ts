/** What must hold of directories of this host before a container gets them: the root file system and the sources of `shares`. */
import { readFileSync, type Stats, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { errorIn, type LoadedConfig } from '../config/loaded.ts'
import type { MountSource } from '../runtime/spec.ts'

/** Sources that are no directories.
 *  @throws ConfigError for a missing source, and for `root` where others could reach what the guest's root makes */
export function checkShares(loaded: LoadedConfig): ReadonlySet<string> {
  const files = new Set<string>()
  const isPrivileged = (loaded.config.idmap?.length ?? 0) === 0
  loaded.config.shares?.forEach(({ source, root, readOnly, optional }, index) => {
    const status = statSync(source, { throwIfNoEntry: false })
    if (status === undefined) {
      if (optional) return
      throw errorIn(loaded, ['shares', index], `cannot share '${source}': there is no such directory`, { hint: `mkdir -p ${source}` })
    }
    if (!status.isDirectory()) files.add(source)
    if (root && !readOnly && !isPrivileged && !isNosuid(source) && isReachable(source, status))
      throw errorIn(
        loaded,
        ['shares', index],
        `cannot share '${source}' with 'root': users of the host could run setuid files that the guest makes there`,
        {
          hint: `chmod o-rx ${source}, or mount its file system with nosuid`,
        },
      )
  })
  return files
}

/**
 * The guest's root makes files there that are the host root's on the disk, setuid ones too: nobody else may reach them.
 * @throws ConfigError
 */
export function checkRootfs(loaded: LoadedConfig, source: MountSource | undefined): void {
  const { rootfs, idmap } = loaded.config
  if (source?.kind === 'loop') checkImage(loaded, source.file)
  const path = writtenPlace(source)
  // With shifted owners a setuid file is a nobody's.
  const isShifted = (idmap?.length ?? 0) > 0 && rootfs?.options?.idmap === 'none'
  if (path === undefined || isShifted) return
  const status = statSync(path, { throwIfNoEntry: false })
  if (status === undefined || isNosuid(path) || !isReachable(path, status)) return
  throw errorIn(
    loaded,
    ['rootfs', 'path'],
    `cannot use '${path}' as root file system: users of the host could run setuid files that the guest makes there`,
    {
      hint: `chmod go-rwx ${dirname(path)}, or put it below a directory that only root may enter`,
    },
  )
}

/** The directory of this host where what the guest writes shows up; other kinds show nowhere. */
function writtenPlace(source: MountSource | undefined): string | undefined {
  return source?.kind === 'bind' ? source.path : source?.kind === 'overlay' ? source.upper : undefined
}

/** In an image file no mode protects the guest's secrets; and who may write it feeds the kernel a file system of his own. */
function checkImage(loaded: LoadedConfig, file: string): void {
  const status = statSync(file, { throwIfNoEntry: false })
  if (status === undefined || (status.mode & 0o006) === 0 || !isReachable(file, status)) return
  throw errorIn(loaded, ['rootfs', 'path'], `cannot use '${file}' as root file system: every user of the host can read it`, {
    hint: `chmod 600 ${file}`,
  })
}

/** Whether others can get there: all of the way must let them through. */
function isReachable(path: string, status: Stats): boolean {
  let stats = status
  for (let at = path; ; at = dirname(at)) {
    if (stats.isDirectory() && (stats.mode & 0o001) === 0) return false
    if (at === '/') return true
    stats = statSync(dirname(at))
  }
}

/** By the mount that holds the path: proc_pid_mountinfo(5). */
function isNosuid(path: string): boolean {
  let best = ''
  let nosuid = false
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [, , , , point = '', options = ''] = line.split(' ')
    const place = point.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
    const holds = place === '/' || path === place || path.startsWith(`${place}/`)
    if (!holds || place.length < best.length) continue
    best = place
    nosuid = options.split(',').includes('nosuid')
  }
  return nosuid
}
