// npm run install-system -- [--prefix /usr/local] [--uninstall]
// Installs the built checkout: program, links, man pages, completion, configuration. Containers are never touched, running ones go on.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Manifest, removeEntries } from './manifest.mjs'

const checkout = dirname(dirname(fileURLToPath(import.meta.url)))
const hostRoot = process.env.TSLXC_ROOT ?? ''

function fail(message, hint) {
  process.stderr.write(`install-system: ${message}\n  hint: ${hint}\n`)
  process.exit(1)
}

function readOptions() {
  try {
    const { values } = parseArgs({ options: { prefix: { type: 'string', default: '/usr/local' }, uninstall: { type: 'boolean' } } })
    return { prefix: resolve(values.prefix), uninstall: values.uninstall === true }
  } catch (error) {
    return fail(error.message, 'npm run install-system -- [--prefix DIR] [--uninstall]')
  }
}

const filesIn = (dir, end = '') => (existsSync(dir) ? readdirSync(dir).filter((name) => name.endsWith(end)) : [])

/** Beside the program, so that a prefix that was moved away takes it along. */
const manifestPath = (prefix) => join(prefix, 'lib/tslxc/manifest.json')

function readManifest(prefix) {
  const path = manifestPath(prefix)
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).entries : undefined
}

function install(prefix) {
  if (!existsSync(join(checkout, 'dist/tslxc'))) fail('not built', 'npm ci && npm run build')
  const library = join(prefix, 'lib/tslxc')
  const before = readManifest(prefix)
  if (before === undefined && existsSync(library))
    fail(`cannot install: '${library}' was not made by this program`, `look at it, then: rm -r ${library}`)
  const manifest = new Manifest(before)
  manifest.directory(dirname(library))
  const staged = stage(library)
  try {
    installAround(manifest, prefix)
  } catch (error) {
    if (before === undefined) removeEntries(manifest.entries.filter(({ kind }) => kind !== 'dir'))
    throw error
  }
  const stays = manifest.removeOutdated()
  const { version } = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8'))
  writeFileSync(join(staged, 'manifest.json'), JSON.stringify({ version, entries: manifest.entries }, null, 1))
  swap(staged, library)
  for (const path of stays) console.log(`left alone, it was changed: ${path}`)
  compileAll(library)
  console.log(`installed tslxc ${version} in ${prefix}`)
}

/** The program with its data, complete beside the place where it will stand. */
function stage(library) {
  const staged = `${library}.new`
  rmSync(staged, { recursive: true, force: true })
  mkdirSync(join(staged, 'bin'), { recursive: true })
  for (const name of ['bin/run.cjs', 'dist', 'templates', 'conf', 'package.json', 'LICENSE']) {
    if (existsSync(join(checkout, name)))
      cpSync(join(checkout, name), join(staged, name), { recursive: true, filter: (path) => !/\.(new|log)$/.test(path) })
  }
  return staged
}

/** A running monitor keeps its old file; what it starts later finds the new one under the same name. */
function swap(staged, library) {
  const old = `${library}.old`
  rmSync(old, { recursive: true, force: true })
  const replaced = existsSync(library)
  if (replaced) renameSync(library, old)
  try {
    renameSync(staged, library)
  } catch (error) {
    if (replaced) renameSync(old, library)
    throw error
  }
  rmSync(old, { recursive: true, force: true })
}

function installAround(manifest, prefix) {
  const verbs = filesIn(join(checkout, 'bin')).filter((name) => name.startsWith('tslxc-'))
  for (const name of ['tslxc', ...verbs]) {
    manifest.link(relative(join(prefix, 'bin'), join(prefix, 'lib/tslxc/dist/tslxc')), join(prefix, 'bin', name))
  }
  for (const page of filesIn(join(checkout, 'man'))) {
    manifest.file(join(checkout, 'man', page), join(prefix, `share/man/man${page.at(-1)}`, page))
  }
  const bash = join(prefix, 'share/bash-completion/completions')
  manifest.file(join(checkout, 'completion/bash/tslxc'), join(bash, 'tslxc'))
  for (const verb of verbs) manifest.link('tslxc', join(bash, verb))
  manifest.file(join(checkout, 'completion/zsh/_tslxc'), join(prefix, 'share/zsh/site-functions/_tslxc'))
  manifest.file(join(checkout, 'completion/fish/tslxc.fish'), join(prefix, 'share/fish/vendor_completions.d/tslxc.fish'))
  installUnits(manifest, prefix)
  for (const name of ['tslxc.yaml', 'default.yaml']) {
    const file = join(checkout, 'conf', name)
    if (existsSync(file)) manifest.adminFile(file, join(hostRoot, '/etc/tslxc', name))
  }
}

/** Carries out the schedules of snapshots. systemd alone reads it; the timer is switched on by the admin. */
function installUnits(manifest, prefix) {
  const units = join(prefix, 'lib/systemd/system')
  for (const name of filesIn(join(checkout, 'conf/systemd'))) {
    const text = readFileSync(join(checkout, 'conf/systemd', name), 'utf8').replaceAll('@PREFIX@', prefix)
    const filled = join(mkdtempSync(join(tmpdir(), 'tslxc-units-')), name)
    writeFileSync(filled, text)
    manifest.file(filled, join(units, name))
    rmSync(dirname(filled), { recursive: true })
  }
}

/** Specs of the version before are stale: made again now, the next start needs no Node. A broken configuration is told, not fatal. */
function compileAll(library) {
  const lxcpath = join(hostRoot, '/var/lib/tslxc')
  const names = filesIn(lxcpath).filter((name) => existsSync(join(lxcpath, name, 'config.yaml')))
  if (names.length === 0) return
  const { status } = spawnSync(process.execPath, [join(library, 'bin/run.cjs'), 'compile', '-P', lxcpath, ...names], { stdio: 'inherit' })
  if (status !== 0) console.log("some containers could not be compiled: see above, and 'tslxc config check NAME'")
}

function uninstall(prefix) {
  const entries = readManifest(prefix)
  if (entries === undefined) fail(`nothing is installed in ${prefix}`, 'npm run install-system -- --uninstall --prefix DIR')
  rmSync(join(prefix, 'lib/tslxc'), { recursive: true })
  for (const path of removeEntries(entries)) console.log(`left alone, it was changed: ${path}`)
  console.log(`removed tslxc from ${prefix}; containers, images and networks are as they were`)
}

const { prefix, uninstall: removing } = readOptions()
try {
  if (removing) uninstall(prefix)
  else install(prefix)
} catch (error) {
  rmSync(join(prefix, 'lib/tslxc.new'), { recursive: true, force: true })
  fail(
    error.message,
    error.code === 'EACCES' || error.code === 'EPERM' ? 'run it as root' : `look at what stands there, or take another --prefix`,
  )
}
