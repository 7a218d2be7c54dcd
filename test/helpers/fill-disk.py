"""Writes MiB after MiB to a file as a user without rights; prints the name of the error, or `ok`.

argv: DIRECTORY FILE MEBIBYTES
"""
import errno, os, sys

os.chdir(sys.argv[1])
os.setgroups([])
os.setgid(1000)
os.setuid(1000)
try:
    random = os.urandom(1 << 20)
    with open(sys.argv[2], "wb", buffering=0) as f:
        for i in range(int(sys.argv[3])):
            piece = random
            while piece:
                piece = piece[f.write(piece):]
            if i % 4 == 3:
                os.fsync(f.fileno())
        os.fsync(f.fileno())
    print("ok")
except OSError as e:
    print(errno.errorcode[e.errno])
