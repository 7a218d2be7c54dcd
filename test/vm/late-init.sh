# Process 1 after the switch: an ordinary machine with the wanted cgroup layout, then the command; its result goes out by virtio ports.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
. /run/vm/settings
mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sys /sys
read -r uptime _ < /proc/uptime
date -s "@$((NOW + ${uptime%.*}))" > /dev/null
ln -sf /proc/self/fd /dev/fd
ln -sf fd/0 /dev/stdin; ln -sf fd/1 /dev/stdout; ln -sf fd/2 /dev/stderr
mkdir -p /dev/pts /dev/shm /dev/mqueue /dev/net /lib/modules
mount --bind "$MODULES" /lib/modules
# First use of these nodes loads their module; there is no udev to make them.
while read -r module node numbers; do
	case $module in loop | tun | fuse | btrfs | dm_mod)
		[ -e "/dev/$node" ] || { mkdir -p "/dev/$(dirname "$node")"; mknod -m 600 "/dev/$node" "${numbers:0:1}" ${numbers:1:20}; } ;;
	esac
done < <(sed 's/:/ /' "/lib/modules/$(uname -r)/modules.devname" | awk '!/^#/ {print $1, $2, $3 " " $4}')
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev shm /dev/shm
mount -t mqueue mqueue /dev/mqueue
exec 5< "$DIRECTORY"
mount -t tmpfs -o mode=1777,size=75% tmp /tmp
[ -d "$DIRECTORY" ] || { mkdir -p "$DIRECTORY"; mount -c --bind /proc/self/fd/5 "$DIRECTORY"; }
exec 5<&-
groups=/sys/fs/cgroup
if [ "$CGROUP" = v2 ]; then
	mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 $groups
	for controller in $(cat $groups/cgroup.controllers); do echo "+$controller" > $groups/cgroup.subtree_control; done
else
	mount -t tmpfs -o mode=755 cgroup $groups
	for controller in $(awk 'NR > 1 { print $1 }' /proc/cgroups); do
		mkdir $groups/"$controller"
		mount -t cgroup -o "$controller" "$controller" $groups/"$controller" || rmdir $groups/"$controller"
	done
	mkdir $groups/systemd
	mount -t cgroup -o none,name=systemd systemd $groups/systemd
	[ "$CGROUP" = v1 ] || { mkdir $groups/unified; mount -t cgroup2 cgroup2 $groups/unified; }
fi
ip link set lo up
[ -z "$ZFS" ] || modprobe zfs || echo 'vm: cannot load zfs' >&2
hostname vm
mount -t 9p -o trans=virtio,version=9p2000.L,msize=507904,cache=mmap,access=any cwd "$DIRECTORY"
port() {
	for p in /sys/class/virtio-ports/*; do
		read -r name < "$p/name"
		[ "$name" != "$1" ] || echo "/dev/${p##*/}"
	done
}
# Written to a pipe and relayed, so that /dev/stdout can be opened and no left-over daemon holds the port.
mkfifo /run/vm/pipe
cat < /run/vm/pipe > "$(port out)" & relay=$!
(
	set -a
	. /run/vm/environment
	set +a
	cd "$DIRECTORY" || exit 125
	eval "exec setsid -w $(cat /run/vm/command)"
) < /dev/null > /run/vm/pipe 2>&1
status=$?
for process in /proc/[0-9]*; do
	case " 1 $relay " in *" ${process#/proc/} "*) ;; *) kill -9 "${process#/proc/}" 2> /dev/null ;; esac
done
wait $relay
sync
echo "$status" > "$(port status)"
echo b > /proc/sysrq-trigger
