// Each key of config.yaml that is accepted has its effect: seen inside, or where the kernel keeps it.
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Box, makeBox, UNPRIVILEGED } from '../helpers/box.ts'
import { expectNoLeaks } from '../helpers/leaks.ts'
import { makeRoot, type TestRoot } from '../helpers/root.ts'

expectNoLeaks()

let root: TestRoot
const boxes: Box[] = []
let count = 0

beforeAll(() => {
  root = makeRoot()
  for (const words of ['link add cfgbr type bridge', 'addr add 10.77.0.1/24 dev cfgbr', 'link set cfgbr up']) ip(words)
})
afterAll(async () => {
  await root.remove()
  ip('link del cfgbr')
  // Directories that `cgroup.dir` names are the admin's: what is below them goes, they stay.
  spawnSync('sh', ['-c', 'for dir in $(find /sys/fs/cgroup -depth -type d -path "*/tslxc.cfg-*"); do rmdir "$dir"; done'])
})
afterEach(async () => {
  for (const box of boxes.splice(0)) await box.kill()
})

function ip(words: string): string {
  const { status, stdout, stderr } = spawnSync('ip', words.split(' '), { encoding: 'utf8' })
  if (status !== 0) throw new Error(`ip ${words}: ${stderr}`)
  return stdout
}

/** A defined container; `$DIR` in the text is the test's directory on the host. */
function box(config: string, rootfsOptions = ''): Box {
  const made = makeBox(root, `cfg${++count}`, config.replaceAll('$DIR', root.path), rootfsOptions)
  boxes.push(made)
  return made
}

async function started(config: string, rootfsOptions = ''): Promise<Box> {
  const made = box(config, rootfsOptions)
  await made.start()
  return made
}

const SLEEP = 'init: { cmd: "/bin/sleep 1000" }\n'
const status = async (made: Box, field: string): Promise<string> =>
  new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(await made.proc('status'))?.[1]?.trim() ?? ''

type Case = readonly [key: string, config: string, check: (made: Box) => Promise<void>]

function table(cases: readonly Case[]): void {
  it.each(cases.map(([key, config, check]) => ({ key, config, check })))('$key', async ({ config, check }) => {
    await check(await started(config))
  })
}

describe('identity and init', () => {
  table([
    ['uts.name', 'uts: { name: other }\n', async (made) => expect(await made.sh('hostname')).toBe('other')],
    ['arch', 'arch: i686\n', async (made) => expect((await made.proc('personality')).trim()).toBe('00000008')],
    ['init.cmd', 'init: { cmd: "/bin/sleep 12345" }\n', async (made) => expect(await made.proc('cmdline')).toBe('/bin/sleep\x0012345\0')],
    [
      'init.cwd',
      'init: { cmd: "/bin/sleep 100", cwd: /var }\n',
      async (made) => expect(await made.sh('readlink /proc/1/cwd')).toBe('/var'),
    ],
    [
      'init.uid, init.gid, init.groups',
      `${UNPRIVILEGED}init: { cmd: "/bin/sleep 100", uid: 5, gid: 6, groups: [7, 8] }\n`,
      async (made) => {
        expect(await status(made, 'Uid')).toBe('1000005\t1000005\t1000005\t1000005')
        expect(await status(made, 'Gid')).toBe('1000006\t1000006\t1000006\t1000006')
        expect(await status(made, 'Groups')).toBe('1000007 1000008')
      },
    ],
    [
      'environment, environment.runtime',
      `${SLEEP}environment: { value: [A=1, "B=two words"], runtime: [C=3] }\n`,
      async (made) => {
        const environment = (await made.proc('environ')).split('\0')
        expect(environment).toEqual(expect.arrayContaining(['A=1', 'B=two words', 'C=3', 'container=lxc']))
      },
    ],
    ['no_new_privs', 'no_new_privs: 1\n', async (made) => expect(await status(made, 'NoNewPrivs')).toBe('1')],
    [
      'prlimit',
      'prlimit: { nofile: 100:200, core: 0 }\n',
      async (made) => {
        const limits = await made.proc('limits')
        expect(limits).toMatch(/^Max open files\s+100\s+200\s/m)
        expect(limits).toMatch(/^Max core file size\s+0\s+0\s/m)
      },
    ],
    [
      'idmap',
      'idmap: ["u 0 1000000 1000", "g 0 2000000 1000"]\n',
      async (made) => {
        expect((await made.proc('uid_map')).trim()).toMatch(/^0\s+1000000\s+1000$/)
        expect((await made.proc('gid_map')).trim()).toMatch(/^0\s+2000000\s+1000$/)
      },
    ],
  ])

  it('environment: a name alone is handed on', async () => {
    const made = box(`${SLEEP}environment: [HANDED]\n`)
    expect((await root.tslxcWith({ env: { HANDED: 'on' } }, 'start', made.name)).code).toBe(0)
    expect((await made.proc('environ')).split('\0')).toContain('HANDED=on')
  })

  const trap = (name: string): string =>
    `init: { cmd: "/bin/sh -c 'trap \\"echo ${name} > /got; exit 0\\" ${name}; while :; do sleep 0.05; done'" }\n`

  it.each([
    ['signal.halt', 'halt: SIGUSR2', 'USR2', ['stop', '-t', '20']],
    ['signal.reboot', 'reboot: SIGUSR1', 'USR1', ['stop', '-r', '-t', '20']],
    ['signal.stop', 'halt: SIGCONT, stop: SIGTERM', 'TERM', ['stop', '-t', '1']],
  ] as const)('%s', async (_, keys, name, words) => {
    const made = await started(`signal: { ${keys} }\n${trap(name)}`)
    await new Promise((resolve) => setTimeout(resolve, 300))
    await root.tslxc(...words, '-n', made.name)
    expect(readFileSync(join(made.rootfs, 'got'), 'utf8')).toBe(`${name}\n`)
  })

  it('ephemeral', async () => {
    const made = await started('ephemeral: 1\n')
    await made.kill()
    for (let round = 0; existsSync(made.dir) && round < 100; round++) await new Promise((resolve) => setTimeout(resolve, 100))
    expect(existsSync(made.dir)).toBe(false)
  })
})

