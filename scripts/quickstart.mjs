// `npm run quickstart`: from a fresh clone to a running container, with one question. No dependencies: it installs them.
//   --yes           answer the question with yes
//   -t TEMPLATE     busybox needs no network; default debian
//   --undo          take back what earlier runs made on the host, and nothing else
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { fileURLToPath } from 'node:url'

const checkout = dirname(dirname(fileURLToPath(import.meta.url)))
const tslxcProgram = join(checkout, 'bin/tslxc')
const prefix = (process.env.TSLXC_ROOT ?? '').replace(/\/+$/, '')
const NAME = 'demo'
const BRIDGE = 'tslxcbr0'
const OLDEST_NODE = [20, 11]

const DIRS = {
  config: `${prefix}/etc/tslxc`,
  containers: `${prefix}/var/lib/tslxc`,
  cache: process.env.TSLXC_CACHE || `${prefix}/var/cache/tslxc`,
  run: `${prefix}/run/tslxc`,
}
const recordFile = join(DIRS.containers, '.quickstart.json')

// What must be there, the package that has it, and what for.
const BUILD = [
  ['g++', 'g++', 'the native program'],
  ['make', 'make', 'the native program'],
  ['python3', 'python3', 'node-gyp'],
  ['/usr/include/seccomp.h', 'libseccomp-dev', 'system call filters'],
  ['/usr/include/nlohmann/json.hpp', 'nlohmann-json3-dev', 'the native program'],
]
// Node from a distribution's own package has its headers in another one; every other Node brings them.
const NODE_HEADERS = process.execPath.startsWith('/usr/bin/') ? [['/usr/include/node/node_api.h', 'libnode-dev', 'the addon']] : []
const NETWORK = [
  ['ip', 'iproute2', 'the bridge'],
  ['nft', 'nftables', 'NAT'],
  ['dnsmasq', 'dnsmasq-base', 'DHCP and DNS'],
]
const BUSYBOX = [['busybox', 'busybox-static', 'the busybox template']]
const BOOTSTRAP = [
  ['mmdebstrap', 'mmdebstrap', 'Debian and Ubuntu templates'],
  ['/usr/share/keyrings/debian-archive-keyring.gpg', 'debian-archive-keyring', 'signatures of Debian'],
]

class Failure extends Error {}

function readOptions(argv) {
  const options = { yes: false, undo: false, template: 'debian' }
  for (let index = 0; index < argv.length; index++) {
    const word = argv[index]
    if (word === '--yes' || word === '-y') options.yes = true
    else if (word === '--undo') options.undo = true
    else if ((word === '-t' || word === '--template') && argv[index + 1] !== undefined) options.template = argv[++index]
    else {
      console.log('Usage: npm run quickstart -- [--yes] [-t debian|ubuntu|busybox] [--undo]')
      process.exit(word === '--help' || word === '-h' ? 0 : 1)
    }
  }
  return options
}

const say = (text) => console.log(`==> ${text}`)

function environment(extra) {
  const env = { ...process.env, ...extra }
  // Node 20 reads the file at each start, 29 ms.
  delete env.NODE_EXTRA_CA_CERTS
  return env
}

/** Output is shown as it comes. */
function show(command, extra) {
  const { status, error } = spawnSync(command[0], command.slice(1), {
    cwd: checkout,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: environment(extra),
  })
  if (error !== undefined || status !== 0)
    throw new Failure(`'${command.join(' ')}' failed${error === undefined ? '' : `: ${error.message}`}`)
}

function ask(command) {
  const { status, stdout } = spawnSync(command[0], command.slice(1), { cwd: checkout, encoding: 'utf8', env: environment() })
  return { ok: status === 0, stdout: stdout ?? '' }
}

const tslxc = (...words) => show([tslxcProgram, ...words])

