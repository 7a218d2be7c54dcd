// Clones, snapshots, restores and removals on btrfs, overlay and zfs: against LXC and against the raw tool.
import { mkdirSync } from 'node:fs'
import { interleave, median, row, sh, tryRun } from '../lib.mjs'
import { debianImage } from './debian.mjs'

/** What one command may take above the raw tool. */
const BUDGET_MS = 60
const MANY = 50

/** Time above the raw tool, against the budget. */
const above = (what, ours, raw) => row(`${what}, above the raw tool`, (ours.median - raw.median) / 1000, BUDGET_MS, 1, { unit: 'ms' })

function timed(script) {
  const start = process.hrtime.bigint()
  sh(script)
  return Number(process.hrtime.bigint() - start) / 1000
}

/** A btrfs on a file in memory: the disk's noise exceeds the goals. */
function makePool(context) {
  const pool = `${context.work}/pool`
  mkdirSync(pool)
  sh(`mkdir ${context.work}/ram; mount -t tmpfs -o size=8G,mode=0700 tmpfs ${context.work}/ram
    truncate -s 7G ${context.work}/ram/btrfs; mkfs.btrfs -q ${context.work}/ram/btrfs; mount ${context.work}/ram/btrfs ${pool}
    mkdir -m 700 ${pool}/ours; mkdir ${pool}/lxc`)
  return pool
}

function defineLxc({ path, rootfs, driver }) {
  sh(
    `printf 'lxc.include = /usr/share/lxc/config/common.conf\\nlxc.rootfs.path = ${driver}:${rootfs}\\nlxc.uts.name = web\\nlxc.net.0.type = empty\\nlxc.apparmor.profile = unconfined\\n' > ${path}/web/config`,
  )
}

/** Containers `web` of a Debian tree on both sides, on one store. */
function makePair(context, { pool, ours, lxc, rootfs, driver }) {
  sh(`${context.tslxc} create -q -P ${ours} web -t debian -B ${driver} -f ${context.emptyConfig}`)
  if (driver === 'btrfs') sh(`mkdir -p ${lxc}/web; btrfs -q subvolume create ${lxc}/web/rootfs; cp -a ${rootfs}/. ${lxc}/web/rootfs/`)
  else sh(`mkdir -p ${lxc}/web/rootfs; cp -a ${rootfs}/. ${lxc}/web/rootfs/`)
  defineLxc({ path: lxc, rootfs: `${lxc}/web/rootfs`, driver: driver === 'btrfs' ? 'btrfs' : 'dir' })
  return { ours: `${context.tslxc} %s -P ${ours}`, lxc, pool }
}

function oneByOne(context, { ours, lxc, driver, raw }) {
  const t = context.tslxc
  const cases = [
    { name: 'copy', command: `${t} copy -q -s -P ${ours} web c`, cleanup: `${t} destroy -q -P ${ours} c` },
    { name: 'lxc-copy', command: `lxc-copy -s -P ${lxc} -n web -N c`, cleanup: `lxc-destroy -P ${lxc} -n c` },
    { name: 'raw-copy', command: raw.clone, cleanup: raw.remove },
    { name: 'snapshot', command: `${t} snapshot -q -P ${ours} web s`, cleanup: `${t} snapshot -q -P ${ours} -d s web` },
    { name: 'raw-snapshot', command: raw.snapshot, cleanup: raw.remove },
    {
      name: 'restore',
      setup: `${t} snapshot -q -P ${ours} web s`,
      command: `${t} snapshot -q -P ${ours} -r s web`,
      cleanup: `${t} snapshot -q -P ${ours} -d s web`,
    },
    { name: 'destroy', setup: `${t} copy -q -s -P ${ours} web c`, command: `${t} destroy -q -P ${ours} c` },
    { name: 'raw-destroy', setup: raw.clone, command: raw.remove },
    {
      name: 'create',
      command: `${t} create -q -P ${ours} n -t debian -B ${driver} -f ${context.emptyConfig}`,
      cleanup: `${t} destroy -q -P ${ours} n`,
    },
  ]
  const r = interleave(context, cases, { rounds: 15 })
  return [
    above(`copy -s, Debian, ${driver}`, r.copy, r['raw-copy']),
    above(`snapshot, Debian, ${driver}`, r.snapshot, r['raw-snapshot']),
    above(`snapshot -r, Debian, ${driver}`, r.restore, r['raw-copy']),
    above(`destroy, Debian, ${driver}`, r.destroy, r['raw-destroy']),
    above(`create -t debian -B ${driver}, from the image in the store`, r.create, r['raw-copy']),
    row(`copy -s, one, Debian, ${driver} against lxc-copy -s`, r.copy.median, r['lxc-copy'].median),
  ]
}

