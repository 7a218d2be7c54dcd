/** What members of an archive may be. Pure. Extraction is confined besides; this says why, before anything is written. */
import type { Member } from './archive-reader.ts'

/** Undefined or the reason. */
export type Objection = string | undefined

const TYPES = new Set(['0', '1', '2', '3', '4', '5', '6'])
const KEYS =
  /^(path|linkpath|size|uid|gid|mtime|atime|ctime|uname|gname|SCHILY\.(xattr\..+|acl\.(access|default))|GNU\.sparse\.(major|minor|name|realsize))$/

/** Of one tree, whose members stand below `top` (`rootfs`). */
export class TreeGuard {
  readonly #top: string
  /** Whether what was there under a name so far is a directory. */
  readonly #seen = new Map<string, boolean>()
  entries = 0
  /** Content so far. */
  bytes = 0

  constructor(top: string) {
    this.#top = top
  }

  /** Whether a member belongs to it. */
  holds({ name }: Member): boolean {
    return name === this.#top || name.startsWith(`${this.#top}/`)
  }

  check(member: Member): Objection {
    const shown = JSON.stringify(Buffer.from(member.name, 'latin1').toString('utf8'))
    const because = this.#checkNames(member) ?? this.#checkPlace(member) ?? this.#checkLink(member)
    if (because !== undefined) return `${shown} ${because}`
    this.entries++
    this.bytes += member.size
    return undefined
  }

  #checkNames(member: Member): Objection {
    if (!TYPES.has(member.type)) return `is of the kind '${member.type}', which no root file system holds`
    const key = member.keys.find((one) => !KEYS.test(one))
    if (key !== undefined) return `has the unknown attribute ${JSON.stringify(key)}`
    if (member.type !== '0' && member.size > 0) return 'has content, and is no file'
    // Another reader, which knows no extended attributes, must not be led elsewhere either.
    return pathProblem(member.name) ?? member.otherNames.map(leadsOut).find((problem) => problem !== undefined)
  }

  #checkPlace({ name, type }: Member): Objection {
    const path = normal(name)
    const isDir = type === '5'
    if (this.#seen.has(path)) return 'is there twice'
    if (path === this.#top && !isDir) return 'is no directory'
    for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
      const parent = path.slice(0, end)
      const parentIsDir = this.#seen.get(parent)
      if (parentIsDir === false) return `lies below ${JSON.stringify(parent)}, which is no directory`
      if (parentIsDir === true) break
    }
    this.#seen.set(path, isDir)
    return undefined
  }

  #checkLink({ link, type }: Member): Objection {
    if (type !== '1') return undefined
    const problem = pathProblem(link)
    if (problem !== undefined) return `is a hard link to something that ${problem}`
    const isDir = this.#seen.get(normal(link))
    if (isDir === undefined) return `is a hard link to ${JSON.stringify(link)}, which is not in the archive before it`
    return isDir ? 'is a hard link to a directory' : undefined
  }
}

const normal = (name: string): string => name.replace(/\/+$/, '')

function pathProblem(name: string): Objection {
  const problem = leadsOut(name)
  if (problem !== undefined) return problem
  return normal(name)
    .split('/')
    .some((part) => part === '' || part === '.')
    ? 'has a malformed path'
    : undefined
}

function leadsOut(name: string): Objection {
  if (name.startsWith('/')) return 'has an absolute path'
  if (name.includes('\0')) return 'has a NUL in its name'
  return name.split('/').includes('..') ? "leads outside by '..'" : undefined
}
