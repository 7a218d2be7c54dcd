/** What each key of config.yaml means: the source of its manual page and of `did you mean`. */

export interface KeyDescription {
  /** Dotted; `N` is the number of an item, `NAME` a name of the kernel's. */
  readonly key: string
  readonly type: string
  /** Empty: none. */
  readonly default: string
  readonly text: string
}

const TABLE = `
include|list of files|-|Files, or directories of \`*.yaml\`, whose keys come before those of this file. Later values win, lists append, interfaces merge by their number; an empty value, or an empty item of a list, takes back what came before. Looked for beside this file, then in /etc/tslxc, then in the installed conf. A directory of one name in several of these places is one: a file shadows those of its name in the later ones.
uts.name|host name|the container's name|The host name inside.
arch|architecture|the host's|What uname says inside: x86 on x86_64 makes a 32-bit personality.
init.cmd|command|/sbin/init|The first process. Words are quoted as in a shell; no shell runs it.
init.cwd|path|/|Its working directory.
init.uid|id|0|Its user.
init.gid|id|0|Its group.
init.groups|list of ids|none|Its supplementary groups.
signal.halt|signal|SIGRTMIN+3 for systemd, else SIGPWR|What \`stop\` sends to init.
signal.reboot|signal|SIGINT|What \`stop -r\` sends to init.
signal.stop|signal|SIGKILL|What ends a container that does not stop in time.
environment|list of KEY=VALUE or KEY|container=lxc|Variables of init and of the hooks; KEY alone is handed on from the starting command. With \`runtime\` or \`hooks\` beside it, it is written as \`environment.value\`.
environment.runtime|list of KEY=VALUE or KEY|none|Variables of init alone.
environment.hooks|list of KEY=VALUE or KEY|none|Variables of the hooks alone.
ephemeral|yes or no|0|Destroy the container when it stops.
keyring.session|yes or no|1|Give init a session keyring of its own.
no_new_privs|yes or no|0|No program inside gains privileges by setuid or file capabilities.
net.N.type|veth, empty or none|-|veth: a pair, one end inside. empty: the loopback alone. none: the host's network. Without any \`net\`: empty.
net.N.flags|up or down|up|Whether the interface is up when init starts.
net.N.link|interface|none|The bridge which the host's end joins.
net.N.name|interface|ethN|The name inside.
net.N.hwaddr|hardware address|random|The address inside; each x is a digit chosen from the container's name.
net.N.mtu|number|the bridge's|The largest packet.
net.N.ipv4.address|list of ADDRESS/PREFIX [BROADCAST], dhcp or none|dhcp|Fixed addresses. They are set before init starts and written into the guest's own network configuration, where DHCP goes off. dhcp: the guest asks for one.
net.N.ipv4.gateway|ADDRESS, auto or dev|none|The default route; auto is the bridge's own address, dev a route to the interface.
net.N.ipv6.address|list of ADDRESS/PREFIX or none|by router advertisement|As for ipv4. With a fixed ipv4 address and no ipv6 one, ipv6 is off.
net.N.ipv6.gateway|ADDRESS, auto or dev|none|As for ipv4.
net.N.script.up|list of commands|none|Run on the host when the interface was made.
net.N.script.down|list of commands|none|Run on the host before the interface goes.
net.N.veth.mode|bridge|bridge|How the host's end is connected.
net.N.veth.pair|interface|vethXXXXXX|The name of the host's end.
rootfs.path|[DRIVER:]path|none|The root file system: a directory as [dir:]/path, btrfs:/path, zfs:pool/dataset, lvm:/dev/vg/lv, loop:/file, or overlay:LOWER[:LOWER…]:UPPER with the top layer first.
rootfs.mount|path|below the run directory|Where it is mounted before it becomes the root; hooks see it as LXC_ROOTFS_MOUNT.
rootfs.options|mount options|idmap=container where idmap is set|Options of its mount. idmap=none: its files have shifted owners already.
rootfs.managed|yes or no|1|0: the storage is never removed by \`destroy\`.
mount.entry|list of fstab lines|none|Mounts. Targets lie below the root. Options besides mount(8)'s: optional, create=dir, create=file, relative, idmap=container and the propagations.
mount.fstab|file|none|A file of such lines.
mount.auto|list of proc:mixed, proc:rw, sys:mixed, sys:ro, sys:rw, cgroup:mixed|proc:mixed sys:mixed cgroup:mixed|What of /proc, /sys and /sys/fs/cgroup is mounted. With a cgroup namespace, which every container has, the guest mounts its cgroups itself. An empty list mounts nothing.
autodev|yes or no|1|A fresh /dev. With \`tmpfs\` beside it, it is written as \`autodev.value\`.
autodev.tmpfs.size|size|500000|How much /dev can hold.
shares|list of HOST:GUEST[:OPTION,…]|none|Directories of the host inside. Owners look the same on both sides; setuid and device files do not work. Options: ro; optional: a missing one is left out; root: files of the host's root may be made and changed.
volumes|list of VOLUME:GUEST[:OPTION,…], or of maps|none|Data volumes of their own: not in the container's snapshots, and made when they are first needed. Options: ro; keep: it stays when the container is destroyed; size=SIZE; driver=DRIVER (the container's). As a map: volume, target, readonly, keep, size, driver.
limits.memory|size|none|How much memory the container may use.
limits.cpus|number|none|How many processors' time it may use; 1.5 is one and a half.
limits.pids|number|none|How many processes and threads it may have.
limits.disk|size|none|How much the root file system may hold; on lvm and loop the size of the device. Refused where the storage can't enforce it.
cgroup.NAME|value or list|none|A file of a cgroup v1 controller and what is written to it, as \`memory.limit_in_bytes: 2G\`.
cgroup.devices.allow|list of device rules|none|\`c 10:200 rwm\`, or a for all. \`a\` comes first, then what is allowed, then what is denied.
cgroup.devices.deny|list of device rules|none|As above.
cgroup.dir|cgroup|the hierarchy's root|In which cgroup those of the container and of its monitor are made. With others beside it, it is written as \`cgroup.dir.value\`.
cgroup.dir.container|cgroup|tslxc.payload.NAME|The cgroup that carries the limits. With \`inner\` beside it, it is written as \`cgroup.dir.container.value\`.
cgroup.dir.container.inner|cgroup|guest|The one below it that the guest gets.
cgroup.dir.monitor|cgroup|tslxc.monitor.NAME|The monitor's.
cgroup2.NAME|value or list|none|A file of cgroup v2 and what is written to it, as \`memory.max: 2G\`. memory.max, cpu.max, pids.max, cpuset.cpus and cpuset.mems work on v1 hosts too.
cgroup2.devices.allow|list of device rules|none|As for cgroup.
cgroup2.devices.deny|list of device rules|none|As for cgroup.
cap.drop|list of capabilities|none|What no process inside can have.
cap.keep|list of capabilities, or none|all|All that a process inside can have; excludes cap.drop.
seccomp.profile|default, none or file|default|Which system calls are refused. A file is in LXC's format. none: all of them, which lets a privileged container's root reach the host.
idmap|list of u, g or b, INSIDE OUTSIDE COUNT|none|Which ids outside those inside are. Without it the container is privileged: its root is the host's.
hook.version|0 or 1|0|0: hooks get the name, section and type as arguments. 1: in variables alone.
hook.pre-start|list of commands|none|On the host, before anything is made.
hook.pre-mount|list of commands|none|In the container's mount namespace, before the root file system is mounted.
hook.mount|list of commands|none|In the container's mount namespace, after its mounts.
hook.autodev|list of commands|none|In the container's mount namespace, after /dev was filled.
hook.start-host|list of commands|none|On the host, right before init starts.
hook.start|list of commands|none|Inside the container, right before init starts.
hook.stop|list of commands|none|On the host, when init has ended; namespaces are at hand.
hook.post-stop|list of commands|none|On the host, when all is taken down.
hook.clone|list of commands|none|On the host, after a copy, with the new root file system mounted at LXC_ROOTFS_MOUNT; one that fails undoes the copy.
hook.destroy|list of commands|none|On the host, before the container is removed; one that fails keeps it.
tty.max|number|0|How many /dev/ttyN there are for \`console -t\`.
tty.dir|directory below /dev|none|Where they and the console are.
pty.max|number|1024|How many pseudo terminals there can be.
console.path|none, or path|a terminal of the monitor's|A device or file of the host for /dev/console; none: there is no console.
console.logfile|file|none|What the console prints goes there too.
console.size|size or auto|0|The log file's largest size; 0: none, auto: 128K.
console.buffer.size|size or auto|32K|How much of the console's last output is kept for \`console\` and for errors.
console.rotate|yes or no|0|A full log file becomes FILE.1.
prlimit.NAME|SOFT:HARD, one for both, or unlimited|inherited|Resource limits of init, as \`nofile: 1024:4096\`; getrlimit(2).
log.file|file|NAME.log beside config.yaml|Where the monitor and the start write their log.
log.level|level|ERROR|How much they write.
snapshots.schedule|minute hour day month weekday|none|When \`snapshot --due\` takes a snapshot, as in crontab(5), in local time; @hourly, @daily and their like too. Of several times that were missed one is made up. It counts from the first \`--due\` that sees it.
snapshots.keep.hourly|number|0|Of the snapshots that the schedule took: the newest of an hour stays, for the latest hours that have one, this many. Without any number all stay. Those made by hand always do.
snapshots.keep.daily|number|0|As above, of a day.
snapshots.keep.weekly|number|0|As above, of an ISO week.
snapshots.keep.monthly|number|0|As above, of a month.
snapshots.keep.yearly|number|0|As above, of a year.
snapshots.expires|length of time|never|After which time a snapshot that the schedule took goes anyway: 12h, 7d, 3months.
start.auto|yes or no|0|Start at boot.
start.delay|seconds|0|How long to wait before the next one.
start.order|number|0|Lower ones come first.
group|list of names|none|Groups for autostart and \`ls -g\`.
dns|list of addresses, or none|the managed bridge's|The name servers in the guest's /etc/resolv.conf. none: the file is the guest's own.
`

