// What a guest with evil intentions tries, privileged and not.
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Box, makeBox, UNPRIVILEGED } from '../helpers/box.ts'
import { expectNoLeaks } from '../helpers/leaks.ts'
import { needs } from '../helpers/needs.ts'
import { program, run, runOk } from '../helpers/program.ts'
import { makeRoot, type TestRoot } from '../helpers/root.ts'

expectNoLeaks()

let root: TestRoot
const boxes: Box[] = []
const kinds = [
  ['privileged', ''],
  ['unprivileged', UNPRIVILEGED],
] as const

beforeAll(() => {
  root = makeRoot()
})
afterAll(() => root.remove())
afterEach(async () => {
  for (const box of boxes.splice(0)) await box.kill()
})

function box(config: string): Box {
  const made = makeBox(root, `escape${Math.random().toString(36).slice(2, 8)}`, config)
  boxes.push(made)
  return made
}

function script(made: Box, path: string, text: string): void {
  writeFileSync(join(made.rootfs, path), text, { mode: 0o755 })
  chmodSync(join(made.rootfs, path), 0o755)
}

describe('descriptors of the host', () => {
  it.each(kinds)('are gone before anything of the guest runs, %s', async (_, idmap) => {
    const made = box(`${idmap}hook: { start: [/hook] }\n`)
    const list = 'for fd in /proc/$pid/fd/*; do test -d $fd && echo "$pid $fd"; done'
    script(made, 'hook', `#!/bin/sh\nfor pid in 1 self; do ${list}; done > /result 2>&1\ntrue\n`)
    await made.start()
    expect(readFileSync(join(made.rootfs, 'result'), 'utf8')).toBe('')
  })

  it.each(kinds)('of the caller do not come along with attach, %s', async (_, idmap) => {
    const made = box(idmap)
    await made.start()
    const attach = `exec 7</ 8</ 200</; TSLXC_ROOT=${root.path} ${program} attach ${made.name} -- /bin/sh -c 'echo /proc/self/fd/*'`
    const { stdout } = await run(['bash', '-c', attach])
    expect(
      stdout
        .trim()
        .split(' ')
        .filter((path) => !/\/[0-3]$/.test(path)),
    ).toEqual([])
    expect((await made.sh('ls -l /proc/1/fd')).split('\n').filter((line) => line.includes('->') && !line.includes('/dev/'))).toEqual([])
  })

  it.each(kinds)('lead no write of start out of the root file system, %s', async (_, idmap) => {
    const victim = join(root.path, 'victim')
    mkdirSync(victim, { recursive: true })
    const made = box(`${idmap}uts: { name: honest }\n`)
    const guest = { network: 'none', init: 'busybox' }
    const record = { version: 1, uuid: 'x', template: 'busybox', options: {}, guest, createdAt: '2026-01-01T00:00:00Z' }
    writeFileSync(join(made.dir, 'record.json'), JSON.stringify(record), { mode: 0o600 })
    rmSync(join(made.rootfs, 'etc'), { recursive: true })
    for (let fd = 3; fd < 30; fd++) {
      rmSync(join(made.rootfs, 'etc'), { force: true })
      symlinkSync(`/proc/self/fd/${fd}${'/..'.repeat(12)}${victim}`, join(made.rootfs, 'etc'))
      await root.tslxc('start', made.name)
      await made.kill()
      expect([fd, existsSync(join(victim, 'hostname')), existsSync(join(victim, 'hosts'))]).toEqual([fd, false, false])
    }
  })
})

/** Run by a guest. `spy N`: watches for N seconds who joins, and reports what it can get hold of. `compat`: past the native system calls. */
const PROBE = String.raw`
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static struct stat own;
static char path[64], link_text[4096];
static const char *of(int pid, const char *file) { snprintf(path, sizeof path, "/proc/%d/%s", pid, file); return path; }
static void overwrite(int pid) {
  int program = open(of(pid, "exe"), O_PATH);
  if (program < 0) return;
  struct mount_attr change = { .attr_clr = MOUNT_ATTR_RDONLY };
  if (syscall(SYS_mount_setattr, program, "", AT_EMPTY_PATH, &change, sizeof change) == 0) puts("remounted");
  if (syscall(SYS_open_tree, program, "", AT_EMPTY_PATH | OPEN_TREE_CLONE) >= 0) puts("cloned");
  char self[64];
  snprintf(self, sizeof self, "/proc/self/fd/%d", program);
  for (int i = 0; i < 500; i++) {
    int fd = open(self, O_WRONLY);
    if (fd >= 0) { puts("writable"); return; }
    if (errno != ETXTBSY) break;
    usleep(2000);
  }
}
int main(int argc, char **argv) {
  setvbuf(stdout, 0, _IONBF, 0);
#ifdef __x86_64__
  if (strcmp(argv[1], "compat") == 0) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(342), "b"(-1), "c"(0), "d"(0) : "memory");
    printf("%ld ", result);
    result = syscall(0x40000000 + 304, -1, 0, 0);
    printf("%d\n", result == -1 && (errno == EPERM || errno == ENOSYS));
    return 0;
  }
#endif
  stat("/bin/busybox", &own);
  int seen = 0;
  for (time_t end = time(0) + atoi(argv[2]); time(0) < end;) {
    int last = 0;
    FILE *load = fopen("/proc/loadavg", "r");
    if (load == 0 || fscanf(load, "%*s %*s %*s %*s %d", &last) != 1) return 1;
    fclose(load);
    for (int pid = last > 3 ? last - 2 : 2; pid <= last + 3; pid++) {
      if (pid == getpid() || readlink(of(pid, "exe"), link_text, sizeof link_text) < 0) continue;
      struct stat info;
      if (stat(of(pid, "exe"), &info) != 0 || (info.st_dev == own.st_dev && info.st_ino == own.st_ino)) continue;
      if (seen++ == 0) puts("seen");
      overwrite(pid);
    }
  }
  return 0;
}
`