function askJson(...words) {
  const { ok, stdout } = ask([tslxcProgram, ...words, '--json'])
  try {
    return ok ? JSON.parse(stdout) : undefined
  } catch {
    return undefined
  }
}

// The record of what was made, written before the thing is made: an undo after a break-off finds it.

const absentAtStart = Object.values(DIRS).filter((dir) => !existsSync(dir))
const emptyRecord = () => ({
  version: 1,
  packages: [],
  dirs: absentAtStart,
  images: [],
  networkFile: false,
  network: false,
  container: false,
})

function readRecord() {
  return existsSync(recordFile) ? JSON.parse(readFileSync(recordFile, 'utf8')) : emptyRecord()
}

function record(change) {
  const now = { ...readRecord(), ...change }
  mkdirSync(DIRS.containers, { recursive: true, mode: 0o700 })
  writeFileSync(recordFile, `${JSON.stringify(now, null, 2)}\n`, { mode: 0o600 })
}

function checkHost() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1]))
    throw new Failure(
      `Node ${process.versions.node} is too old: ${OLDEST_NODE.join('.')} or newer is needed (README, "Where Node comes from")`,
    )
  if (process.geteuid?.() !== 0) throw new Failure('only root may make containers: sudo npm run quickstart')
}

const isThere = (name) =>
  name.startsWith('/')
    ? existsSync(name)
    : [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/bin', '/sbin', '/bin'].some((dir) => existsSync(join(dir, name)))

function missingPackages(template) {
  const bootstrap = isThere('debootstrap') ? BOOTSTRAP.slice(1) : BOOTSTRAP
  const wanted = [...BUILD, ...NODE_HEADERS, ...NETWORK, ...(template === 'busybox' ? BUSYBOX : bootstrap)]
  return wanted.filter(([name]) => !isThere(name))
}

async function installPackages({ yes, template }) {
  const missing = missingPackages(template)
  if (missing.length === 0) return
  say(`missing on this host: ${missing.map(([, pkg, why]) => `${pkg} (${why})`).join(', ')}`)
  const names = missing.map(([, pkg]) => pkg)
  const install = ['apt-get', 'install', '-y', '--no-install-recommends', ...names]
  if (!isThere('apt-get')) throw new Failure('this host has no apt-get: install what is missing under its name here, then run this again')
  if (!yes) await confirm(`Install with '${install.join(' ')}'?`, install.join(' '))
  record({ packages: [...new Set([...readRecord().packages, ...names])] })
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  try {
    show(install, env)
  } catch {
    show(['apt-get', 'update'], env)
    show(install, env)
  }
}

async function confirm(question, command) {
  if (!process.stdin.isTTY) throw new Failure(`no terminal to ask on; run this first, or pass --yes:\n    ${command}`)
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  const answer = (await terminal.question(`${question} [Y/n] `)).trim().toLowerCase()
  terminal.close()
  if (!['', 'y', 'yes'].includes(answer)) throw new Failure(`stopped; nothing was installed. By hand:\n    ${command}`)
}

/** Whether node_modules holds what the lock file asks for, by npm's own record of what it installed. */
function modulesAreThere() {
  const installed = join(checkout, 'node_modules/.package-lock.json')
  if (!existsSync(installed)) return false
  const packagesOf = (file) => JSON.parse(readFileSync(file, 'utf8')).packages
  const present = packagesOf(installed)
  const wanted = Object.entries(packagesOf(join(checkout, 'package-lock.json'))).filter(([path, { optional }]) => path !== '' && !optional)
  return wanted.every(([path, { version }]) => present[path]?.version === version)
}

function installModules() {
  if (modulesAreThere()) return
  say('npm ci: the libraries')
  show(['npm', 'ci', '--no-audit', '--no-fund', '--loglevel=error'])
}

/** The newest change below a directory of the checkout, in ms. */
function newest(path) {
  const stat = statSync(path)
  if (!stat.isDirectory()) return stat.mtimeMs
  const names = readdirSync(path).filter((name) => name !== 'build' && name !== 'node_modules')
  return Math.max(stat.mtimeMs, ...names.map((name) => newest(join(path, name))))
}

function build() {
  const inputs = ['src', 'native', 'scripts', 'package-lock.json'].map((name) => newest(join(checkout, name)))
  const results = ['dist/tslxc', 'dist/cli.cjs', 'dist/addon.node', 'dist/build-id'].map((name) => join(checkout, name))
  const done = results.every((file) => existsSync(file)) && statSync(join(checkout, 'dist/build-id')).mtimeMs >= Math.max(...inputs)
  if (done) return
  say('building (a minute or two the first time)')
  show(['npm', 'run', '--silent', 'build'])
}

function bringNetworkUp() {
  const file = join(DIRS.config, 'networks', `${BRIDGE}.yaml`)
  const before = askJson('network', 'show', BRIDGE)?.[0]
  const known = readRecord()
  record({ networkFile: known.networkFile || !existsSync(file), network: known.network || before === undefined || before.state === 'down' })
  if (before?.state === 'up') return say(`network ${BRIDGE} is up: ${before.address}`)
  say(`network ${BRIDGE}`)
  tslxc('network', 'up', BRIDGE)
}

const imageNames = () => (existsSync(join(DIRS.cache, 'images')) ? readdirSync(join(DIRS.cache, 'images')) : [])

function makeContainer(template) {
  if (existsSync(join(DIRS.containers, NAME, 'config.yaml'))) return say(`container ${NAME} is there`)
  say(`container ${NAME}: tslxc create ${NAME} -t ${template} --ip auto`)
  const imagesBefore = imageNames()
  record({ container: true })
  tslxc('create', NAME, '-t', template, '--ip', 'auto')
  record({ images: [...new Set([...readRecord().images, ...imageNames().filter((name) => !imagesBefore.includes(name))])] })
}

function startContainer() {
  if (ask([tslxcProgram, 'info', '-sH', NAME]).stdout.trim() === 'RUNNING') return
  say(`tslxc start ${NAME}`)
  tslxc('start', NAME)
}

function showContainer() {
  say('tslxc ls -f')
  tslxc('ls', '-f')
  const inside = 'echo "this is $(hostname), its first process is $(cat /proc/1/comm)"; ip -4 addr show eth0 | grep inet'
  say(`tslxc attach ${NAME} -- sh -c '${inside}'`)
  tslxc('attach', NAME, '--', 'sh', '-c', inside)
}

function describeChanges(template) {
  const { packages, network, networkFile, container, images } = readRecord()
  const lines = [
    packages.length > 0 && `packages: ${packages.join(' ')}`,
    networkFile && `${DIRS.config}/networks/${BRIDGE}.yaml`,
    network && `bridge ${BRIDGE}, nftables table inet tslxc_${BRIDGE}, a dnsmasq, net.ipv4.ip_forward (see 'tslxc network show')`,
    container && `${DIRS.containers}/${NAME}, running`,
    images.length > 0 && `${DIRS.cache}/images: ${images.length} image${images.length === 1 ? '' : 's'}`,
  ]
  const changes = lines.filter(Boolean)
  console.log(
    changes.length === 0
      ? '\nNothing was changed on this host.'
      : `\nChanged on this host:\n${changes.map((line) => `  ${line}`).join('\n')}`,
  )
  const next = [
    [`${tslxcProgram} attach ${NAME}`, 'a shell inside'],
    [`${tslxcProgram} create web -t ${template} --ip auto`, 'another one'],
    [`${tslxcProgram} --help`, 'all commands; README.md has a tour'],
    ['npm run install-system -- --prefix /usr/local', 'puts tslxc in PATH'],
    ['npm run quickstart -- --undo', 'takes back what is listed above'],
  ]
  const width = Math.max(...next.map(([command]) => command.length)) + 3
  console.log(`\nNext:\n${next.map(([command, why]) => `  ${command.padEnd(width)}${why}`).join('\n')}`)
}

// Undo: in reverse. What can't be taken back is said, and the rest goes on.

function attempt(what, action) {
  try {
    action()
    return true
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    console.log(`    left: ${what} (${error.message})`)
    return false
  }
}

function removeContainer({ container }) {
  if (!container || !existsSync(join(DIRS.containers, NAME))) return true
  say(`removing container ${NAME}`)
  return attempt(NAME, () => {
    if (ask([tslxcProgram, 'info', '-sH', NAME]).stdout.trim() !== 'STOPPED') tslxc('stop', '-k', NAME)
    tslxc('destroy', NAME)
  })
}

function removeNetwork({ network, networkFile }) {
  const file = join(DIRS.config, 'networks', `${BRIDGE}.yaml`)
  if (network) {
    say(`taking network ${BRIDGE} down`)
    if (!attempt(BRIDGE, () => tslxc('network', 'down', BRIDGE))) return false
  }
  const inUse = askJson('network', 'show', BRIDGE)?.[0]?.addresses?.length ?? 0
  if (networkFile && inUse === 0) rmSync(file, { force: true })
  return true
}

function removeImages({ images }) {
  if (images.length > 0) say('removing images')
  for (const name of images) rmSync(join(DIRS.cache, 'images', name), { recursive: true, force: true })
}

/** Directories that were absent before, once nothing but our own bookkeeping is in them. */
function removeDirs({ dirs }) {
  const containers = existsSync(DIRS.containers) ? readdirSync(DIRS.containers).filter((name) => !name.startsWith('.')) : []
  if (containers.length > 0) return
  const isEmpty = (dir) => !existsSync(dir) || readdirSync(dir).every((name) => isEmptyDir(join(dir, name)))
  const isEmptyDir = (path) => statSync(path).isDirectory() && isEmpty(path)
  for (const dir of dirs) {
    const ours = dir === DIRS.containers || dir === DIRS.run
    if (ours || isEmpty(dir) || (dir === DIRS.cache && imageNames().length === 0)) rmSync(dir, { recursive: true, force: true })
  }
}

async function removePackages({ packages }, { yes }) {
  if (packages.length === 0) return
  const remove = ['apt-get', 'remove', '-y', ...packages]
  if (!yes) {
    try {
      await confirm(`Remove the packages that quickstart installed: ${packages.join(' ')}?`, remove.join(' '))
    } catch (error) {
      return console.log(`    left: the packages (${error.message})`)
    }
  }
  say(`removing ${packages.join(' ')}`)
  attempt('the packages', () => show(remove, { DEBIAN_FRONTEND: 'noninteractive' }))
}

async function undo(options) {
  if (!existsSync(recordFile)) return console.log('Nothing to undo: quickstart has changed nothing here.')
  const made = readRecord()
  const built = existsSync(join(checkout, 'dist/tslxc'))
  if (!built && (made.container || made.network)) throw new Failure('not built: run npm ci && npm run build, then undo again')
  const gone = removeContainer(made) && removeNetwork(made)
  if (!gone) throw new Failure('not everything could be taken back; run it again when that is solved')
  removeImages(made)
  await removePackages(made, options)
  rmSync(recordFile, { force: true })
  removeDirs(made)
  console.log('Undone. The checkout keeps node_modules and dist: rm -rf them, or the checkout.')
}

async function main() {
  const options = readOptions(process.argv.slice(2))
  checkHost()
  if (options.undo) return await undo(options)
  await installPackages(options)
  installModules()
  build()
  bringNetworkUp()
  makeContainer(options.template)
  startContainer()
  showContainer()
  describeChanges(options.template)
}

try {
  await main()
} catch (error) {
  if (!(error instanceof Failure)) throw error
  console.error(`quickstart: ${error.message}`)
  process.exit(1)
}
