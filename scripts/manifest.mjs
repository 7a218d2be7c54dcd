// What an installation put where, so that an upgrade and --uninstall take away exactly that.
import { createHash } from 'node:crypto'
import { copyFileSync, lstatSync, mkdirSync, readFileSync, readlinkSync, renameSync, rmdirSync, rmSync, symlinkSync } from 'node:fs'
import { dirname } from 'node:path'

/** `file` {path, digest}, `link` {path, target}, `dir` {path}: of ours only what we made. */
export class Manifest {
  entries = []
  #before

  /** `before`: the entries of the installation that is replaced. */
  constructor(before = []) {
    this.#before = new Map(before.map((entry) => [entry.path, entry]))
  }

  /** @throws when something stands there that no installation of ours made */
  file(from, path, mode = 0o644) {
    this.#claim(path)
    this.directory(dirname(path))
    copyFileSync(from, `${path}.tslxc-new`)
    renameSync(`${path}.tslxc-new`, path)
    this.entries.push({ kind: 'file', path, digest: digestOf(path), mode })
  }

  link(target, path) {
    this.#claim(path)
    this.directory(dirname(path))
    rmSync(`${path}.tslxc-new`, { force: true })
    symlinkSync(target, `${path}.tslxc-new`)
    renameSync(`${path}.tslxc-new`, path)
    this.entries.push({ kind: 'link', path, target })
  }

  /** A file that belongs to the admin from then on: never replaced, and removed only while it is as we put it. */
  adminFile(from, path) {
    const old = this.#before.get(path)
    if (lstat(path) !== undefined) {
      if (old !== undefined) this.entries.push(old)
      return
    }
    this.file(from, path)
  }

  /** What the replaced installation had and this one has not. */
  removeOutdated() {
    const kept = new Set(this.entries.map(({ path }) => path))
    const outdated = [...this.#before.values()].filter(({ path }) => !kept.has(path))
    const stays = removeEntries(outdated.filter(({ kind }) => kind !== 'dir'))
    this.entries.push(...outdated.filter(({ kind, path }) => kind === 'dir' && !kept.has(path)))
    return stays
  }

  #claim(path) {
    if (lstat(path) !== undefined && !this.#before.has(path)) throw new Error(`cannot install '${path}': something else stands there`)
  }

  /** Made where it is absent, and then ours. */
  directory(path) {
    if (lstat(path) !== undefined) {
      const old = this.#before.get(path)
      if (old !== undefined && !this.entries.includes(old)) this.entries.push(old)
      return
    }
    this.directory(dirname(path))
    mkdirSync(path, { mode: 0o755 })
    this.entries.push({ kind: 'dir', path })
  }
}

/** Returns the paths that were left alone because they are not as we put them. */
export function removeEntries(entries) {
  const stays = []
  // Directories last, the deepest first.
  const sorted = [...entries].sort((a, b) => (a.kind === 'dir') - (b.kind === 'dir') || b.path.length - a.path.length)
  for (const entry of sorted) {
    const stat = lstat(entry.path)
    if (stat === undefined) continue
    if (entry.kind === 'dir') removeEmptyDirectory(entry.path)
    else if (isAsWePutIt(entry, stat)) rmSync(entry.path)
    else stays.push(entry.path)
  }
  return stays
}

function isAsWePutIt(entry, stat) {
  if (entry.kind === 'link') return stat.isSymbolicLink() && readlinkSync(entry.path) === entry.target
  return stat.isFile() && digestOf(entry.path) === entry.digest
}

function removeEmptyDirectory(path) {
  try {
    rmdirSync(path)
  } catch (error) {
    if (error.code !== 'ENOTEMPTY') throw error
  }
}

function digestOf(path) {
  return createHash('sha256').update(readFileSync(path)).digest('hex')
}

function lstat(path) {
  return lstatSync(path, { throwIfNoEntry: false })
}
