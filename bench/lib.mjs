// What every section needs: a place to work, both programs, a bridge, and the interleaved runner.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Runs a shell script; throws with its stderr. */
export function sh(script, options = {}) {
  const result = spawnSync('/bin/sh', ['-c', `set -e\n${script}`], { encoding: 'utf8', maxBuffer: 1 << 28, ...options })
  if (result.status !== 0) throw new Error(`${script}\n${result.stdout}${result.stderr}`)
  return result.stdout
}

/** Like sh, but a failure is nothing. */
export const tryRun = (script) => spawnSync('/bin/sh', ['-c', script], { encoding: 'utf8' })

/**
 * Round-robin timing of cases `{name, setup?, command, cleanup?}`.
 * @returns {{[name: string]: {median: number, min: number, p90: number, runs: number, failures: number}}} microseconds
 */
export function interleave(context, cases, { rounds = 25, warmup = 2, pauseMs = 0 } = {}) {
  if (process.env.TSLXC_BENCH_ROUNDS) rounds = Number(process.env.TSLXC_BENCH_ROUNDS)
  const text = cases.map((c) => [c.name, c.setup ?? '', c.command, c.cleanup ?? ''].join('\t')).join('\n')
  const output = execFileSync(context.interleave, [String(rounds), String(warmup), String(pauseMs)], {
    input: `${text}\n`,
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const results = {}
  for (const row of JSON.parse(output)) {
    if (row.failures > 0) throw new Error(`${row.name}: ${row.failures} of ${row.runs} runs failed`)
    results[row.name] = row
  }
  return results
}

/** A table row: ours against a rival's, both medians in microseconds unless a unit is given. */
export function row(what, ours, theirs, goal, extra = {}) {
  return { what, ours, theirs, ratio: theirs > 0 ? ours / theirs : undefined, goal, ...extra }
}

export const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]

const lxcConfig = ({ name, rootfs, net, idmap, systemd }) =>
  [
    'lxc.include = /usr/share/lxc/config/common.conf',
    idmap && 'lxc.include = /usr/share/lxc/config/userns.conf',
    idmap && 'lxc.idmap = u 0 2000000 65536',
    idmap && 'lxc.idmap = g 0 2000000 65536',
    'lxc.apparmor.profile = unconfined',
    `lxc.rootfs.path = dir:${rootfs}`,
    idmap && 'lxc.rootfs.options = idmap=container',
    `lxc.uts.name = ${name}`,
    !systemd && 'lxc.signal.halt = SIGUSR1',
    !systemd && 'lxc.signal.reboot = SIGTERM',
    ...(net
      ? [
          'lxc.net.0.type = veth',
          'lxc.net.0.link = br0',
          'lxc.net.0.flags = up',
          `lxc.net.0.ipv4.address = ${net}`,
          'lxc.net.0.ipv4.gateway = 10.77.0.1',
        ]
      : ['lxc.net.0.type = empty']),
  ]
    .filter(Boolean)
    .join('\n')

/** Defines an LXC container over an existing rootfs. */
export function defineLxc(context, options) {
  const dir = join(context.lxcpath, options.name)
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, 'config'), `${lxcConfig(options)}\n`)
}

export const lxc = (context, verb, name, rest = '') => `lxc-${verb} -P ${context.lxcpath} -n ${name}${rest ? ` ${rest}` : ''}`
export const ours = (context, verb, name, rest = '') => `${context.tslxc} ${verb} -n ${name}${rest ? ` ${rest}` : ''}`
