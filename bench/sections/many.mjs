// Fifty busybox containers with veth and idmap, started and stopped by one command.
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { defineLxc, median, row, sh, tryRun } from '../lib.mjs'
import { makeBusybox } from './start.mjs'

const address = (base, n) => `10.77.${base + Math.floor(n / 250)}.${(n % 250) + 1}/16`

/** `count` defined containers in an lxcpath of their own for each side; the rootfs trees are shared and read only by init. */
export function makeMany(context, count) {
  const many = { count, ours: join(context.work, `ours-${count}`), lxc: join(context.work, `lxc-${count}`) }
  if (existsSync(many.ours)) return many
  makeBusybox(context)
  mkdirSync(many.ours, { mode: 0o700 })
  mkdirSync(many.lxc)
  const names = Array.from({ length: count }, (_, n) => `m${n}`)
  names.forEach((name, n) => {
    // Stopped ones share a tree. Ours stands below a directory that only root may enter.
    const rootfs = count <= 50 ? `${many.lxc}-rootfs/${n}` : `${context.work}/rootfs-d`
    const ownRootfs = `${many.ours}/.rootfs/${count <= 50 ? n : 0}`
    for (const tree of [rootfs, ownRootfs])
      if (!existsSync(tree)) sh(`mkdir -p ${join(tree, '..')}; cp -a ${context.work}/rootfs-d ${tree}`)
    defineLxc({ lxcpath: many.lxc }, { name, rootfs, net: address(100, n), idmap: true })
    sh(`mkdir ${many.ours}/${name}; cp -a ${process.env.TSLXC_ROOT}/var/lib/tslxc/ts-d/record.json ${many.ours}/${name}/ 2>/dev/null || true
      sed 's#^\\( *path:\\).*#\\1 "dir:${ownRootfs}"#; s#10\\.77\\.1\\.4/16#${address(110, n)}#; s#ts-d#${name}#g; /hwaddr:/d' ${process.env.TSLXC_ROOT}/var/lib/tslxc/ts-d/config.yaml > ${many.ours}/${name}/config.yaml`)
  })
  // Compiled once, as create leaves it.
  sh(`${context.tslxc} compile -P ${many.ours} ${names.join(' ')}`)
  return many
}

const names = (many) => Array.from({ length: many.count }, (_, n) => `m${n}`).join(' ')
export const startMany = (context, many) => {
  sh(`${context.tslxc} start -P ${many.ours} ${names(many)}`)
  sh(`lxc-autostart -P ${many.lxc} -A -a`)
}
export const stopMany = (context, many) => {
  tryRun(`${context.tslxc} stop -k -P ${many.ours} ${names(many)}`)
  tryRun(`lxc-autostart -P ${many.lxc} -A -a -k`)
}

function timed(script) {
  const start = process.hrtime.bigint()
  sh(script)
  return Number(process.hrtime.bigint() - start) / 1000
}

export function run(context) {
  const many = makeMany(context, 50)
  const t = { start: [[], []], stop: [[], []] }
  for (let round = 0; round < 9; round++) {
    t.start[0].push(timed(`${context.tslxc} start -P ${many.ours} ${names(many)}`))
    t.stop[0].push(timed(`${context.tslxc} stop -k -P ${many.ours} ${names(many)}`))
    t.start[1].push(timed(`lxc-autostart -P ${many.lxc} -A -a`))
    t.stop[1].push(timed(`lxc-autostart -P ${many.lxc} -A -a -k`))
  }
  return [
    row('50 started by one command, veth, idmap', median(t.start[0]), median(t.start[1]), 0.6),
    row('50 stopped by one command (-k)', median(t.stop[0]), median(t.stop[1]), 0.15),
  ]
}
