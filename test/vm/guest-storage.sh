# Storage that the test machine's kernel lacks. Disks after the first: of groups `lxc` (with a thin pool), `thick` and `small`.
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
vgcreate -qq thick /dev/vdc
vgcreate -qq small /dev/vdd
# Of the suite, what differs from other drivers, so that it stays below five minutes. All of it: TSLXC_GUEST_FILTER=.
tests='faults of LVM|a container on|dir on xfs limits'
tests+='|thin ext4 (creates|changes nothing|clones with everything|snapshots cannot|goes back|limits|destroys what a killed)'
tests+='|thin (xfs|btrfs) (snapshots keep|limits)|thick ext4 (snapshots keep|goes back)'
finding tests node_modules/.bin/vitest run --config test/vm/guest/vitest.config.mjs -t "${TSLXC_GUEST_FILTER:-$tests}"
finding report cat /tmp/report.json
finding left lvs --noheadings -o vg_name,lv_name
