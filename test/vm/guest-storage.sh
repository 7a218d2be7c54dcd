# Storage that the test machine's kernel lacks. Disks after the first: of groups `lxc` and `thin` (with a thin pool), `thick` and `small`;
# for project quota, one for ext4 and one for xfs.
. test/vm/guest.sh
export DM_DISABLE_UDEV=1 LVM_SYSTEM_DIR=/tmp/lvm LVM_SUPPRESS_FD_WARNINGS=1
mkdir /tmp/lvm
cat > /tmp/lvm/lvm.conf << 'END'
activation { udev_sync=0 udev_rules=0 monitoring=0 }
backup { backup=0 archive=0 }
devices { obtain_device_list_from_udev=0 }
END
vgcreate -qq lxc /dev/vdb
lvcreate -qq --yes -L 2G --poolmetadatasize 16M -T lxc/lxc
vgcreate -qq thin /dev/vdc
lvcreate -qq --yes -L 2G --poolmetadatasize 16M -T thin/lxc
vgcreate -qq thick /dev/vdd
vgcreate -qq small /dev/vde
mkfs.ext4 -q -O project,quota -E quotatype=prjquota /dev/vdf
mkfs.xfs -q -f /dev/vdg
mkdir -p /tmp/ext4 /tmp/xfs
mount -o prjquota /dev/vdf /tmp/ext4
mount -o pquota /dev/vdg /tmp/xfs

others=test-results/guest/others.log
export TSLXC_STORAGE_CHILD=$PWD/test-results/guest/storage-child.mjs
# Of the suite, what differs from other drivers, so that it stays below five minutes. All of it: TSLXC_GUEST_FILTER=.
filter='faults of LVM|containers on thin volumes'
filter+='|thin ext4 (clones with everything|goes back)|thin (xfs|btrfs) snapshots keep|thick ext4 snapshots keep'
tests() {
	REPORT=/tmp/report-$1 node_modules/.bin/vitest run --config test/vm/guest/vitest.config.mjs -t "${TSLXC_GUEST_FILTER:-$filter}" "$@"
}
quota() {
	mkdir "/tmp/$1/lxc" && node test-results/guest/quota-child.mjs "/tmp/$1/lxc" "$PWD"
}
# Two at a time, as there are processors. What the others find can be watched from outside. Containers are in a network namespace of their
# own, so that the others do not take them for something they left.
(
	finding 'tests conformance' tests conformance
	finding 'quota on ext4' quota ext4
) > "$others" &
export -f tests
export filter
finding 'tests containers' unshare -n bash -c 'tests containers faults'
finding 'quota on xfs' quota xfs
wait
cat "$others"
for part in conformance containers; do finding "report $part" cat /tmp/report-$part; done
finding left lvs --noheadings -o vg_name,lv_name
