# In the virtual machine, sourced by the guest-*.sh scripts: findings for a test to judge. $TSLXC_ROOT is on the first disk.
set -u
export TSLXC_ROOT
tslxc=dist/tslxc
mkdir -p "$TSLXC_ROOT"
mount -t ext4 /dev/vda "$TSLXC_ROOT"

# finding NAME COMMAND...: what it prints, and its exit code.
finding() {
	printf '=== %s\n' "$1"
	shift
	"$@" 2>&1
	printf '\n=> %s\n' $?
}

# wait_until COMMAND...: at most some 120 rounds, each of which takes its time here.
wait_until() {
	for _ in $(seq 120); do
		"$@" && return
		sleep 0.5
	done
	return 1
}

# What a container can leave behind.
leftovers() {
	find /sys/fs/cgroup -name 'tslxc.*' -o -name 'lxc.*'
	ip -o link show type veth
	grep -F "$TSLXC_ROOT/" /proc/self/mounts
	grep -alF "[tslxc monitor] $TSLXC_ROOT/" /proc/[0-9]*/cmdline
}
