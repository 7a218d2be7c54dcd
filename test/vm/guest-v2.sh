# cgroup v2: a Debian container `deb` with systemd, and a privileged busybox container `box`, both with limits.
. test/vm/guest.sh
payload=/sys/fs/cgroup/tslxc.payload
inside() { "$tslxc" attach "$@"; }
limits() { (cd "$payload.$1" && grep . memory.max cpu.max pids.max); }

ip link add vmbr0 type bridge
ip address add 10.9.9.1/24 dev vmbr0
ip link set vmbr0 up
finding start "$tslxc" start box deb

finding 'in use' leftovers

finding 'limits of deb' limits deb
finding 'owners of deb' stat -c '%u %n' "$payload".deb/cgroup.procs "$payload".deb/guest{,/cgroup.procs,/cgroup.subtree_control,/memory.max}

finding 'limits of box' limits box
finding 'allowed device' inside box -- sh -c 'echo x > /dev/null && head -c 1 /dev/zero | wc -c'
finding 'denied device' inside box -- sh -c 'mknod /root/kmsg c 1 11 && head -c 1 /root/kmsg'
finding 'denied disk' inside box -- sh -c 'mknod /root/disk b 254 0 && head -c 1 /root/disk'
finding 'more memory than allowed' inside box -- dd if=/dev/zero of=/dev/null bs=64M count=1
finding 'memory events of box' grep oom_kill "$payload.box/memory.events"

running() {
	state=$(inside deb -- systemctl is-system-running 2>&1)
	[ "$state" = running ] || [ "$state" = degraded ]
}
wait_until running
finding 'system state' echo "$state"
finding 'failed units' inside deb -- systemctl --failed --no-legend --plain
finding 'controllers that systemd enabled' cat "$payload.deb/guest/cgroup.subtree_control"
finding 'cgroup of an attached command' inside deb -- cat /proc/self/cgroup
finding 'address' inside deb -- ip -o -4 address show dev eth0
finding 'info' "$tslxc" info deb

finding 'freeze' "$tslxc" freeze deb
finding 'state when frozen' "$tslxc" info -sH deb
finding 'events when frozen' cat "$payload.deb/cgroup.events"
finding 'unfreeze' "$tslxc" unfreeze deb
finding 'state when thawed' "$tslxc" info -sH deb
finding 'stop' "$tslxc" stop deb
finding 'state when stopped' "$tslxc" info -sH deb

kill -KILL "$(cat /sys/fs/cgroup/tslxc.monitor.box/cgroup.procs)"
finding 'kill after a crash' "$tslxc" stop -k box
finding leftovers leftovers

# What systemd does for a unit with Delegate=yes.
unit=/sys/fs/cgroup/unit
mkdir $unit
python3 -c 'import os, sys; os.setxattr(sys.argv[1], "trusted.delegate", b"1")' $unit
in_unit() { sh -c 'echo $$ > /sys/fs/cgroup/unit/cgroup.procs && exec "$@"' sh "$@"; }
finding 'start in a unit' in_unit "$tslxc" start box
finding 'limits in the unit' grep . $unit/tslxc.payload.box/{memory.max,cpu.max,pids.max}
finding 'stop in the unit' "$tslxc" stop -k box
sleep 1000 &
echo $! > $unit/cgroup.procs
finding 'start in a unit with other processes' in_unit "$tslxc" start box
finding 'left in the unit' find $unit/* -type d
