# In the virtual machine: what test/helpers/quota-child.ts finds on ext4 (/dev/vda) and xfs (/dev/vdb). $CHILD is its bundle.
set -eu
mkfs.ext4 -q -O project,quota -E quotatype=prjquota /dev/vda
mkfs.xfs -q -f /dev/vdb
check() {
	mkdir -p "/tmp/$1"
	mount -t "$1" -o "$2" "$3" "/tmp/$1"
	mkdir "/tmp/$1/lxc"
	node "$CHILD" "/tmp/$1/lxc" "$PWD"
}
check ext4 prjquota /dev/vda
check xfs pquota /dev/vdb
