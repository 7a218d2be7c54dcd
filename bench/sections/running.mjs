// What is done to a running busybox: attach, info, freeze, unfreeze; the monitor's memory.
import { readFileSync } from 'node:fs'
import { interleave, lxc, ours, row, sh, tryRun } from '../lib.mjs'
import { makeBusybox } from './start.mjs'

/** kB: what the process alone holds and could not be dropped, and its share of everything. */
function memoryKb(pid) {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  const value = (key) => Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0)
  return { dirty: value('Private_Dirty'), pss: value('Pss') }
}

const parentOf = (pid) => Number(/\nPPid:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])

function startCrun(context) {
  sh(`mkdir -p ${context.work}/crun; cd ${context.work}/crun; crun spec
    sed -i 's#"terminal": true#"terminal": false#; s#"sh"#"sleep","1000"#; s#"path": "rootfs"#"path": "${context.work}/rootfs-a"#' config.json
    crun --root ${context.work}/crun-run run -d tslxc-bench >/dev/null 2>&1 </dev/null`)
}

export function run(context) {
  makeBusybox(context)
  const rows = []
  for (const [key, mode] of [
    ['a', 'privileged'],
    ['d', 'idmap, veth'],
  ]) {
    sh(`${ours(context, 'start', `ts-${key}`)}; ${lxc(context, 'start', `lx-${key}`, '-d')}`)
    const pair = (what, verb, rest, goal, options) => {
      const t = interleave(
        context,
        [
          { name: 'ours', command: ours(context, verb, `ts-${key}`, rest) },
          { name: 'lxc', command: lxc(context, verb, `lx-${key}`, rest) },
        ],
        { rounds: 50, ...options },
      )
      rows.push(row(`${what}, ${mode}`, t.ours.median, t.lxc.median, goal))
    }
    pair('attach -- /bin/true', 'attach', '-- /bin/true', 0.35)
    pair('info -sH', 'info', '-sH', 0.6)
    pair('info', 'info', '', 0.6)
    const thaw = (t) => [
      {
        name: 'ours',
        command: ours(context, t, `ts-${key}`),
        setup: t === 'unfreeze' ? ours(context, 'freeze', `ts-${key}`) : '',
        cleanup: t === 'freeze' ? ours(context, 'unfreeze', `ts-${key}`) : '',
      },
      {
        name: 'lxc',
        command: lxc(context, t, `lx-${key}`),
        setup: t === 'unfreeze' ? lxc(context, 'freeze', `lx-${key}`) : '',
        cleanup: t === 'freeze' ? lxc(context, 'unfreeze', `lx-${key}`) : '',
      },
    ]
    for (const verb of ['freeze', 'unfreeze']) {
      const t = interleave(context, thaw(verb), { rounds: 20 })
      rows.push(
        row(
          `${verb}, ${mode} (p90 ${(t.ours.p90 / 1000).toFixed(1)} against ${(t.lxc.p90 / 1000).toFixed(1)} ms)`,
          t.ours.median,
          t.lxc.median,
          1,
        ),
      )
    }
    const monitors = [`${context.tslxc} info -pH ts-${key}`, `lxc-info -P ${context.lxcpath} -pH -n lx-${key}`].map((cmd) =>
      memoryKb(parentOf(Number(sh(cmd)))),
    )
    rows.push(row(`monitor's private memory (dirty), ${mode}`, monitors[0].dirty, monitors[1].dirty, 0.3, { unit: 'kB' }))
    rows.push(row(`monitor's PSS, one container running, ${mode}`, monitors[0].pss, monitors[1].pss, undefined, { unit: 'kB' }))
  }
  for (const key of ['a', 'd']) sh(`${ours(context, 'stop', `ts-${key}`, '-k')}; ${lxc(context, 'stop', `lx-${key}`, '-k')}`)
  rows.push(...againstCrun(context))
  return rows
}

/** crun refuses a hybrid host: both containers run without the v2 tree, which is back afterwards. */
function againstCrun(context) {
  if (tryRun('command -v crun').status !== 0) return []
  try {
    sh(`umount -l /sys/fs/cgroup/unified 2>/dev/null || true; ${ours(context, 'start', 'ts-a')}`)
    startCrun(context)
    const t = interleave(
      context,
      [
        { name: 'ours', command: ours(context, 'attach', 'ts-a', '-- /bin/true') },
        { name: 'crun', command: `crun --root ${context.work}/crun-run exec tslxc-bench /bin/true` },
      ],
      { rounds: 50 },
    )
    return [row('attach -- /bin/true against crun exec', t.ours.median, t.crun.median, 1)]
  } finally {
    tryRun(`crun --root ${context.work}/crun-run delete -f tslxc-bench; ${ours(context, 'stop', 'ts-a', '-k')}
      [ ! -d /sys/fs/cgroup/unified ] || mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified`)
  }
}
