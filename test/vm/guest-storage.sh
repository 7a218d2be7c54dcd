# Storage that the test machine's kernel lacks. Disks after the first: of groups `lxc` (with a thin pool), `thick` and `small`; for project
# quota, one for ext4 and one for xfs.
. test/vm/guest.sh
export DM_DISABLE_UDEV=1 LVM_SYSTEM_DIR=/tmp/lvm LVM_SUPPRESS_FD_WARNINGS=1
mkdir /tmp/lvm
cat > /tmp/lvm/lvm.conf << 'END'
activation { udev_sync=0 udev_rules=0 monitoring=0 }
backup { backup=0 archive=0 }
devices { obtain_device_list_from_udev=0 }
END
quota() {
	mkdir -p "/tmp/$1"
	mount -t "$1" -o "$2" "$3" "/tmp/$1" && mkdir "/tmp/$1/lxc" && node test-results/guest/quota-child.mjs "/tmp/$1/lxc" "$PWD"
}
mkfs.ext4 -q -O project,quota -E quotatype=prjquota /dev/vde
mkfs.xfs -q -f /dev/vdf
finding 'quota on ext4' quota ext4 prjquota /dev/vde
finding 'quota on xfs' quota xfs pquota /dev/vdf

vgcreate -qq lxc /dev/vdb
lvcreate -qq --yes -L 2G --poolmetadatasize 16M -T lxc/lxc
vgcreate -qq thick /dev/vdc
vgcreate -qq small /dev/vdd
# Of the suite, what differs from other drivers, so that it stays below five minutes. All of it: TSLXC_GUEST_FILTER=.
tests='faults of LVM|containers on thin volumes'
tests+='|thin ext4 (creates|changes nothing|clones with everything|snapshots cannot|goes back|limits|destroys what a killed)'
tests+='|thin (xfs|btrfs) (snapshots keep|limits)|thick ext4 (snapshots keep|goes back)'
export TSLXC_STORAGE_CHILD=$PWD/test-results/guest/storage-child.mjs
finding tests node_modules/.bin/vitest run --config test/vm/guest/vitest.config.mjs -t "${TSLXC_GUEST_FILTER:-$tests}"
finding report cat /tmp/report.json
finding left lvs --noheadings -o vg_name,lv_name