describe('network', () => {
  const net = (keys: string): string => `net: [{ type: veth, ${keys} }]\n`
  table([
    [
      'type: empty',
      'net: [{ type: empty }]\n',
      async (made) => expect(await made.sh('ls /sys/class/net; ip -o link | grep -c .')).toMatch(/1$/),
    ],
    ['type: none', 'net: [{ type: none }]\n', async (made) => expect(await made.sh('ip link show cfgbr')).toContain('cfgbr')],
    ['flags: down', net('flags: down'), async (made) => expect(await made.sh('ip link show eth0')).not.toMatch(/[<,]UP[,>]/)],
    ['link', net('link: cfgbr, veth: { pair: cfgport }'), async () => expect(ip('link show cfgport')).toContain('master cfgbr')],
    ['name', net('name: lan7'), async (made) => expect(await made.sh('ip link show lan7')).toContain('lan7')],
    [
      'hwaddr',
      net('hwaddr: "02:11:22:33:44:55"'),
      async (made) => expect(await made.sh('ip link show eth0')).toContain('02:11:22:33:44:55'),
    ],
    ['mtu', net('mtu: 1234'), async (made) => expect(await made.sh('ip link show eth0')).toContain('mtu 1234')],
    [
      'ipv4.address',
      net('link: cfgbr, ipv4: { address: ["10.77.0.5/24", "10.77.0.6/24 10.77.0.200"] }'),
      async (made) => {
        const shown = await made.sh('ip -4 addr show eth0')
        expect(shown).toContain('10.77.0.5/24')
        expect(shown).toContain('10.77.0.6/24 brd 10.77.0.200')
      },
    ],
    [
      'ipv4.gateway',
      net('link: cfgbr, ipv4: { address: 10.77.0.5/24, gateway: 10.77.0.9 }'),
      async (made) => expect(await made.sh('ip route')).toContain('default via 10.77.0.9'),
    ],
    [
      'ipv4.gateway: auto',
      net('link: cfgbr, ipv4: { address: 10.77.0.5/24, gateway: auto }'),
      async (made) => expect(await made.sh('ip route')).toContain('default via 10.77.0.1'),
    ],
    [
      'ipv4.gateway: dev',
      net('link: cfgbr, ipv4: { address: 10.77.0.5/32, gateway: dev }'),
      async (made) => expect(await made.sh('ip route')).toMatch(/^default dev eth0/m),
    ],
    [
      'ipv6',
      net('link: cfgbr, ipv6: { address: "fd77::5/64", gateway: "fd77::1" }'),
      async (made) => {
        expect(await made.sh('ip -6 addr show eth0')).toContain('fd77::5/64')
        expect(await made.sh('ip -6 route')).toContain('default via fd77::1')
      },
    ],
  ])

  it('script.up, script.down', async () => {
    const script = join(root.path, 'net-script')
    writeFileSync(script, `#!/bin/sh\necho "$@" >> ${root.path}/net-log\n`, { mode: 0o755 })
    const made = await started(net(`link: cfgbr, script: { up: ${script} one, down: ${script} two }`))
    await made.kill()
    const [up = '', down = ''] = readFileSync(join(root.path, 'net-log'), 'utf8').split('\n')
    expect(up).toMatch(new RegExp(`^one ${made.name} net up veth`))
    expect(down).toMatch(new RegExp(`^two ${made.name} net down veth`))
  })
})

