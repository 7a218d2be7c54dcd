// A whole Debian: start to systemd's `running`, and a clean stop.
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { defineLxc, median, row, sh } from '../lib.mjs'

/** The rootfs of a `-t debian` container of ours (the image must be in the cache: `tslxc image fetch debian`). */
export function debianImage(context) {
  const dir = join(process.env.TSLXC_ROOT, 'var/lib/tslxc/ts-deb')
  if (!existsSync(dir)) sh(`${context.tslxc} create ts-deb -t debian --link br0 --ip 10.77.2.1/16 --gw 10.77.0.1 >/dev/null`)
  if (readdirSync(join(dir, 'rootfs')).length === 0) throw new Error('the debian container is empty')
  return join(dir, 'rootfs')
}

function timed(script) {
  const start = process.hrtime.bigint()
  sh(script)
  return Number(process.hrtime.bigint() - start) / 1000
}

const waitRunning = (attach) =>
  `i=0; while [ $i -lt 400 ]; do [ "$(${attach} systemctl is-system-running 2>/dev/null)" = running ] && exit 0; sleep 0.02; i=$((i+1)); done; exit 1`

export function run(context) {
  const rootfs = debianImage(context)
  // Ours gets its network file at the first start; LXC's copy gets the like by hand.
  const networkd = `${context.work}/deb-rootfs/etc/systemd/network`
  sh(`cp -a ${rootfs} ${context.work}/deb-rootfs; mkdir -p ${networkd}; rm -f ${networkd}/*
    printf '[Match]\\nName=eth0\\n[Network]\\nAddress=10.77.2.2/16\\nGateway=10.77.0.1\\nLinkLocalAddressing=no\\nIPv6AcceptRA=no\\n' > ${networkd}/10-eth0.network`)
  defineLxc(context, { name: 'lx-deb', rootfs: `${context.work}/deb-rootfs`, net: '10.77.2.2/16', idmap: true, systemd: true })
  const t = { ours: { boot: [], stop: [] }, lxc: { boot: [], stop: [] } }
  const sides = {
    ours: { start: `${context.tslxc} start ts-deb`, attach: `${context.tslxc} attach ts-deb --`, stop: `${context.tslxc} stop -q ts-deb` },
    lxc: {
      start: `lxc-start -P ${context.lxcpath} -n lx-deb -d`,
      attach: `lxc-attach -P ${context.lxcpath} -n lx-deb --`,
      stop: `lxc-stop -P ${context.lxcpath} -n lx-deb`,
    },
  }
  for (let round = 0; round < 20; round++) {
    for (const [side, s] of Object.entries(sides)) {
      t[side].boot.push(timed(`${s.start}\n${waitRunning(s.attach)}`))
      t[side].stop.push(timed(s.stop))
    }
  }
  return [
    row('Debian, start → running', median(t.ours.boot), median(t.lxc.boot), 1),
    row('Debian, clean stop', median(t.ours.stop), median(t.lxc.stop), 1),
  ]
}
