// What can not be done, in one sentence with the remedy: not root, no user namespaces, no Node, a name that is none.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { expectNoLeaks } from '../helpers/leaks.ts'
import { program, run } from '../helpers/program.ts'
import { makeRoot, type TestRoot } from '../helpers/root.ts'

expectNoLeaks()

let root: TestRoot
beforeAll(async () => {
  root = makeRoot()
  await root.createBusybox('web')
})
afterAll(() => root.remove())

const asNobody = (...args: string[]) =>
  run(['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', program, ...args], { env: { TSLXC_ROOT: undefined } })

it.each([
  'start',
  'stop',
  'attach',
  'console',
  'freeze',
  'unfreeze',
  'info',
  'ls',
  'wait -s STOPPED',
  'create',
  'destroy',
  'network up',
  'config get',
  'config check',
])('not root: %s', async (verb) => {
  const name = verb === 'ls' || verb === 'network up' ? [] : ['-n', 'no-such-one']
  const { code, stdout, stderr } = await asNobody(
    ...verb.split(' '),
    ...name,
    ...(verb === 'create' ? ['-t', 'busybox'] : verb === 'config get' ? ['uts.name'] : []),
  )
  expect([code, stdout]).toEqual([1, ''])
  expect(stderr).toMatch(/^tslxc [a-z ]+: cannot .*(root|permission denied).*\n {2}hint: .*sudo/)
})

/** Makes a user namespace whose root is the host's, so that its limits can be set without setting the host's. */
const IN_USER_NAMESPACE = `
import os, sys, ctypes
(ready, tell_ready), (mapped, tell_mapped) = os.pipe(), os.pipe()
pid = os.fork()
if pid == 0:
    CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWNS = 0x10000000, 0x40000000, 0x20000
    assert ctypes.CDLL(None).unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) == 0
    os.write(tell_ready, b'x'); os.read(mapped, 1)
    os.setresgid(0, 0, 0); os.setresuid(0, 0, 0)
    open('/proc/sys/user/max_user_namespaces', 'w').write('0')
    os.execvp(sys.argv[1], sys.argv[1:])
os.read(ready, 1)
for kind in ('uid_map', 'gid_map'): open(f'/proc/{pid}/{kind}', 'w').write('0 0 4000000')
os.write(tell_mapped, b'x')
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`

it('no user namespaces', async () => {
  const env = { TSLXC_ROOT: root.path }
  const { code, stderr } = await run(['python3', '-c', IN_USER_NAMESPACE, program, 'start', 'web'], { env })
  expect(code).toBe(1)
  expect(stderr).toContain("tslxc start: cannot start 'web': this host has user namespaces turned off\n")
  expect(stderr).toContain("hint: run 'sysctl -w user.max_user_namespaces=15000', or create the container with --privileged\n")
  const doctor = await run(['python3', '-c', IN_USER_NAMESPACE, program, 'doctor'], { env })
  expect([doctor.code, doctor.stdout]).toEqual([1, expect.stringContaining('user namespaces are off')])
})

it('a stale spec and no Node, or one that is too old', async () => {
  const noNode = { env: { TSLXC_NODE: '/nowhere/node' } }
  const old = join(root.path, 'node')
  const asOld = `Object.defineProperty(process.versions, 'node', { value: '18.20.0' }); process.argv.splice(1, 0, '-'); require(process.argv[2]).load()`
  writeFileSync(old, `#!/bin/sh\nexec ${process.execPath} -e "${asOld.replaceAll('"', '\\"')}" -- "$@"\n`, { mode: 0o755 })
  await root.ok('config', 'set', 'web', 'pty.max', '100')
  const { code, stderr } = await root.tslxcWith(noNode, 'start', 'web')
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(/^tslxc start: cannot run Node at \/nowhere\/node: .*\n {2}hint: install Node 20/),
  ])
  const { stderr: tooOld } = await root.tslxcWith({ env: { TSLXC_NODE: old } }, 'start', 'web')
  expect(tooOld).toContain('cannot run on Node 18.20.0: 20.11 or newer is needed\n  hint: install a newer Node')
  await root.ok('start', 'web')
  await root.ok('config', 'set', 'web', 'pty.max', '101')
  // What runs is entered, asked and stopped by the spec in force.
  expect((await root.tslxcWith(noNode, 'attach', 'web', '--', '/bin/echo', 'inside')).stdout).toBe('inside\n')
  expect((await root.tslxcWith(noNode, 'info', '-sH', 'web')).stdout).toBe('RUNNING\n')
  expect((await root.tslxcWith(noNode, 'stop', '-k', 'web')).code).toBe(0)
})

const NAMES = ['..', 'a/b', '', '-x', 'x'.repeat(64)]
it.each(
  [
    'attach',
    'console',
    'start',
    'stop',
    'freeze',
    'unfreeze',
    'wait -s STOPPED -t 0',
    'info',
    'destroy',
    'create -t busybox',
    'doctor',
  ].concat(['show', 'check', 'edit', 'get', 'unset', 'set'].map((verb) => `config ${verb}`)),
)('a name that is none: %s', async (verb) => {
  const more = verb.endsWith('get') || verb.endsWith('unset') ? ['uts.name'] : verb === 'config set' ? ['uts.name', 'x'] : []
  for (const name of NAMES) {
    const { code, stdout, stderr } = await root.tslxc(...verb.split(' '), `--name=${name}`, ...more)
    expect({ name, code, stdout }).toEqual({ name, code: 1, stdout: '' })
    expect(stderr).toMatch(/^tslxc [a-z ]+: .*name/)
  }
})