export const KEYS: readonly KeyDescription[] = TABLE.trim()
  .split('\n')
  .map((line) => {
    const [key = '', type = '', fallback = '', text = ''] = line.split('|')
    return { key, type, default: fallback === '-' ? '' : fallback, text }
  })

/** In the order of the manual page. */
export const describeKeys = (): readonly KeyDescription[] => KEYS

/** The keys of tslxc.yaml, the settings of the whole system. */
export const SETTINGS: readonly KeyDescription[] = [
  { key: 'lxcpath', type: 'directory', default: '/var/lib/tslxc', text: 'Where containers are, when no `-P` says it.' },
  { key: 'default_config', type: 'file', default: 'default.yaml', text: 'What a new container starts from.' },
  { key: 'log.level', type: 'level', default: 'ERROR', text: 'How much the commands log, when no `-l` says it.' },
  {
    key: 'storage.default',
    type: 'storage, several with commas between, or best',
    default: 'dir',
    text: 'Where `create` keeps root file systems, when no `-B` says it. Of several the first that can; best: btrfs, zfs, lvm with a thin pool, overlay or dir, in this order.',
  },
  {
    key: 'storage.zfs.root',
    type: 'dataset',
    default: 'lxc',
    text: 'Below which dataset those of containers are made. Also `bdev.zfs.root`, as LXC has it.',
  },
  { key: 'storage.lvm.vg', type: 'volume group', default: 'lxc', text: 'Where logical volumes are made. Also `bdev.lvm.vg`.' },
  {
    key: 'storage.lvm.thin_pool',
    type: 'thin pool',
    default: 'lxc, where it is there',
    text: 'In which thin pool of that group they are made. Also `bdev.lvm.thin_pool`.',
  },
  { key: 'storage.fstype', type: 'ext4, xfs or btrfs', default: 'ext4', text: 'The file system of lvm and loop.' },
  {
    key: 'storage.size',
    type: 'size',
    default: '1G',
    text: 'The size of their devices, where neither `limits.disk` nor `--fssize` says it.',
  },
]