describe('file systems', () => {
  beforeAll(() => {
    mkdirSync(join(root.path, 'srv'))
    writeFileSync(join(root.path, 'srv/file'), 'shared\n')
    writeFileSync(join(root.path, 'fstab'), '# a comment\ntmpfs mnt tmpfs size=1m 0 0\n', { mode: 0o600 })
  })

  table([
    [
      'mount.entry: tmpfs',
      'mount: { entry: "tmpfs new/tmp tmpfs nosuid,size=2m,create=dir" }\n',
      async (made) => expect(await made.sh('grep " /new/tmp " /proc/mounts')).toMatch(/nosuid.*size=2048k/),
    ],
    [
      'mount.entry: bind, ro',
      'mount: { entry: "$DIR/srv mnt none bind,ro" }\n',
      async (made) => {
        expect(await made.sh('cat /mnt/file')).toBe('shared')
        expect(await made.sh('touch /mnt/x 2>&1 || true')).toContain('Read-only')
      },
    ],
    [
      'mount.entry: create=file',
      'mount: { entry: "$DIR/srv/file etc/one/file none bind,create=file" }\n',
      async (made) => expect(await made.sh('cat /etc/one/file')).toBe('shared'),
    ],
    [
      'mount.entry: optional',
      'mount: { entry: "/nowhere mnt none bind,optional" }\n',
      async (made) => expect(await made.sh('ls /mnt')).toBe(''),
    ],
    [
      'mount.entry: relative',
      'mount: { entry: "etc mnt none bind,relative" }\n',
      async (made) => expect(await made.sh('cat /mnt/passwd')).toContain('root'),
    ],
    [
      'mount.entry: idmap',
      `${UNPRIVILEGED}mount: { entry: "$DIR/srv mnt none bind,idmap=container" }\n`,
      async (made) => expect(await made.sh('stat -c %u /mnt/file')).toBe('0'),
    ],
    [
      'mount.fstab',
      'mount: { fstab: $DIR/fstab }\n',
      async (made) => expect(await made.sh('grep " /mnt " /proc/mounts')).toContain('size=1024k'),
    ],
    [
      'mount.auto: default',
      '',
      async (made) => {
        expect(await made.sh('touch /proc/sys/kernel/domainname 2>&1 || true')).toContain('Read-only')
        expect(await made.sh('test -w /proc/sys/net/core/somaxconn && echo yes')).toBe('yes')
        expect(await made.sh('touch /sys/kernel/x 2>&1 || true')).toContain('Read-only')
      },
    ],
    [
      'mount.auto: proc:rw',
      'mount: { auto: [proc:rw, sys:mixed] }\n',
      async (made) => {
        expect(await made.sh('echo there > /proc/sys/kernel/domainname; cat /proc/sys/kernel/domainname')).toBe('there')
      },
    ],
    [
      'mount.auto: sys:rw',
      'mount: { auto: [proc, sys:rw] }\n',
      async (made) => expect(await made.sh('grep " /sys " /proc/mounts')).toMatch(/ rw,/),
    ],
    [
      'mount.auto: sys:ro',
      'mount: { auto: [proc, sys:ro] }\n',
      async (made) => expect(await made.sh('grep " /sys " /proc/mounts')).toMatch(/ ro,/),
    ],
    [
      'mount.auto: nothing',
      `${SLEEP}mount: { auto: [] }\n`,
      async (made) => expect(await made.proc('mountinfo')).not.toMatch(/ \/(proc|sys) /),
    ],
    [
      'autodev.tmpfs.size',
      'autodev: { tmpfs: { size: 1M } }\n',
      async (made) => expect(await made.sh('grep " /dev " /proc/mounts')).toContain('size=1024k'),
    ],
    [
      'shares',
      `${UNPRIVILEGED}shares: ["$DIR/srv:/srv/www:ro"]\n`,
      async (made) => {
        expect(await made.sh('cat /srv/www/file; stat -c %u /srv/www/file')).toBe('shared\n0')
        expect(await made.sh('touch /srv/www/x 2>&1 || true')).toContain('Read-only')
        expect(await made.sh('grep /srv/www /proc/mounts')).toMatch(/nosuid,nodev/)
      },
    ],
  ])

  it('shares: owners are the same on both sides, the host’s root left out', async () => {
    const dir = join(root.path, 'open')
    mkdirSync(dir)
    chmodSync(dir, 0o777)
    const made = await started(`${UNPRIVILEGED}shares: ["${dir}:/open"]\n`)
    await made.sh('touch /open/mine 2>/dev/null || true')
    expect(existsSync(join(dir, 'mine'))).toBe(false)
    expect(await made.sh('stat -c %u /open')).toBe('65534')
  })

  it('shares: a missing source is an error with its place', async () => {
    const made = box('shares: ["/nowhere:/x"]\n')
    const { code, stderr } = await root.tslxc('start', made.name)
    expect(code).toBe(1)
    expect(stderr).toContain(`config.yaml:2:10: cannot share '/nowhere': there is no such directory`)
  })

  it('shares: root is refused where others could run what the guest makes', async () => {
    const dir = '/var/tmp/tslxc-share-test'
    mkdirSync(dir, { mode: 0o755, recursive: true })
    try {
      const made = box(`${UNPRIVILEGED}shares: ["${dir}:/x:root"]\n`)
      const { code, stderr } = await root.tslxc('start', made.name)
      expect([code, stderr]).toEqual([1, expect.stringContaining('users of the host could run setuid files')])
      chmodSync(dir, 0o700)
      expect((await root.tslxc('start', made.name)).code).toBe(0)
      await made.sh('touch /x/mine')
      expect(existsSync(join(dir, 'mine'))).toBe(true)
    } finally {
      spawnSync('rm', ['-r', dir])
    }
  })

  it('autodev: 0', async () => {
    const made = box('autodev: 0\n')
    for (const [name, major, minor] of [
      ['null', '1', '3'],
      ['console', '5', '1'],
      ['tty', '5', '0'],
    ] as const)
      spawnSync('mknod', ['-m', '666', join(made.rootfs, 'dev', name), 'c', major, minor])
    await made.start()
    expect(await made.sh('grep -c " /dev " /proc/mounts || true')).toBe('0')
    expect(await made.sh('ls /dev')).toContain('null')
  })

  it('rootfs.options', async () => {
    const made = await started(SLEEP, 'options: "ro,nodev"')
    expect(await made.sh('touch /x 2>&1 || true')).toContain('Read-only')
    expect(await made.sh('grep " / " /proc/mounts')).toMatch(/ ro,nodev/)
  })

  it('rootfs.path is refused where others could run what the guest makes', async () => {
    const made = box(UNPRIVILEGED)
    const open = '/var/tmp/tslxc-rootfs-test'
    mkdirSync(open, { mode: 0o755, recursive: true })
    try {
      writeFileSync(join(made.dir, 'config.yaml'), `rootfs: { path: ${open} }\n${UNPRIVILEGED}`, { mode: 0o600 })
      const { code, stderr } = await root.tslxc('start', made.name)
      expect([code, stderr]).toEqual([1, expect.stringContaining(`config.yaml:1:17: cannot use '${open}' as root file system`)])
    } finally {
      spawnSync('rm', ['-r', open])
    }
  })

  it('rootfs.managed', async () => {
    const outside = makeBox(root, 'outside', '')
    const made = box('')
    writeFileSync(join(made.dir, 'config.yaml'), `rootfs: { path: "dir:${outside.rootfs}", managed: 0 }\n`, { mode: 0o600 })
    expect((await root.tslxc('destroy', made.name)).code).toBe(0)
    expect(existsSync(join(outside.rootfs, 'bin/busybox'))).toBe(true)
  })
})

