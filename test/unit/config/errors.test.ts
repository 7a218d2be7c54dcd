// Everything that can be wrong in config.yaml: what is said, and where.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { ConfigError } from '../../../src/lib/errors.ts'

const dir = mkdtempSync(join(tmpdir(), 'tslxc-config-'))
afterAll(() => rmSync(dir, { recursive: true }))

function errorOf(text: string): ConfigError {
  const file = join(dir, 'config.yaml')
  writeFileSync(file, text)
  try {
    loadConfig(file, { confDirs: [] })
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
  throw new Error(`no error for: ${text}`)
}

type Case = readonly [text: string, line: number, column: number, reason: string, hint?: string]

const CASES: Readonly<Record<string, readonly Case[]>> = {
  'unknown keys': [
    ['limits: { memroy: 2G }', 1, 11, "unknown key 'limits.memroy'", "did you mean 'limits.memory'?"],
    ['uts:\n  name: web\n  nmae: x\n', 3, 3, "unknown key 'uts.nmae'", "did you mean 'uts.name'?"],
    ['memory: 2G', 1, 1, "unknown key 'memory'", "did you mean 'limits.memory'?"],
    ['lxc.uts.name: web', 1, 1, "unknown key 'lxc.uts.name'", "did you mean 'uts.name'?"],
    ['net:\n  - type: veth\n    lnk: br0\n', 3, 5, "unknown key 'net.0.lnk'", "did you mean 'net.0.link'?"],
    ['lxc.net.1.link: br0', 1, 1, "unknown key 'lxc.net.1.link'", "did you mean 'net.1.link'?"],
    ['privileged: true', 1, 1, "unknown key 'privileged'", 'a container without idmap is privileged'],
    ['zzzzzz: 1', 1, 1, "unknown key 'zzzzzz'"],
    ['prlimit: { nofle: 3 }', 1, 12, "prlimit.nofle: 'nofle' is no resource limit"],
    ['cgroup2: { memory: 3 }', 1, 12, "cgroup2.memory: 'memory' is no file of a cgroup", 'for example memory.max, written as one key'],
    ['cgroup2:\n  ../../x.y: 1\n', 2, 3, "cgroup2.../../x.y: '../../x.y' is no file of a cgroup"],
    ['{ b: 1, a: 2 }', 1, 3, "unknown key 'b'"],
  ],
  'keys of LXC, and of the design, without effect yet': [
    ['sysctl: { net.ipv4.ip_forward: 1 }', 1, 1, "'sysctl' is not supported yet"],
    ['apparmor: { profile: unconfined }', 1, 1, "'apparmor' is not supported yet"],
    ['proc: { oom_score_adj: 1 }', 1, 1, "'proc' is not supported yet"],
    ['seccomp: { allow_nesting: 1 }', 1, 12, "'seccomp.allow_nesting' is not supported yet"],
    ['limits: { swap: 2G }', 1, 11, "'limits.swap' is not supported yet"],
    ['publish: ["8080:80"]', 1, 1, "'publish' is not supported yet"],
    ['net: [{ type: veth, veth: { vlan: { id: 3 } } }]', 1, 29, "'net.0.veth.vlan' is not supported yet"],
    ['net: [{ type: macvlan }]', 1, 15, "net.0.type: network type 'macvlan' is not supported yet", 'use veth, empty or none'],
    ['net: [{ type: veth, veth: { mode: router } }]', 1, 35, "net.0.veth.mode: veth mode 'router' is not supported yet", 'use bridge'],
    [
      'rootfs: { path: "rbd:pool/web" }',
      1,
      17,
      "rootfs.path: storage 'rbd' is not supported yet",
      'use /path, or dir:, btrfs:, zfs:, lvm:, loop:, overlay: before it',
    ],
    ['mount: { auto: "proc cgroup:rw:force" }', 1, 16, "mount.auto: 'cgroup:rw:force' is not supported yet"],
    ['limits: { memory: 50% }', 1, 19, 'limits.memory: a share of the memory is not supported yet', 'write a size such as 512M'],
  ],
  'types and units': [
    ['uts: web', 1, 6, 'uts: a map of keys is expected'],
    ['net: veth', 1, 6, 'net: a list is expected'],
    ['uts: { name: [a] }', 1, 14, 'uts.name: a list can not stand here'],
    ['uts: { name: 12 }', 1, 14, 'uts.name: text is expected, not 12', 'write "12" in quotes'],
    ['uts: { name: a_b/c }', 1, 14, "uts.name: 'a_b/c' can not be a host's name: letters, digits, '-' and '.', 64 at most"],
    ['ephemeral: maybe', 1, 12, "ephemeral: 0, 1, true or false is expected, not 'maybe'"],
    ['ephemeral: yes', 1, 12, "ephemeral: 0, 1, true or false is expected, not 'yes'"],
    ['limits: { memory: 2X }', 1, 19, "limits.memory: '2X' is no size", 'for example 512M or 2G'],
    ['limits: { memory: 100 }', 1, 19, 'limits.memory: 100 bytes are too little for a container'],
    ['limits: { cpus: many }', 1, 17, "limits.cpus: 'many' is no number of processors", 'for example 2 or 1.5'],
    ['limits: { pids: 1.5 }', 1, 17, "limits.pids: a whole number is expected, not '1.5'"],
    ['limits: { pids: 0 }', 1, 17, 'limits.pids: 0 is not between 1 and 2147483647'],
    ['autodev: { tmpfs: { size: x } }', 1, 27, "autodev.tmpfs.size: 'x' is no size"],
    ['signal: { halt: SIGFOO }', 1, 17, "signal.halt: 'SIGFOO' is no signal", 'for example SIGPWR, SIGRTMIN+3 or 9'],
    ['signal: { halt: SIGRTMIN-1 }', 1, 17, "signal.halt: 'SIGRTMIN-1' is no signal"],
    ['signal: { halt: 99 }', 1, 17, 'signal.halt: there is no signal 99: 1 to 64 are there'],
    ['arch: z80', 1, 7, "arch: 'z80' is no architecture"],
    ['cap:\n  drop:\n    - mknod\n    - foo\n', 4, 7, "cap.drop: 'foo' is no capability", 'for example sys_time or mknod'],
    ['environment: ["A=1", "2=3"]', 1, 22, "environment.value: '2=3' is no variable"],
    ['environment: { runtime: 1x }', 1, 25, "environment.runtime: '1x' is no variable"],
    ['init: { cmd: "/bin/a | b" }', 1, 14, "init.cmd: '|' has no meaning here: no shell runs this command", "/bin/sh -c '/bin/a | b'"],
    ['log: { level: loud }', 1, 15, "log.level: 'loud' is no log level"],
    ['prlimit: { nofile: "20:10" }', 1, 20, "prlimit.nofile: '20:10': the soft limit is above the hard one"],
    ['console: { path: tty }', 1, 18, "console.path: an absolute path is expected, not 'tty'"],
    ['tty: { dir: ../x }', 1, 13, "tty.dir: '../x' is no directory below /dev"],
    ['seccomp: { profile: foo }', 1, 21, "seccomp.profile: 'foo' is not default, none or the absolute path of a file"],
    ['cgroup2: { devices.allow: "c 1" }', 1, 27, "cgroup2.devices.allow: 'c 1' is no device rule"],
  ],
  addresses: [
    ['net: [{ type: veth, ipv4: { address: 10.0.4.300/24 } }]', 1, 38, "net.0.ipv4.address: '10.0.4.300' is not an IPv4 address"],
    [
      'net:\n  - type: veth\n    ipv4:\n      address: [10.0.4.3/24, 10.0.4.4]\n',
      4,
      30,
      'net.0.ipv4.address: the address 10.0.4.4 has no prefix',
      'write 10.0.4.4/24',
    ],
    [
      'net: [{ type: veth, ipv4: { address: 10.0.4.3/33 } }]',
      1,
      38,
      "net.0.ipv4.address: '10.0.4.3/33' has a bad prefix: a number from 0 to 32 is expected",
    ],
    ['net: [{ type: veth, ipv6: { address: 10.0.4.3/24 } }]', 1, 38, "net.0.ipv6.address: '10.0.4.3' is not an IPv6 address"],
    ['net: [{ type: veth, ipv4: { gateway: here } }]', 1, 38, "net.0.ipv4.gateway: 'here' is not an IPv4 address"],
    ['net: { type: veth, hwaddr: "01:00:00:00:00:00" }', 1, 28, "net.0.hwaddr: '01:00:00:00:00:00' is a multicast address"],
    [
      'net: { type: veth, link: a-very-long-bridge-name }',
      1,
      26,
      "net.0.link: 'a-very-long-bridge-name' can not be an interface's name: at most 15 characters, no '/', ':' or blank",
    ],
    ['dns: [1.1.1]', 1, 7, "dns: '1.1.1' is not an IPv4 address"],
  ],
  mounts: [
    ['mount: { entry: "/srv" }', 1, 17, "mount.entry: '/srv' is no fstab line"],
    ['mount: { entry: "/srv ../../etc none bind" }', 1, 17, "mount.entry: the target '../../etc' must not go up by '..'"],
    ['mount: { entry: "srv srv none bind" }', 1, 17, "mount.entry: the source 'srv' is no absolute path"],
    ['mount: { auto: dev }', 1, 16, "mount.auto: 'dev' is no automatic mount"],
    ['shares: ["/a"]', 1, 10, "shares: '/a' is no share", 'write HOST:GUEST or HOST:GUEST:ro'],
    ['shares: ["/a:/b:rx"]', 1, 10, "shares: 'rx' is no option of a share"],
    ['shares: ["a:/b"]', 1, 10, "shares: an absolute path is expected, not 'a'"],
    ['shares: ["/a:/b/../../c"]', 1, 10, "shares: '/b/../../c' can not be the place of a share"],
  ],
  'keys together': [
    ['net: [{ type: empty, link: br0 }]', 1, 28, "'link' has no meaning for network type 'empty'"],
    ['net:\n  - link: br0\n', 2, 5, 'net.0 has no type', 'type: veth'],
    ['net: [{ type: none }, { type: veth }]', 1, 15, "the network type 'none' stands alone: the host's network has its own interfaces"],
    ['cap: { drop: mknod, keep: chown }', 1, 27, 'cap.keep and cap.drop exclude each other'],
    ['idmap: "u 0 1000 1"', 1, 8, 'idmap: group 0 inside has no id outside', 'for example "b 0 1000000 65536"'],
    ['idmap: ["b 0 1000 10", "u 5 9000 10"]', 1, 24, 'idmap: this range overlaps another'],
    ['idmap: "b 0 1000"', 1, 8, "idmap: 'b 0 1000' is no id map"],
    ['idmap: "b 0 4294967290 65536"', 1, 8, 'idmap: the id map goes beyond the last id, 4294967294'],
    ['cgroup: { dir: { value: a, monitor: b } }', 1, 16, 'cgroup.dir excludes cgroup.dir.container and cgroup.dir.monitor'],
  ],
  YAML: [
    ['a: [1', 1, 6, 'flow sequence in block collection must be sufficiently indented and end with a ]'],
    ['uts: { name: a, name: b }', 1, 17, 'map keys must be unique'],
    ['- a\n- b\n', 1, 1, 'a map of keys is expected'],
    ['uts:\n\tname: a\n', 2, 1, 'tabs are not allowed as indentation'],
    ['uts: { name: !!js/function x }', 1, 14, 'unresolved tag: tag:yaml.org,2002:js/function'],
  ],
}

describe.each(Object.entries(CASES))('%s', (_, cases) => {
  it.each(cases.map((wrong) => ({ wrong })))('$wrong', ({ wrong: [text, line, column, reason, hint] }) => {
    const error = errorOf(text)
    expect(error.message).toBe(`${join(dir, 'config.yaml')}:${line}:${column}: ${reason}`)
    expect(error.place).toMatchObject({ line, column })
    const [shown, caret] = error.place.excerpt?.split('\n') ?? []
    expect(shown).toBe(text.split('\n')[line - 1])
    expect(caret).toMatch(new RegExp(`^\\s{${column - 1}}\\^$`))
    if (hint !== undefined) expect(error.hint).toBe(hint)
  })
})

it('reports what comes first in the file', () => {
  expect(errorOf('uts: { name: a }\nlimits: { pids: x }\nfoo: 1\n').place).toMatchObject({ line: 2 })
})
