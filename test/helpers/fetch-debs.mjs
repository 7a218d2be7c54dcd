// Downloads what a minimal Debian with systemd is made of, for the signed repository that a test builds of it. Run in the host's network.
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const [dir] = process.argv.slice(2)
if (dir === undefined) throw new Error('usage: fetch-debs.mjs DIR')

const PACKAGES = [
  ...['systemd-sysv', 'systemd-resolved', 'dbus', 'libpam-systemd', 'iproute2', 'iputils-ping', 'netbase', 'ca-certificates'],
  ...['openssh-server', 'tzdata', 'less', 'apt'],
]

mkdirSync(join(dir, 'archives/partial'), { recursive: true })
mkdirSync(join(dir, 'state/lists/partial'), { recursive: true })
// Nothing counts as installed, so that all dependencies come too.
writeFileSync(join(dir, 'state/status'), '')
const options = [
  ...['-q', '-y', '-o', `Dir::State=${join(dir, 'state')}`, '-o', `Dir::State::status=${join(dir, 'state/status')}`],
  ...['-o', `Dir::Cache=${dir}`, '-o', 'APT::Install-Recommends=false', '-o', 'APT::Sandbox::User=root'],
  // The host's may add hooks and remove downloaded archives.
  ...['-o', 'DPkg::Post-Invoke::=true', '-o', 'APT::Keep-Downloaded-Packages=true', '-o', 'APT::Update::Post-Invoke-Success::=true'],
]
for (const words of [['update'], ['--download-only', 'install', '?essential', '?priority(required)', ...PACKAGES]]) {
  const { status } = spawnSync('apt-get', [...options, ...words], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, LC_ALL: 'C' },
  })
  if (status !== 0) process.exit(status ?? 1)
}

// What a .deb says of its own priority is overridden by the archive, and debootstrap goes by the archive's.
const { stdout } = spawnSync('apt-cache', [...options.filter((word) => word !== '-y'), 'dumpavail'], {
  encoding: 'utf8',
  maxBuffer: 2 ** 30,
  env: { ...process.env, LC_ALL: 'C' },
})
const priorities = stdout.split('\n\n').flatMap((stanza) => {
  const field = (name) => new RegExp(`^${name}: (.*)$`, 'm').exec(stanza)?.[1]
  return field('Package') === undefined ? [] : [[field('Package'), field('Priority') ?? 'optional']]
})
writeFileSync(join(dir, 'archives/priorities.json'), JSON.stringify(Object.fromEntries(priorities)))
