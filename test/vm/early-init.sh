#!/bin/busybox sh
# Process 1 of the virtual machine, in its RAM disk: drivers, then a writable tmpfs over the host's own root.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
for module in /modules/*.ko; do insmod "$module"; done
share=trans=virtio,version=9p2000.L,msize=507904
mount -t tmpfs -o mode=755,size=100% upper /upper
mkdir /upper/up /upper/work
mount -t 9p -o $share,ro,cache=loose,access=any root /lower || reboot -f
lower=/lower
mkdir /tools
mount -t 9p -o $share,ro,cache=loose,access=any tools /tools 2> /dev/null && lower=/tools:/lower # only with --zfs
mount -t overlay -o lowerdir=$lower,upperdir=/upper/up,workdir=/upper/work root /new || reboot -f
for word in $(cat /proc/cmdline); do
	case $word in tslxc.run=*) run=${word#*=} ;; esac
done
umount /proc
mount -t tmpfs -o mode=755 run /new/run
mkdir /new/run/lock /new/run/vm
for file in late-init.sh settings environment command; do cp "/lower$run/$file" /new/run/vm/; done
mount --move /dev /new/dev
exec switch_root /new /bin/bash /run/vm/late-init.sh
