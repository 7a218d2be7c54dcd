"""
Fills the metadata of the thin pool small/lxc to more than 90 %, past LVM, by empty devices: each takes a block of its own.
By linux/dm-ioctl.h, since a `dmsetup message` for each would take minutes here. Prints the percentage.
"""
import fcntl
import struct
import subprocess

POOL = 'small-lxc-tpool'
DM_TARGET_MSG = 0xC138FD0E
HEADER = struct.Struct('=3I3IiIII Q128s129s7s')

control = open('/dev/mapper/control', 'r+b', buffering=0)


def message(text):
    body = struct.pack('=Q', 0) + text.encode() + b'\0'
    size = HEADER.size + len(body)
    header = HEADER.pack(4, 0, 0, size, HEADER.size, 0, 0, 0, 0, 0, 0, POOL.encode(), b'', b'')
    fcntl.ioctl(control, DM_TARGET_MSG, bytearray(header + body))


def percent():
    status = subprocess.check_output(['dmsetup', 'status', POOL], text=True)
    used, total = status.split()[4].split('/')
    return 100 * int(used) / int(total)


number = 1000
while percent() < 91:
    for number in range(number + 1, number + 51):
        message(f'create_thin {number}')
print(percent())