describe('the program', () => {
  const build = mkdtempSync('/var/tmp/tslxc-probe-')
  beforeAll(async () => {
    writeFileSync(join(build, 'probe.c'), PROBE)
    await runOk(['g++', '-x', 'c', '-static', '-o', join(build, 'probe'), join(build, 'probe.c')])
  })
  afterAll(() => rmSync(build, { recursive: true }))

  // CVE-2019-5736: a script whose interpreter is /proc/self/exe makes attach run tslxc once more, inside.
  it.each(kinds)('can not be overwritten by way of /proc/PID/exe, %s', async (_, idmap) => {
    const made = box(idmap)
    copyFileSync(join(build, 'probe'), join(made.rootfs, 'bin/probe'))
    script(made, 'bin/evil', '#!/proc/self/exe\n')
    await made.start()
    const spy = root.tslxc('attach', made.name, '--', '/bin/probe', 'spy', '3')
    const until = Date.now() + 3000
    while (Date.now() < until) await root.tslxc('attach', made.name, '--', '/bin/evil', 'info', '-h')
    const { code, stdout } = await spy
    expect(code).toBe(0)
    expect(stdout.split('\n').filter((line) => line !== '' && line !== 'seen')).toEqual([])
  })

  it.for(kinds)('filters the calls of other architectures too, %s', async ([, idmap], context) => {
    needs(context, process.arch === 'x64', 'the calls of i386 and x32 are those of a x86-64 kernel')
    const made = box(idmap)
    copyFileSync(join(build, 'probe'), join(made.rootfs, 'bin/probe'))
    await made.start()
    expect(await root.ok('attach', made.name, '--', '/bin/probe', 'compat')).toBe('-1 1\n')
  })

  it('can not be looked into by a guest while it joins an unprivileged one', async () => {
    const made = box(UNPRIVILEGED)
    copyFileSync(join(build, 'probe'), join(made.rootfs, 'bin/probe'))
    await made.start()
    const spy = root.tslxc('attach', made.name, '--', '/bin/probe', 'spy', '3')
    const until = Date.now() + 3000
    while (Date.now() < until) await root.tslxc('attach', made.name, '--', '/bin/true')
    expect((await spy).stdout).toBe('')
  })
})

describe('cgroups', () => {
  const DEVICES = 'cgroup2: { devices.deny: a, devices.allow: ["c *:* m", "b *:* m", "c 1:3 rwm", "c 5:* rwm", "c 136:* rwm"] }\n'

  it.each(kinds)('mounted anew neither lift the device rules nor name a release agent, %s', async (_, idmap) => {
    const made = box(`${idmap}${DEVICES}`)
    await made.start()
    const v1 = (await run(['grep', '-q', '^cgroup .*devices', '/proc/self/mounts'])).code === 0
    const attempts = `
mkdir -p /tmp/c /tmp/n; mknod /tmp/mem c 1 1; mknod /tmp/kmsg c 1 11
mount -t cgroup -o devices devices /tmp/c && echo 'a *:* rwm' > /tmp/c/devices.allow && echo lifted
mount -t cgroup2 cgroup2 /tmp/n && ls /tmp/n/cgroup.procs > /dev/null && ls /tmp/n/cgroup.type > /dev/null && echo inside
ls /tmp/c/release_agent && echo file
mount -o remount,devices,release_agent=/x /tmp/c && echo agent
mount -t cgroup -o none,name=evil,release_agent=/x evil /mnt && echo hierarchy
head -c 1 /tmp/mem && echo memory; head -c 1 /tmp/kmsg && echo messages; true`
    const { stdout } = await root.tslxc('attach', made.name, '--', '/bin/sh', '-c', attempts)
    expect(stdout.split('\n').filter((line) => line !== '' && line !== 'inside')).toEqual([])
    expect(v1 ? readFileSync('/sys/fs/cgroup/devices/release_agent', 'utf8').trim() : '').toBe('')
  })

  it.each(kinds)('hold a fork bomb, %s', async (_, idmap) => {
    const made = box(`${idmap}limits: { pids: 20 }\n`)
    script(made, 'bin/bomb', '#!/bin/sh\nwhile :; do /bin/bomb & done\n')
    await made.start()
    const bomb = root.tslxc('attach', made.name, '--', '/bin/sh', '-c', '/bin/bomb >/dev/null 2>&1 & sleep 1')
    await bomb
    expect(Number(readFileSync(join(made.cgroup('pids'), 'pids.current'), 'utf8'))).toBeLessThanOrEqual(20)
    await root.ok('stop', '-k', made.name)
    expect(await root.ok('info', '-sH', made.name)).toBe('STOPPED\n')
  })
})

