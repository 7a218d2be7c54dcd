"""Writes MiB after MiB to a file below the working directory as a user without rights; prints the name of the error, or `ok`.

argv: FILE MEBIBYTES
"""
import errno, os, sys

os.setgroups([])
os.setgid(1000)
os.setuid(1000)
try:
    with open(sys.argv[1], "wb", buffering=0) as f:
        for i in range(int(sys.argv[2])):
            piece = os.urandom(1 << 20)
            while piece:
                piece = piece[f.write(piece):]
            if i % 4 == 3:
                os.fsync(f.fileno())
        os.fsync(f.fileno())
    print("ok")
except OSError as e:
    print(errno.errorcode[e.errno])
