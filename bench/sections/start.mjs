// start until RUNNING, and stop -k, of busybox: without net, with idmap, with veth; hot and cold cgroup writes apart.
import { defineLxc, interleave, lxc, ours, row, sh } from '../lib.mjs'

export const variants = [
  { key: 'net empty, privileged', name: 'a', goal: 0.5, empty: true, ours: '--privileged' },
  { key: 'net empty, idmap', name: 'b', goal: 0.5, idmap: true, empty: true, ours: '' },
  { key: 'veth, privileged', name: 'c', goal: 0.6, net: '10.77.1.1/16', ourNet: '10.77.1.2/16', ours: '--privileged' },
  { key: 'veth, idmap', name: 'd', goal: 0.6, net: '10.77.1.3/16', idmap: true, ourNet: '10.77.1.4/16', ours: '' },
]

/** Busybox containers `lx-KEY` (LXC) and `ts-KEY` (ours), made once. */
export function makeBusybox(context) {
  if (context.busyboxMade) return
  sh(`lxc-create -P ${context.lxcpath} -n base -t busybox >/dev/null 2>&1 </dev/null`)
  for (const v of variants) {
    const rootfs = `${context.work}/rootfs-${v.name}`
    sh(`cp -a ${context.lxcpath}/base/rootfs ${rootfs}`)
    defineLxc(context, { name: `lx-${v.name}`, rootfs, net: v.net, idmap: v.idmap })
    const net = v.empty ? `-f ${context.emptyConfig}` : `--link br0 --ip ${v.ourNet} --gw 10.77.0.1`
    sh(`${context.tslxc} create ts-${v.name} -t busybox ${v.ours} ${net} >/dev/null`)
  }
  context.busyboxMade = true
}

export function run(context) {
  makeBusybox(context)
  const rows = []
  const floor = interleave(context, [{ name: 'floor', command: context.floor }], { rounds: 50 }).floor
  rows.push({ what: 'clone3 with all namespaces, exec, reaped (floor)', theirs: floor.median })
  for (const [temper, pauseMs, rounds] of [
    ['hot', 0, 25],
    ['cold', 700, 20],
  ]) {
    for (const v of variants) {
      const t = interleave(
        context,
        [
          { name: 'ours', command: ours(context, 'start', `ts-${v.name}`), cleanup: ours(context, 'stop', `ts-${v.name}`, '-k') },
          { name: 'lxc', command: lxc(context, 'start', `lx-${v.name}`, '-d'), cleanup: lxc(context, 'stop', `lx-${v.name}`, '-k') },
        ],
        { rounds, pauseMs },
      )
      rows.push(row(`start, busybox, ${v.key}, ${temper}`, t.ours.median, t.lxc.median, v.goal))
    }
  }
  for (const v of variants.filter((x) => x.net)) {
    const t = interleave(context, [
      { name: 'ours', setup: ours(context, 'start', `ts-${v.name}`), command: ours(context, 'stop', `ts-${v.name}`, '-k') },
      { name: 'lxc', setup: lxc(context, 'start', `lx-${v.name}`, '-d'), command: lxc(context, 'stop', `lx-${v.name}`, '-k') },
    ])
    rows.push(row(`stop -k, ${v.key}`, t.ours.median, t.lxc.median, 0.1))
  }
  return rows
}
