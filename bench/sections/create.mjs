// create from the cache against LXC's ways to the same tree; a verb through Node. On a tmpfs: disk noise exceeds the goals.
import { mkdirSync } from 'node:fs'
import { interleave, row, sh } from '../lib.mjs'
import { debianImage } from './debian.mjs'
import { makeBusybox } from './start.mjs'

export function run(context) {
  makeBusybox(context)
  const rows = []
  const memory = `${context.work}/tmpfs`
  mkdirSync(memory)
  sh(
    `mount -t tmpfs -o size=6G,mode=0700 tmpfs ${memory}; mkdir -p ${memory}/ours ${memory}/lxc ${context.work}/disk-lxc; mkdir -m 700 ${context.work}/disk-ours; chmod 700 ${memory}/ours`,
  )
  const busybox = interleave(
    context,
    [
      {
        name: 'ours',
        command: `${context.tslxc} create -q -P ${context.work}/disk-ours -n bb -t busybox -f ${context.emptyConfig}`,
        cleanup: `${context.tslxc} destroy -P ${context.work}/disk-ours -n bb`,
      },
      {
        name: 'lxc',
        command: `lxc-create -P ${context.work}/disk-lxc -n bb -t busybox`,
        cleanup: `lxc-destroy -P ${context.work}/disk-lxc -n bb`,
      },
    ],
    { rounds: 20 },
  )
  rows.push(row('create -t busybox from cache (on disk)', busybox.ours.median, busybox.lxc.median, 0.3))
  const rootfs = debianImage(context)
  sh(
    `mkdir -p ${memory}/lxc/deb/rootfs; cp -a ${rootfs}/. ${memory}/lxc/deb/rootfs/; printf 'lxc.rootfs.path = dir:${memory}/lxc/deb/rootfs\\nlxc.uts.name = deb\\n' > ${memory}/lxc/deb/config`,
  )
  const debian = interleave(
    context,
    [
      {
        name: 'ours',
        command: `${context.tslxc} create -q -P ${memory}/ours -n deb -t debian -f ${context.emptyConfig}`,
        cleanup: `${context.tslxc} destroy -P ${memory}/ours -n deb; rm -rf ${memory}/ours/.trash/*`,
      },
      { name: 'lxc', command: `lxc-copy -P ${memory}/lxc -n deb -N copy`, cleanup: `lxc-destroy -P ${memory}/lxc -n copy` },
    ],
    { rounds: 9, warmup: 1 },
  )
  rows.push(row('create -t debian from cache against lxc-copy (tmpfs)', debian.ours.median, debian.lxc.median, 0.6))
  sh(`rm -rf ${memory}/lxc/deb`)
  const node = interleave(
    context,
    [
      { name: 'ours', command: `${context.tslxc} config get ts-a uts.name` },
      { name: 'node', command: `${process.execPath} -e 0` },
    ],
    { rounds: 40 },
  )
  rows.push(row('config get (through Node) against node -e 0', node.ours.median, node.node.median, 2))
  return rows
}