function manyAtOnce(context, { ours, lxc, driver }) {
  const t = context.tslxc
  const names = (prefix) => Array.from({ length: MANY }, (_, n) => `${prefix}${n + 1}`).join(' ')
  const times = { copy: [[], []], snapshot: [[], []], destroy: [[], []] }
  for (let round = 0; round < 5; round++) {
    times.copy[0].push(timed(`${t} copy -q -s -P ${ours} web 'c{1..${MANY}}'`))
    times.copy[1].push(timed(`for n in ${names('c')}; do lxc-copy -s -P ${lxc} -n web -N $n; done`))
    times.snapshot[0].push(timed(`${t} snapshot -q --all -P ${ours}`))
    times.snapshot[1].push(timed(`for n in web ${names('c')}; do lxc-snapshot -P ${lxc} -n $n > /dev/null; done`))
    sh(`for n in web ${names('c')}; do lxc-snapshot -P ${lxc} -n $n -d snap0; done; ${t} snapshot -q -P ${ours} -d snap0 web`)
    times.destroy[0].push(timed(`${t} destroy -q -s -P ${ours} ${names('c')}`))
    times.destroy[1].push(timed(`for n in ${names('c')}; do lxc-destroy -P ${lxc} -n $n; done`))
  }
  const each = (what, [mine, theirs], count, goal) => row(`${what}, each, ${driver}`, median(mine) / count, median(theirs) / count, goal)
  return [
    each(`copy -s of ${MANY} in one command`, times.copy, MANY, 0.6),
    each(`snapshot --all of ${MANY + 1}`, times.snapshot, MANY + 1, 0.6),
    each(`destroy -s of ${MANY} in one command`, times.destroy, MANY, 0.6),
  ]
}

function frozen(context, ours) {
  const t = context.tslxc
  const times = []
  sh(`${t} start -P ${ours} web`)
  try {
    sh('sleep 3')
    for (let round = 0; round < 15; round++) {
      const report = JSON.parse(sh(`${t} snapshot --json -P ${ours} web f${round}`))
      times.push(([report].flat()[0].frozenMs ?? 0) * 1000)
    }
  } finally {
    tryRun(`${t} stop -k -P ${ours} web`)
  }
  sh(`${t} snapshot -q -P ${ours} -d ALL web`)
  return row('a running Debian stands still for its snapshot, btrfs, against the budget', median(times) / 1000, 5, 1, { unit: 'ms' })
}

/** LXC 5.0 can't start a copy on btrfs: it opens `btrfs:PATH` as a path. */
function ephemeral(context, { ours, lxc, driver }) {
  const t = context.tslxc
  const count = 10
  const [mine, theirs] = [[], []]
  for (let round = 0; round < 5; round++) {
    mine.push(timed(`${t} copy -q -e -P ${ours} web 'e{1..${count}}'`))
    tryRun(`${t} stop -k -P ${ours} ${Array.from({ length: count }, (_, n) => `e${n + 1}`).join(' ')}`)
    theirs.push(timed(`for n in $(seq ${count}); do lxc-copy -e -P ${lxc} -n web -N e$n > /dev/null; done`))
    tryRun(`for n in $(seq ${count}); do lxc-stop -k -P ${lxc} -n e$n; done; sleep 1`)
  }
  return row(`copy -e (copy and start) of ${count}, each, ${driver}`, median(mine) / count, median(theirs) / count, 0.6)
}