describe('limits', () => {
  const unified = existsSync('/sys/fs/cgroup/cgroup.controllers')
  const read = (made: Box, controller: string, v1: string, v2: string): string =>
    readFileSync(join(made.cgroup(controller), unified ? v2 : v1), 'utf8').trim()
  table([
    [
      'limits.memory',
      'limits: { memory: 64M }\n',
      async (made) => expect(read(made, 'memory', 'memory.limit_in_bytes', 'memory.max')).toBe('67108864'),
    ],
    ['limits.cpus', 'limits: { cpus: 0.5 }\n', async (made) => expect(read(made, 'cpu', 'cpu.cfs_quota_us', 'cpu.max')).toMatch(/^50000/)],
    ['limits.pids', 'limits: { pids: 77 }\n', async (made) => expect(read(made, 'pids', 'pids.max', 'pids.max')).toBe('77')],
    [
      'cgroup2',
      'cgroup2: { memory.max: 32M, pids.max: 44, cpu.weight: 50 }\n',
      async (made) => {
        expect(read(made, 'memory', 'memory.limit_in_bytes', 'memory.max')).toBe('33554432')
        expect(read(made, 'pids', 'pids.max', 'pids.max')).toBe('44')
        expect(read(made, 'cpu', 'cpu.shares', 'cpu.weight')).toBe(unified ? '50' : '1286')
      },
    ],
    [
      'cgroup',
      'cgroup: { pids.max: 45, memory.limit_in_bytes: 48M }\n',
      async (made) => {
        expect(read(made, 'pids', 'pids.max', 'pids.max')).toBe('45')
        expect(read(made, 'memory', 'memory.limit_in_bytes', 'memory.max')).toBe('50331648')
      },
    ],
    [
      'cgroup.dir',
      'cgroup: { dir: tslxc.cfg-dir }\n',
      async (made) => expect(made.cgroup('pids')).toMatch(/\/tslxc\.cfg-dir\/tslxc\.payload\.cfg\d+$/),
    ],
    [
      'cgroup.dir.container',
      'cgroup: { dir: { container: { value: tslxc.cfg-one/in, inner: deep }, monitor: tslxc.cfg-one/mon } }\n',
      async (made) => {
        expect(made.cgroup('pids')).toMatch(/\/tslxc\.cfg-one\/in$/)
        expect(existsSync(join(made.cgroup('pids'), 'deep'))).toBe(true)
      },
    ],
  ])

  it('devices', async () => {
    const tries =
      'head -c 3 /dev/zero > /zeros; head -c 1 /dev/urandom 2> /refused; mknod /node c 1 8 2>> /refused; echo > /done; exec sleep 100'
    const rules = 'cgroup2: { devices.deny: a, devices.allow: ["c 1:3 rwm", "c 1:5 rm", "c *:* m", "c 5:* rwm", "c 136:* rwm"] }\n'
    const made = await started(`${rules}init: { cmd: "/bin/sh -c '${tries}'" }\n`)
    await expect.poll(() => existsSync(join(made.rootfs, 'done')), { timeout: 10_000 }).toBe(true)
    expect(readFileSync(join(made.rootfs, 'zeros')).length).toBe(3)
    expect(readFileSync(join(made.rootfs, 'refused'), 'utf8')).toMatch(/^head: \/dev\/urandom: Operation not permitted\n$/)
  })
})

