import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { HostError } from '../../../src/lib/errors.ts'
import { loadAddon } from '../../../src/platform/addon.ts'
import { builtAddon } from '../../helpers/addon.ts'

const addon = builtAddon()

it('says what to do when it is not built', () => {
  expect(() => loadAddon('/nowhere')).toThrow(HostError)
})

it('refuses paths that are not absolute before C++ sees them', () => {
  expect(() => addon.readState('relative')).toThrow(/it is not absolute/)
  expect(() => addon.openRootfsDir('/a\0b')).toThrow(/it is not absolute/)
})

it('knows signals by every spelling', () => {
  expect(addon.signalNumber('SIGPWR')).toBe(constants.signals.SIGPWR)
  expect(addon.signalNumber('term')).toBe(15)
  expect(addon.signalNumber('9')).toBe(9)
  expect(addon.signalNumber('SIGRTMIN+3')).toBe(37)
  expect(addon.signalNumber('RTMIN')).toBe(34)
  expect(addon.signalNumber('RTMAX-1')).toBe(63)
  for (const bad of ['', 'NOPE', '0', '65', 'RTMIN+99', 'RTMIN+x', '-1']) expect(addon.signalNumber(bad)).toBeUndefined()
})

it('stamps files as stat does, and tells absence', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tslxc-stamp-'))
  try {
    const file = join(dir, 'file')
    writeFileSync(file, 'content')
    chmodSync(file, 0o640)
    const { dev, ino, ctimeNs, mode } = statSync(file, { bigint: true })
    const [stamp, absent] = addon.stamp([file, join(dir, 'absent')])
    expect(stamp).toMatchObject({ dev: String(dev), inode: String(ino), ctimeNs: String(ctimeNs), size: 7, mode: Number(mode) })
    expect(absent).toBeUndefined()
    addon.syncPath(dir)
    addon.syncPath(file)
    expect(() => addon.syncPath(join(dir, 'absent'))).toThrow(/cannot open/)
  } finally {
    rmSync(dir, { recursive: true })
  }
})

describe('compileSeccomp', () => {
  const compile = (policy: string) => addon.compileSeccomp(policy, { file: '/etc/x.seccomp' })
  const header = '2\ndenylist\nreject_force_umount  # comment\n[all]\n'

  it('makes an array of struct sock_filter', () => {
    const filter = compile(`${header}kexec_load errno 1\nopen_by_handle_at errno 1\ninit_module errno 1\n`)
    expect(filter.length % 8).toBe(0)
    expect(filter.length).toBeGreaterThan(80)
    expect(compile('1\nallowlist\n0\n1\n').length % 8).toBe(0)
    expect(
      compile('2\nallowlist errno 38\n[x86]\nmmap2\n[all]\nread\npersonality allow [0,0xffffffff,SCMP_CMP_NE]\nno_such_call\n').length % 8,
    ).toBe(0)
  })

  it('takes effect in a process: denied on the native architecture', () => {
    // struct sock_fprog by ctypes; a filter must leave what an interpreter needs.
    const script = `
import ctypes, errno, os, struct, sys
filter = sys.stdin.buffer.read()
libc = ctypes.CDLL(None, use_errno=True)
program = ctypes.create_string_buffer(filter, len(filter))
fprog = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(filter) // 8, ctypes.addressof(program)))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, fprog, 0, 0) == 0
try:
    os.mkdir("/tmp/tslxc-must-not-be")
except OSError as error:
    print(error.errno)
os.umask(0)
print("alive")`
    const input = compile('2\ndenylist\n[all]\nmkdir errno 95\nmkdirat errno 95\n')
    const result = spawnSync('python3', ['-c', script], { input, encoding: 'utf8' })
    expect(result.stdout).toBe('95\nalive\n')
  })

  it.each([
    ['3\ndenylist\n', '/etc/x.seccomp:1: the first line must be the version, 1 or 2'],
    ['2\n', "/etc/x.seccomp:2: unknown policy style ''"],
    ['2\nsomelist\n', "/etc/x.seccomp:2: unknown policy style 'somelist'"],
    [`${header}mount oops\n`, "/etc/x.seccomp:5: unknown action 'oops': it is one of kill, errno N, allow, trap"],
    [`${header}mount notify\n`, "/etc/x.seccomp:5: the action 'notify' is not supported"],
    [`${header}mount errno\n`, '/etc/x.seccomp:5: errno needs a number from 0 to 4095'],
    [`${header}[z80]\n`, "/etc/x.seccomp:5: unknown architecture '[z80]'"],
    [`${header}mount errno 1 [9,0,==]\n`, '/etc/x.seccomp:5: a system call has the arguments 0 to 5'],
    [`${header}mount errno 1 [0,0]\n`, '/etc/x.seccomp:5: an argument reads [index,value,op] or [index,value,op,mask]'],
    ['1\nallowlist\nread\n', "/etc/x.seccomp:3: 'read' is no number"],
  ])('refuses %j', (policy, message) => {
    expect(() => compile(policy)).toThrow(message)
  })
})