function fullCopies(context, rootfs, pool) {
  const t = context.tslxc
  const [ours, lxc] = [`${context.work}/ram/ours`, `${context.work}/ram/lxc`]
  sh(`mkdir -m 700 ${ours}; mkdir -p ${lxc}`)
  makePair(context, { ours, lxc, rootfs, driver: 'dir' })
  const r = interleave(
    context,
    [
      {
        name: 'ours',
        command: `${t} copy -q -P ${ours} web c`,
        cleanup: `${t} destroy -q -P ${ours} c; sleep 0.5; rm -rf ${ours}/.trash/*`,
      },
      { name: 'lxc', command: `lxc-copy -P ${lxc} -n web -N c`, cleanup: `lxc-destroy -P ${lxc} -n c` },
      { name: 'cp', command: `cp -a ${lxc}/web/rootfs ${context.work}/ram/copy`, cleanup: `rm -rf ${context.work}/ram/copy` },
      {
        name: 'destroy',
        setup: `${t} copy -q -P ${ours} web c`,
        command: `${t} destroy -q -P ${ours} c`,
        cleanup: `sleep 0.5; rm -rf ${ours}/.trash/*`,
      },
      { name: 'lxc-destroy', setup: `lxc-copy -P ${lxc} -n web -N c`, command: `lxc-destroy -P ${lxc} -n c` },
    ],
    { rounds: 9, warmup: 1 },
  )
  sh(`mkdir -m 700 ${pool}/dirs; cp -a --reflink=always ${pool}/lxc/web/rootfs ${pool}/tree`)
  sh(`${t} create -q -P ${pool}/dirs web -t debian -f ${context.emptyConfig}`)
  const reflink = interleave(
    context,
    [
      { name: 'ours', command: `${t} copy -q -P ${pool}/dirs web c`, cleanup: `${t} destroy -q -P ${pool}/dirs c; sleep 0.5` },
      { name: 'cp', command: `cp -a --reflink=always ${pool}/tree ${pool}/copy`, cleanup: `rm -rf ${pool}/copy` },
    ],
    { rounds: 9, warmup: 1 },
  )
  return [
    row('full copy of a Debian tree (tmpfs) against lxc-copy', r.ours.median, r.lxc.median, 0.5),
    row('full copy of a Debian tree (tmpfs) against cp -a', r.ours.median, r.cp.median, 0.7),
    row('copy by reflinks (btrfs) against cp -a --reflink', reflink.ours.median, reflink.cp.median, 0.5),
    row('destroy of a Debian tree, dir (tmpfs), against lxc-destroy', r.destroy.median, r['lxc-destroy'].median),
  ]
}

export function run(context) {
  const rootfs = debianImage(context)
  const pool = makePool(context)
  const btrfs = { ours: `${pool}/ours`, lxc: `${pool}/lxc`, rootfs, driver: 'btrfs' }
  makePair(context, btrfs)
  const raw = {
    clone: `btrfs -q subvolume snapshot ${pool}/lxc/web/rootfs ${pool}/raw`,
    snapshot: `btrfs -q subvolume snapshot -r ${pool}/lxc/web/rootfs ${pool}/raw`,
    remove: `btrfs -q subvolume delete ${pool}/raw`,
  }
  const rows = [...oneByOne(context, { ...btrfs, raw }), ...manyAtOnce(context, btrfs), frozen(context, btrfs.ours)]
  const overlay = { ours: `${context.work}/ov-ours`, lxc: `${context.work}/ov-lxc`, rootfs, driver: 'overlay' }
  sh(`mkdir -m 700 ${overlay.ours}; mkdir ${overlay.lxc}`)
  makePair(context, overlay)
  const delta = { clone: `mkdir -p ${context.work}/raw/delta ${context.work}/raw/work`, remove: `rm -r ${context.work}/raw` }
  rows.push(
    ...oneByOne(context, { ...overlay, raw: { ...delta, snapshot: delta.clone } }),
    ...manyAtOnce(context, overlay),
    ephemeral(context, overlay),
    ...fullCopies(context, rootfs, pool),
  )
  sh(`umount ${pool}; umount ${context.work}/ram`)
  return rows
}