describe('security', () => {
  const bit = (mask: string, number: number): boolean => ((BigInt(`0x${mask}`) >> BigInt(number)) & 1n) === 1n
  table([
    [
      'cap.drop',
      'cap: { drop: [chown, sys_time] }\n',
      async (made) => {
        const bounding = await status(made, 'CapBnd')
        expect([bit(bounding, 0), bit(bounding, 25), bit(bounding, 21)]).toEqual([false, false, true])
      },
    ],
    ['cap.keep', `${SLEEP}cap: { keep: [chown, kill] }\n`, async (made) => expect(await status(made, 'CapBnd')).toBe('0000000000000021')],
    ['cap.keep: none', `${SLEEP}cap: { keep: none }\n`, async (made) => expect(await status(made, 'CapBnd')).toBe('0000000000000000')],
    ['seccomp: default', '', async (made) => expect(await status(made, 'Seccomp')).toBe('2')],
    ['seccomp.profile: none', 'seccomp: { profile: none }\n', async (made) => expect(await status(made, 'Seccomp')).toBe('0')],
    [
      'masks',
      '',
      async (made) => {
        expect(await made.sh('cat /proc/timer_list')).toBe('')
        expect(await made.sh('ls /sys/firmware')).toBe('')
      },
    ],
  ])

  it('seccomp.profile: a file', async () => {
    const file = join(root.path, 'policy')
    writeFileSync(file, '2\ndenylist\n[all]\nmkdir errno 93\nmkdirat errno 93\n', { mode: 0o600 })
    const made = await started(
      `seccomp: { profile: ${file} }\ninit: { cmd: "/bin/sh -c 'mkdir /x 2> /refused; echo > /done; exec sleep 100'" }\n`,
    )
    await expect.poll(() => existsSync(join(made.rootfs, 'done')), { timeout: 10_000 }).toBe(true)
    expect(readFileSync(join(made.rootfs, 'refused'), 'utf8')).toContain('Protocol not supported')
  })
})

