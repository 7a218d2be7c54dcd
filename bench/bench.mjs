#!/usr/bin/env node
// npm run bench [-- SECTION…]: tslxc beside LXC (Debian's packages) in one run, in a network and mount namespace of its own.
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, release, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { sh, tryRun } from './lib.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const root = dirname(here)
const all = readdirSync(join(here, 'sections')).map((file) => file.replace(/\.mjs$/, ''))

function enterNamespaces() {
  const env = { ...process.env, TSLXC_BENCH_INSIDE: '1' }
  delete env.NODE_EXTRA_CA_CERTS // Node 20 parses it at every start
  const result = spawnSync('unshare', ['-n', '-m', '--propagation', 'private', process.execPath, ...process.argv.slice(1)], {
    stdio: 'inherit',
    env,
  })
  process.exit(result.status ?? 1)
}

function prepare() {
  for (const tool of ['lxc-start', 'g++', 'ip']) {
    if (tryRun(`command -v ${tool}`).status !== 0)
      throw new Error(`${tool} is missing: apt-get install lxc lxc-templates g++ iproute2 busybox-static`)
  }
  const work = mkdtempSync(join(process.env.TSLXC_BENCH_DIR ?? tmpdir(), 'tslxc-bench-'))
  chmodSync(work, 0o755) // the mapped root of LXC walks down to its rootfs
  const context = {
    work,
    root,
    tslxc: join(root, 'dist/tslxc'),
    interleave: join(work, 'interleave'),
    floor: join(work, 'floor'),
    lxcpath: join(work, 'lxc'),
    emptyConfig: join(work, 'empty.yaml'),
  }
  sh(`g++ -O2 -std=c++20 -o ${context.interleave} ${here}/interleave.cpp; g++ -O2 -static -std=c++20 -o ${context.floor} ${here}/floor.cpp`)
  mkdirSync(context.lxcpath)
  writeFileSync(context.emptyConfig, 'net: { type: empty }\n', { mode: 0o600 })
  process.env.TSLXC_ROOT = join(work, 'root')
  if (!process.env.TSLXC_CACHE) process.env.TSLXC_CACHE = '/var/cache/tslxc'
  mkdirSync(join(work, 'root/var/lib/tslxc'), { recursive: true, mode: 0o700 })
  sh(`ip link set lo up; ip link add br0 type bridge; ip addr add 10.77.0.1/16 dev br0; ip link set br0 up
    cp /etc/subuid ${work}/subid 2>/dev/null || touch ${work}/subid; echo root:2000000:6553600 >> ${work}/subid
    # LXC looks for bridges in /sys/class/net, which shows the namespace that mounted it; the cgroups stay.
    mkdir ${work}/cgroup; mount --rbind /sys/fs/cgroup ${work}/cgroup; umount -R -l /sys; mount -t sysfs sysfs /sys
    mount --rbind ${work}/cgroup /sys/fs/cgroup; umount -l ${work}/cgroup
    for f in /etc/subuid /etc/subgid; do [ -e $f ] || touch $f; mount --bind ${work}/subid $f; done`)
  return context
}

function print(rows) {
  const ms = (value, unit) => (value === undefined ? '' : unit ? `${value.toFixed(1)} ${unit}` : `${(value / 1000).toFixed(2)} ms`)
  for (const r of rows) {
    const verdict = r.ratio === undefined || r.goal === undefined ? '' : r.ratio <= r.goal ? 'met' : 'MISSED'
    console.log(
      `| ${r.what} | ${ms(r.ours, r.unit)} | ${ms(r.theirs, r.unit)} | ${r.ratio?.toFixed(2) ?? ''} | ${r.goal === undefined ? '' : `≤ ${r.goal}`} | ${verdict} |`,
    )
  }
}

if (!process.env.TSLXC_BENCH_INSIDE) enterNamespaces()
if (!existsSync(join(root, 'dist/tslxc'))) {
  console.error('not built: run npm ci && npm run build')
  process.exit(1)
}
const wanted = process.argv.slice(2).length > 0 ? process.argv.slice(2) : all
const context = prepare()
console.log(
  `${cpus().length} × ${cpus()[0]?.model ?? 'cpu'}, Linux ${release()}, Node ${process.version}, LXC ${sh('lxc-start --version').trim()}\n`,
)
console.log('| what | tslxc | rival | ratio | goal | |\n|---|---|---|---|---|---|')
const results = {}
let failed = false
try {
  for (const name of wanted) {
    const section = await import(`./sections/${name}.mjs`)
    try {
      results[name] = await section.run(context)
      print(results[name])
    } catch (error) {
      failed = true
      console.error(`${name}: ${error.message}`)
    }
  }
  writeFileSync(join(tmpdir(), 'tslxc-bench.json'), JSON.stringify(results, null, 2))
} finally {
  tryRun(
    `for n in $(ls ${context.lxcpath}); do lxc-stop -k -P ${context.lxcpath} -n $n; done; ${context.tslxc} ls -1 --active | xargs -r ${context.tslxc} stop -k`,
  )
  tryRun(`umount /etc/subuid /etc/subgid; umount -l ${context.work}/* 2>/dev/null`)
  rmSync(context.work, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
}
process.exit(failed ? 1 : 0)
