# cgroup v1 alone: a busybox container `box` with limits.
. test/vm/guest.sh
group() { echo "/sys/fs/cgroup/$1/tslxc.payload.box"; }

finding start "$tslxc" start box
finding layout sh -c 'cut -d: -f2 < /proc/self/cgroup'
finding memory cat "$(group memory)/memory.limit_in_bytes"
finding cpu cat "$(group cpu)/cpu.cfs_quota_us" "$(group cpu)/cpu.cfs_period_us"
finding pids cat "$(group pids)/pids.max"
finding 'allowed device' "$tslxc" attach box -- sh -c 'echo x > /dev/null && head -c 1 /dev/zero | wc -c'
finding 'denied device' "$tslxc" attach box -- sh -c 'mknod /root/kmsg c 1 11 && head -c 1 /root/kmsg'
finding info "$tslxc" info box
finding freeze "$tslxc" freeze box
finding 'state when frozen' "$tslxc" info -sH box
finding 'freezer when frozen' cat "$(group freezer)/freezer.state"
finding 'kill when frozen' "$tslxc" stop -k box
finding leftovers leftovers
