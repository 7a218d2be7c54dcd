"""Runs a program on a terminal of its own and types at it.

argv[1], JSON: {argv, steps: [[expected, typed]...], rows, columns, timeout, redirect: {"0": "/dev/null"}}.
Each step waits for a regular expression behind what the last one matched, then types. Prints JSON: {output, code, step}: the whole
output, the exit code as a shell has it, and how many steps were done.
"""
import fcntl
import json
import os
import pty
import re
import select
import struct
import sys
import termios
import time

plan = json.loads(sys.argv[1])


def start():
    pid, master = pty.fork()
    if pid:
        return pid, master
    size = struct.pack("HHHH", plan.get("rows", 24), plan.get("columns", 80), 0, 0)
    fcntl.ioctl(0, termios.TIOCSWINSZ, size)
    for stream, path in plan.get("redirect", {}).items():
        flags = os.O_RDONLY if stream == "0" else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(path, flags, 0o644), int(stream))
    os.execvp(plan["argv"][0], plan["argv"])


def main():
    pid, master = start()
    output, searched, steps = b"", 0, list(plan.get("steps", []))
    done = 0
    deadline = time.monotonic() + plan.get("timeout", 30)
    while time.monotonic() < deadline:
        while done < len(steps):
            found = re.compile(steps[done][0].encode()).search(output, searched)
            if not found:
                break
            searched = found.end()
            typed = steps[done][1]
            if isinstance(typed, list):
                fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", *typed, 0, 0))
            else:
                os.write(master, typed.encode())
            done += 1
        if select.select([master], [], [], 0.2)[0]:
            try:
                added = os.read(master, 65536)
            except OSError:
                break
            if not added:
                break
            output += added
    else:
        os.kill(pid, 9)
    status = os.waitpid(pid, 0)[1]
    code = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    print(json.dumps({"output": output.decode("utf8", "replace"), "code": code, "step": done}))


main()