describe('hooks', () => {
  const NAMES = ['pre-start', 'pre-mount', 'mount', 'autodev', 'start-host', 'stop', 'post-stop'] as const

  it.each([0, 1])('all points in order, version %i', async (version) => {
    const log = join(root.path, `hook-log-${version}`)
    const script = join(root.path, `hook-${version}`)
    writeFileSync(
      script,
      `#!/bin/sh\necho "$LXC_HOOK_TYPE $LXC_NAME $MINE $* target=$LXC_TARGET pid=\${LXC_PID:+yes} root=$LXC_ROOTFS_MOUNT" >> ${log}\n`,
      { mode: 0o755 },
    )
    const hooks = NAMES.map((name) => `  ${name}: ${script} word\n`).join('')
    const made = box(
      `environment: { hooks: [MINE=here] }\nhook:\n  version: ${version}\n${hooks}  start: /bin/touch /started\n`,
      'mount: /mnt',
    )
    await made.start()
    expect(await made.sh('test -e /started && echo yes')).toBe('yes')
    await made.kill()
    const lines = readFileSync(log, 'utf8').trim().split('\n')
    const types = lines.map((line) => (version === 0 ? / lxc (\S+)/ : /^(\S+)/).exec(line)?.[1])
    expect(types).toEqual([...NAMES])
    for (const line of lines) expect(line).toContain(`${made.name} here word`)
    expect(lines.at(-1)).toContain('target=stop')
    expect(lines[4]).toContain('pid=yes')
    expect(lines[2]).toContain('root=/mnt')
  })

  it('a failing hook stops the start', async () => {
    const made = box('hook: { pre-start: /bin/false }\n')
    const { code, stderr } = await root.tslxc('start', made.name)
    expect([code, stderr]).toEqual([1, expect.stringMatching(/pre-start.*\/bin\/false/s)])
  })
})

