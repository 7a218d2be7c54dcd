"""Makes a tree with everything a root file system can hold."""
import os, socket, stat, struct, sys

top = sys.argv[1]
os.makedirs(top, exist_ok=True)
os.chdir(top)
os.makedirs("dir/sub/empty")
open("dir/file", "w").write("content\n")
open("empty", "w").close()
os.link("dir/file", "dir/sub/hardlink")
os.link("dir/file", "zz-hardlink")
os.symlink("dir/file", "symlink")
os.symlink("/nowhere/at/all", "dir/dangling")
os.link("symlink", "symlink-hardlink", follow_symlinks=False)
os.mkfifo("fifo", 0o600)
s = socket.socket(socket.AF_UNIX)
s.bind("socket")
s.close()
os.mknod("null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
os.mknod("block", stat.S_IFBLK | 0o660, os.makedev(7, 99))
with open("sparse", "wb") as f:
    f.seek(8 << 20)
    f.write(b"middle")
    f.truncate(16 << 20)
with open("big", "wb") as f:
    for i in range(512):
        f.write(struct.pack("<I", i) * 1024)
with open("suid", "w") as f:
    f.write("#!")
os.chown("suid", 12, 34)
os.chmod("suid", 0o6755)
os.mkdir("setgid")
os.chown("setgid", 5, 6)
os.chmod("setgid", 0o3775)
open("setgid/inherits-not", "w").close()
os.chown("setgid/inherits-not", 7, 8)
os.lchown("symlink", 1000, 1001)
# VFS_CAP_REVISION_2 with cap_net_raw (13), effective: capabilities(7)
open("ping", "w").write("ping")
os.setxattr("ping", "security.capability", struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0))
os.setxattr("dir/file", "user.note", b"\x00\x01binary")
os.setxattr("dir", "trusted.note", b"t")
# ACL version 2: user::rw-, user:1234:r--, group::r--, mask::r--, other::---
acl = lambda *entries: struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in entries)
none = 0xFFFFFFFF
os.setxattr("empty", "system.posix_acl_access", acl((1, 6, none), (2, 4, 1234), (4, 4, none), (0x10, 4, none), (0x20, 0, none)))
os.mkdir("acl-dir")
open("acl-dir/plain", "w").close()
os.setxattr("acl-dir", "system.posix_acl_default", acl((1, 7, none), (2, 7, 1234), (4, 5, none), (0x10, 7, none), (0x20, 5, none)))
open("name with\nnewline", "w").close()
open(b"not-utf8-\xff", "w").close()
os.makedirs("/".join(["deep"] * 60))
for i in range(300):
    open(f"dir/many-{i}", "w").write(str(i) * i)
for where, dirs, files in os.walk(".", topdown=False):
    for n in files + dirs:
        os.utime(os.path.join(where, n), ns=(1_500_000_000_123_456_789, 1_400_000_000_987_654_321), follow_symlinks=False)
os.utime(".", ns=(1_500_000_000_123_456_789, 1_300_000_000_987_654_321))