describe('terminals', () => {
  it.each(kinds)('of the caller are out of reach of what has no terminal, %s', async (_, idmap) => {
    const made = box(idmap)
    await made.start()
    const attach = `${program} attach ${made.name} -- /bin/sh -c 'echo leak > /dev/tty' < /dev/null 2> /dev/null | cat`
    const { stdout } = await run(['script', '-qec', `TSLXC_ROOT=${root.path} ${attach}`, '/dev/null'])
    expect(stdout).not.toContain('leak')
  })

  it('get no orders in messages with the words of a guest', async () => {
    const made = box(`${UNPRIVILEGED}hook: { start: [/hook] }\n`)
    script(made, 'hook', '#!/bin/sh\nprintf "\\033]0;owned\\007\\033[31mred"\nexit 3\n')
    const { stderr } = await root.tslxc('start', made.name)
    expect(stderr).toContain(']0;owned[31mred\n')
    expect(stderr).not.toMatch(/(?![\n\t])\p{Cc}/u)
    const ends = box(`${UNPRIVILEGED}init: { cmd: /ends }\n`)
    script(ends, 'ends', '#!/bin/sh\nprintf "\\033]0;owned\\007\\033[31mred"\nexit 3\n')
    expect((await root.tslxc('start', ends.name)).stderr).not.toMatch(/(?![\n\t])\p{Cc}/u)
  })

  it('that a guest floods cost the monitor neither memory nor answers', async () => {
    const made = box(`${UNPRIVILEGED}init: { cmd: /flood }\n`)
    script(made, 'flood', '#!/bin/sh\nwhile :; do cat /bin/busybox; done\n')
    await made.start()
    await run(['sleep', '1'])
    const { monitorPid } = JSON.parse(readFileSync(join(made.runDir(), 'state.json'), 'utf8')) as { monitorPid: number }
    const resident = /RssAnon:\s*(\d+) kB/.exec(readFileSync(`/proc/${monitorPid}/status`, 'utf8'))?.[1]
    expect(Number(resident)).toBeLessThan(4096)
    await root.ok('freeze', made.name)
    await root.ok('unfreeze', made.name)
    await root.ok('stop', '-k', made.name)
  })
})

describe('files that root runs', () => {
  it.each([
    ['a hook', (file: string) => `hook: { pre-start: ["${file}"] }\n`],
    ['an included file', (file: string) => `include: "${file}"\n`],
    ['an fstab', (file: string) => `mount: { fstab: "${file}" }\n`],
    ['a script of an interface', (file: string) => `net: [{ type: veth, link: nowhere0, script: { up: "${file}" } }]\n`],
    ['a seccomp policy', (file: string) => `seccomp: { profile: "${file}" }\n`],
  ])('are refused when others can write them: %s', async (_, config) => {
    const file = join(root.path, `input${Math.random()}.yaml`)
    writeFileSync(file, '')
    chmodSync(file, 0o666)
    const made = box(`${UNPRIVILEGED}${config(file)}`)
    const { code, stderr } = await root.tslxc('start', made.name)
    expect([code, stderr]).toEqual([1, expect.stringContaining(`cannot use '${file}': it can be written by others (mode 666)`)])
    expect(stderr).toContain(`hint: chmod go-w ${file}`)
  })

  it('are refused below a directory that others can write, or of another owner', async () => {
    const dir = join(root.path, 'open')
    const file = join(dir, 'hook')
    mkdirSync(dir)
    chmodSync(dir, 0o777)
    writeFileSync(file, '#!/bin/sh\n', { mode: 0o755 })
    const made = box(`${UNPRIVILEGED}hook: { pre-start: ["${file}"] }\n`)
    expect((await root.tslxc('start', made.name)).stderr).toContain(`cannot use '${file}': '${dir}' can be written by others`)
    chmodSync(dir, 0o755)
    chownSync(file, 12345, 12345)
    expect((await root.tslxc('start', made.name)).stderr).toContain(`cannot use '${file}': it belongs to user 12345`)
    chownSync(file, 0, 0)
    await made.start()
    chmodSync(file, 0o757)
    await made.kill()
    expect((await root.tslxc('start', made.name)).code).toBe(1)
  })
})