describe('console and terminals', () => {
  table([
    ['tty.max', 'tty: { max: 2 }\n', async (made) => expect(await made.sh('ls /dev | grep tty')).toBe('tty\ntty1\ntty2')],
    ['tty.dir', 'tty: { max: 1, dir: lxc }\n', async (made) => expect(await made.sh('ls /dev/lxc')).toBe('console\ntty1')],
    ['pty.max', 'pty: { max: 33 }\n', async (made) => expect(await made.sh('grep " /dev/pts " /proc/mounts')).toContain('max=33')],
    [
      'console.path: none',
      `${SLEEP}console: { path: none }\n`,
      async (made) => expect(await made.sh('grep -c " /dev/console " /proc/mounts || true')).toBe('0'),
    ],
  ])

  it('console.logfile, console.size, console.rotate', async () => {
    const log = join(root.path, 'console.log')
    const made = box(
      `init: { cmd: "/bin/sh -c 'for i in $(seq 2000); do echo line $i; done; sleep 100'" }\nconsole: { logfile: ${log}, size: 4096, rotate: 1 }\n`,
    )
    await made.start()
    for (let round = 0; round < 100 && !(existsSync(log) && readFileSync(log, 'utf8').includes('line 2000')); round++)
      await new Promise((resolve) => setTimeout(resolve, 50))
    expect(readFileSync(log, 'utf8')).toContain('line 2000')
    expect(readFileSync(log).length).toBeLessThanOrEqual(4096)
    expect(existsSync(`${log}.1`)).toBe(true)
  })

  it('console.path', async () => {
    const file = join(root.path, 'console-file')
    writeFileSync(file, '')
    await started(`init: { cmd: "/bin/sh -c 'echo to the file; exec sleep 100'" }\nconsole: { path: ${file} }\n`)
    for (let round = 0; round < 50 && readFileSync(file, 'utf8') === ''; round++) await new Promise((resolve) => setTimeout(resolve, 50))
    expect(readFileSync(file, 'utf8')).toContain('to the file')
  })

  it('console.buffer.size', async () => {
    const words = (keys: string): Promise<Box> =>
      started(`${keys}init: { cmd: "/bin/sh -c 'echo first; for i in $(seq 2000); do echo $i; done; echo last; sleep 100'" }\n`)
    const [large, small, none] = [
      await words(''),
      await words('console: { buffer: { size: 4096 } }\n'),
      await words('console: { buffer: { size: 0 } }\n'),
    ]
    await expect.poll(() => consoleLog(large), { timeout: 10_000 }).toMatch(/first.*last/s)
    await expect.poll(() => consoleLog(small), { timeout: 10_000 }).toContain('last')
    expect(consoleLog(small)).not.toContain('first')
    expect(consoleLog(none)).toBe('')
  })

  /** What the monitor keeps, by its protocol. */
  function consoleLog(made: Box): string {
    const ask = `
import array, json, os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
os.chdir(sys.argv[1])
s.connect('monitor.sock')
s.send(json.dumps({'v': 1, 'op': 'console-log'}).encode())
data, fds, _, _ = socket.recv_fds(s, 4096, 1)
if fds:
    os.lseek(fds[0], 0, 0)
    sys.stdout.buffer.write(os.read(fds[0], 1 << 20))
else:
    sys.stderr.buffer.write(data)
`
    return spawnSync('python3', ['-c', ask, made.runDir()], { encoding: 'utf8' }).stdout
  }
})

describe('log and start', () => {
  it('log.file, log.level', async () => {
    const log = join(root.path, 'box.log')
    await started(`log: { file: ${log}, level: DEBUG }\n`)
    expect(readFileSync(log, 'utf8')).toMatch(/ INFO cfg\d+ state RUNNING/)
    const quiet = await started('')
    expect(readFileSync(join(quiet.dir, `${quiet.name}.log`), 'utf8')).toBe('')
  })

  it('start.auto, group', async () => {
    const made = box('start: { auto: 1, order: 3, delay: 2 }\ngroup: [onboot, web]\n')
    expect(await root.ok('ls', '-f', '-F', 'NAME,AUTOSTART,GROUPS')).toMatch(new RegExp(`^${made.name}\\s+1\\s+onboot, web`, 'm'))
  })

  it('include', async () => {
    writeFileSync(join(root.path, 'more.yaml'), 'uts: { name: included }\n', { mode: 0o600 })
    expect(await (await started('include: $DIR/more.yaml\n')).sh('hostname')).toBe('included')
  })

  it('dns', async () => {
    const made = box('dns: [192.0.2.53]\n')
    writeFileSync(join(made.dir, 'record.json'), '{"version":1,"uuid":"u","guest":{"network":"none","init":"busybox"}}', { mode: 0o600 })
    await made.start()
    expect(await made.sh('cat /etc/resolv.conf')).toBe('nameserver 192.0.2.53')
  })
})

it('an edited configuration holds at the next start', async () => {
  const made = await started('uts: { name: before }\n')
  expect((await root.tslxc('config', 'set', made.name, 'uts.name', 'after')).stdout).toContain('applies at its next start')
  expect(await made.sh('hostname')).toBe('before')
  await made.kill()
  await made.start()
  expect(await made.sh('hostname')).toBe('after')
})
