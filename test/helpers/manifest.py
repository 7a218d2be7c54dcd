"""Prints one JSON line an entry of a tree: all that a faithful copy must keep. With --no-atime: as it says."""
import hashlib, json, os, stat, sys

top = os.fsencode(sys.argv[1])
first = {}


def attributes(path):
    names = [n for n in os.listxattr(path, follow_symlinks=False) if not n.startswith("security.selinux")]
    return {n: os.getxattr(path, n, follow_symlinks=False).hex() for n in sorted(names)}


def entry(path):
    s = os.lstat(path)
    out = {
        # Not relpath: the working directory may be a mount that has no path.
        "path": os.fsdecode(path[len(top) :].lstrip(b"/") or b"."),
        "mode": oct(s.st_mode),
        "owner": [s.st_uid, s.st_gid],
        "mtime": s.st_mtime_ns,
        "nlink": s.st_nlink if not stat.S_ISDIR(s.st_mode) else 0,
        "xattrs": attributes(path),
    }
    if stat.S_ISREG(s.st_mode):
        out["size"] = s.st_size
        out["sparse"] = s.st_blocks * 512 < s.st_size
        with open(path, "rb") as f:
            out["sha"] = hashlib.sha256(f.read()).hexdigest()
    if stat.S_ISLNK(s.st_mode):
        out["target"] = os.fsdecode(os.readlink(path))
    if stat.S_ISCHR(s.st_mode) or stat.S_ISBLK(s.st_mode):
        out["rdev"] = [os.major(s.st_rdev), os.minor(s.st_rdev)]
    if s.st_nlink > 1 and not stat.S_ISDIR(s.st_mode):
        out["same"] = first.setdefault(s.st_ino, out["path"])
    return out


print(json.dumps(entry(top)))
for where, dirs, files in os.walk(top):
    dirs.sort()
    for name in sorted(dirs + files):
        print(json.dumps(entry(os.path.join(where, name)), sort_keys=True))
