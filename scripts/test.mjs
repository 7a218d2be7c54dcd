// `npm test`: everything, and what it needs first. `node scripts/test.mjs STEP...` runs only these steps (names below).
// No dependencies of its own: it also installs them. The last line adds up: `N passed, N failed, N skipped`.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const results = join(root, 'test-results')
// Debian images of the tests; filled in the host's network, before the tests leave it.
const imageCache = join(results, 'cache')
// Packages for the repository that a test serves on loopback.
const debs = join(results, 'debs')
const isRoot = process.geteuid?.() === 0
const total = { passed: 0, failed: 0, skipped: 0 }

// Command (or file) that must be there, and the package that has it.
const PACKAGES = [
  ['g++', 'g++'],
  ['make', 'make'],
  ['python3', 'python3'],
  ['/usr/include/seccomp.h', 'libseccomp-dev'],
  ['/usr/include/nlohmann/json.hpp', 'nlohmann-json3-dev'],
  ['ip', 'iproute2'],
  ['nft', 'nftables'],
  ['dnsmasq', 'dnsmasq-base'],
  ['busybox', 'busybox-static'],
  ['mmdebstrap', 'mmdebstrap'],
  ['debootstrap', 'debootstrap'],
  ['newuidmap', 'uidmap'],
  ['mkfs.xfs', 'xfsprogs'],
  ['unshare', 'util-linux'],
  ['strace', 'strace'],
  ['mandoc', 'mandoc'],
  ['curl', 'curl'],
  ['lxc-start', 'lxc'],
  ['qemu-system-x86_64', 'qemu-system-x86'],
  ['xz', 'xz-utils'],
  ['modprobe', 'kmod'],
  ['cpio', 'cpio'],
  ['mke2fs', 'e2fsprogs'],
  ['zfs-fuse', 'zfs-fuse'],
  ['zstd', 'zstd'],
  ['mkfs.btrfs', 'btrfs-progs'],
  ['getfattr', 'attr'],
  ['setcap', 'libcap2-bin'],
  ['lvs', 'lvm2'],
  ['thin_check', 'thin-provisioning-tools'],
]

function environment(extra = {}) {
  const env = { ...process.env }
  // Node 20 reads the file at each start, 29 ms.
  for (const name of ['NODE_EXTRA_CA_CERTS', 'TSLXC_ROOT', 'TSLXC_CACHE', 'TSLXC_NODE']) delete env[name]
  return { ...env, ...extra }
}

function run(command, options = {}) {
  const [file, ...args] = command
  return spawnSync(file, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], env: environment(options.env), ...options.spawn })
}

const isThere = (name) =>
  name.startsWith('/')
    ? existsSync(name)
    : (process.env.PATH ?? '')
        .split(':')
        .concat('/usr/sbin', '/sbin')
        .some((dir) => existsSync(join(dir, name)))

function installPackages() {
  const missing = PACKAGES.filter(([name]) => !isThere(name)).map(([, pkg]) => pkg)
  if (missing.length === 0) return
  const install = ['apt-get', 'install', '-y', '-qq', '--no-install-recommends', ...missing]
  if (!isRoot) return console.log(`missing packages; as root: ${install.join(' ')}`)
  console.log(`installing ${missing.join(' ')}`)
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  if (run(install, { env }).status === 0) return
  run(['apt-get', 'update', '-qq'])
  if (run(install, { env }).status !== 0) console.log('some packages could not be installed; tests that need them will say so')
}

function installModules() {
  const stamp = join(root, 'node_modules/.lock-digest')
  const digest = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return
  if (run(['npm', 'ci', '--no-audit', '--no-fund']).status !== 0) stop('npm ci failed')
  writeFileSync(stamp, digest)
}

/** A step that has no tests of its own to count. */
function check(name, command, options) {
  console.log(`\n== ${name}`)
  const { status } = run(command, options)
  total[status === 0 ? 'passed' : 'failed']++
  if (status !== 0) console.log(`${name} failed`)
  return status === 0
}

const bin = (name) => join(root, 'node_modules/.bin', name)

/** Own network and mount namespaces: bridges and containers of tests never show on the host. Not `ip netns exec`: it hides the cgroups. */
const INSIDE = ['unshare', '--net', '--mount', '--propagation', 'slave', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh']

function project(name, wrapper = []) {
  console.log(`\n== ${name} tests`)
  const file = join(results, `${name}.json`)
  rmSync(file, { force: true })
  const { status } = run([...wrapper, bin('vitest'), 'run', '--project', name, '--passWithNoTests'], {
    env: { TSLXC_TEST_CACHE: imageCache, TSLXC_TEST_DEBS: debs, TSLXC_TEST_REQUIRED: '1' },
  })
  const counts = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { passed: 0, failed: status === 0 ? 0 : 1, skipped: 0 }
  // What vitest found wrong besides its tests.
  if (status !== 0 && counts.failed === 0) counts.failed++
  for (const key of Object.keys(total)) total[key] += counts[key]
}

function native() {
  console.log('\n== native tests')
  const { status, stdout } = run([join(root, 'native/build/Release/native_tests')], { spawn: { stdio: ['ignore', 'pipe', 'inherit'] } })
  const text = String(stdout ?? '')
  process.stdout.write(text)
  const [, passed, failed] = /(\d+) passed, (\d+) failed/.exec(text) ?? [undefined, '0', '1']
  total.passed += Number(passed)
  total.failed += Number(failed) || (status === 0 ? 0 : 1)
}

function rootProject(name) {
  if (isRoot) return project(name, INSIDE)
  console.log(`\nskip: ${name} tests: they need root`)
  total.skipped++
}

function fillImageCache() {
  if (!isRoot) return
  mkdirSync(imageCache, { recursive: true, mode: 0o700 })
  const env = { TSLXC_CACHE: imageCache, TSLXC_ROOT: join(results, 'root') }
  check('image fetch debian', [join(root, 'bin/tslxc'), 'image', 'fetch', 'debian'], { env })
  if (!existsSync(join(debs, 'archives/priorities.json')))
    check('packages for a repository', [process.execPath, 'test/helpers/fetch-debs.mjs', debs])
}

/** Its kernel is a package too; the tests have no network. */
function prepareMachine() {
  if (isRoot) check('virtual machine', ['test/vm/run', '--prepare'])
}

// In order; each is a name on the command line.
const STEPS = {
  build: () => check('build', [process.execPath, 'scripts/build.mjs']) || stop('build failed'),
  lint: () => check('format and lint', [bin('biome'), 'ci', '.']),
  clang: () => check('C++ format', [process.execPath, 'scripts/clang-format.mjs']),
  types: () => check('types', [bin('tsc'), '-p', '.']),
  unused: () => check('unused code', [bin('knip')]),
  unit: () => project('unit'),
  native,
  image: fillImageCache,
  machine: prepareMachine,
  system: () => rootProject('system'),
  compat: () => rootProject('compat'),
  vm: () => rootProject('vm'),
}

function stop(reason) {
  console.log(reason)
  finish()
}

function finish() {
  console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
  process.exit(total.failed === 0 ? 0 : 1)
}

const chosen = process.argv.slice(2)
const unknown = chosen.filter((name) => !Object.hasOwn(STEPS, name))
if (unknown.length > 0) {
  console.log(`unknown step ${unknown.join(' ')}; there are: ${Object.keys(STEPS).join(' ')}`)
  process.exit(1)
}
installPackages()
installModules()
for (const [name, step] of Object.entries(STEPS)) if (chosen.length === 0 || chosen.includes(name)) step()
finish()
