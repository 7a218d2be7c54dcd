# OpenZFS, on a pool `tank` on the second disk: in a file, since a whole disk would have to be partitioned, for which it waits for udev.
# Some of the tests: TSLXC_GUEST_FILTER=PATTERN.
. test/vm/guest.sh
mkdir /tmp/pool
mkfs.ext4 -q /dev/vdb && mount -t ext4 /dev/vdb /tmp/pool && truncate -s 1500M /tmp/pool/disk
zpool create -m none -o cachefile=none tank /tmp/pool/disk && zfs create tank/lxc
finding version cat /sys/module/zfs/version
export TSLXC_GUEST_TESTS=zfs REPORT=/tmp/report.json TSLXC_STORAGE_CHILD=$PWD/test-results/guest/storage-child.mjs
finding tests node_modules/.bin/vitest run --config test/vm/guest/vitest.config.mjs -t "${TSLXC_GUEST_FILTER:-.}"
finding report cat /tmp/report.json
finding left zfs list -H -r -t all -o name tank
