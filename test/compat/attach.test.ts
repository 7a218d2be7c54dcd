/** What LXC's own tests expect of attach, and what its users ran into: streams, words, codes, identity. */
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { program, run, runOk } from '../helpers/program.ts'
import { makeRoot } from '../helpers/root.ts'

const root = makeRoot()
const scratch = mkdtempSync(join(tmpdir(), 'tslxc-attach-'))
const env = { TSLXC_ROOT: root.path }

const attach = (name: string, ...words: string[]) => root.tslxc('attach', '-n', name, ...words)
const inside = (name: string, ...words: string[]) => root.ok('attach', '-n', name, '--', ...words)
const shell = (script: string) => run(['bash', '-c', script], { env: { ...env, T: program }, timeoutMs: 110_000 })

beforeAll(async () => {
  await root.createBusybox('busy')
  await root.createBusybox('priv', '--privileged')
  for (const name of ['busy', 'priv']) {
    appendFileSync(join(root.lxcpath, name, 'rootfs/etc/passwd'), 'bob:x:1000:1001::/tmp:/bin/sh\n')
    await root.ok('start', name)
  }
})
afterAll(async () => {
  await root.remove()
  rmSync(scratch, { recursive: true })
})

describe.each(['busy', 'priv'])('in %s', (name) => {
  test.each([
    ['the command’s', ['sh', '-c', 'exit 7'], 7],
    ['true’s', ['true'], 0],
    ['128 + signal', ['sh', '-c', 'kill -9 $$'], 137],
    ['127 for what is not there', ['no-such-program'], 127],
    ['127 for a path that is not there', ['/no/such/program'], 127],
    ['126 for what can’t be run', ['/etc/passwd'], 126],
    ['126 for a directory', ['/etc'], 126],
  ])('the exit code is %s', async (_what, words, code) => {
    expect((await attach(name, '--', ...words)).code).toBe(code)
  })

  test('a command that is not there is named', async () => {
    const { stderr } = await attach(name, '--', 'no-such-program')
    expect(stderr).toBe(`tslxc attach: cannot run 'no-such-program' in '${name}': not found\n`)
  })

  test('words reach the command untouched', async () => {
    const words = ['printf', '[%s]', 'a', '', '-n', '--', 'a', ' b  c', '$x', '*']
    const wanted = '[a][][-n][--][a][ b  c][$x][*]'
    expect(await inside(name, ...words)).toBe(wanted)
    expect(await root.ok('attach', name, '--', ...words)).toBe(wanted)
    expect(await root.ok('attach', name, ...words)).toBe(wanted)
  })

  test('a script without #! is run by the shell', async () => {
    const file = join(root.lxcpath, name, 'rootfs/script')
    writeFileSync(file, 'echo "script $1"\n', { mode: 0o755 })
    expect(await inside(name, '/script', 'x')).toBe('script x\n')
  })

  test('output and errors stay apart, also by /dev/stdout and /dev/stderr', async () => {
    const { stdout } = await shell(
      `{ "$T" attach ${name} -- sh -c 'echo out; echo err >&2; echo o >/dev/stdout; echo e >/dev/stderr' 2>&3 | sed s/^/1:/; } 3>&1 | sort`,
    )
    expect(stdout).toBe('1:o\n1:out\ne\nerr\n')
  })

  test('a shell reads its commands from a pipe', async () => {
    const { stdout, code } = await root.tslxcWith({ input: 'echo $((6 * 7))\nexit 3\n' }, 'attach', name)
    expect([stdout, code]).toEqual(['42\n', 3])
  })

  test('a gigabyte through pipes keeps its checksum', async () => {
    const { stdout } = await shell(
      `head -c 1073741824 /dev/urandom | tee >(sha1sum >${scratch}/sent) | "$T" attach ${name} -- cat | sha1sum; sleep 0.2; cat ${scratch}/sent`,
    )
    const [received, sent] = stdout.trim().split('\n')
    expect(received).toMatch(/^[0-9a-f]{40} {2}-$/)
    expect(received).toBe(sent)
  })

  test('a closed reader ends the command', async () => {
    const { stdout } = await shell(`"$T" attach ${name} -- sh -c 'while echo y; do :; done' | head -n 1; echo "\${PIPESTATUS[0]}"`)
    expect(stdout).toBe('y\n141\n')
  })

  test('closed standard streams are no trouble', async () => {
    const { stdout } = await shell(`"$T" attach ${name} -- sh -c 'echo fine' <&-; "$T" attach ${name} -- true >&- 2>&-; echo $?`)
    expect(stdout).toBe('fine\n0\n')
  })

  test('a hundred one after another, two hundred at once', async () => {
    const serial = await shell(
      `for i in $(seq 100); do "$T" attach ${name} -- sh -c "exit $i" </dev/null; [ $? = $i ] || echo bad $i; done`,
    )
    expect(serial.stdout + serial.stderr).toBe('')
    const { stdout } = await shell(
      `for i in $(seq 200); do "$T" attach ${name} -- echo $i </dev/null & done >${scratch}/all 2>&1; wait; sort -n ${scratch}/all | cmp - <(seq 200) && echo same`,
    )
    expect(stdout).toBe('same\n')
  })

  test('a signal sent to attach is the command’s', async () => {
    const { stdout } = await shell(
      `"$T" attach ${name} -- sh -c 'trap "echo got; exit 9" TERM; echo ready; while :; do sleep 0.1; done' >${scratch}/out & p=$!
       until grep -q ready ${scratch}/out 2>/dev/null; do sleep 0.05; done; kill $p; wait $p; echo "code $?"; cat ${scratch}/out`,
    )
    expect(stdout).toBe('code 9\nready\ngot\n')
  })

  test('none of the caller’s descriptors is open inside', async () => {
    const script = 'for fd in 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$fd ] && echo $fd; done; echo none'
    expect((await shell(`exec 7</ 9</etc/passwd; "$T" attach ${name} -- sh -c '${script}'`)).stdout).toBe('none\n')
  })

  test('the environment: kept, cleared, set', async () => {
    const variables = async (...options: string[]) => {
      const { stdout } = await root.tslxcWith({ env: { KEEP: 'k', OTHER: 'o' } }, 'attach', name, ...options, '--', 'env')
      return stdout.trim().split('\n')
    }
    expect(await variables()).toEqual(expect.arrayContaining(['KEEP=k', 'OTHER=o', 'container=lxc']))
    const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
    expect(await variables('--clear-env')).toEqual([path, 'container=lxc'])
    expect(await variables('--clear-env', '--keep-var', 'KEEP', '-v', 'A=b=c', '-vD=')).toEqual([
      'KEEP=k',
      path,
      'container=lxc',
      'A=b=c',
      'D=',
    ])
    expect((await attach(name, '-v', 'nonsense', '--', 'true')).code).toBe(1)
  })

  test('ids: root, those asked for, the group of the guest’s passwd', async () => {
    const ids = async (...options: string[]) =>
      (await root.ok('attach', name, ...options, '--', 'sh', '-c', 'echo $(id -u) $(id -g) $(id -G)')).trim()
    expect(await ids()).toBe('0 0 0')
    expect(await ids('-u', '1000')).toBe('1000 1001 1001')
    expect(await ids('-u', '1000', '-g', '5')).toBe('1000 5 5')
    expect((await attach(name, '-u', 'bob', '--', 'true')).code).toBe(1)
    expect(await root.ok('attach', name, '-u', '1000', '--', 'sh', '-c', 'echo $HOME $USER')).toBe('/tmp bob\n')
  })

  test('the command has the rights of the container, or those asked for', async () => {
    const status = async (pid: string, ...options: string[]) => {
      const text = await root.ok(
        'attach',
        name,
        ...options,
        '--',
        'grep',
        '-E',
        '^(CapBnd|CapEff|NoNewPrivs|Seccomp):',
        `/proc/${pid}/status`,
      )
      return text.replaceAll('\t', ' ')
    }
    const init = await status('1')
    expect(await status('self')).toBe(init)
    expect(init).toContain('Seccomp: 2')
    const capabilities = async (...options: string[]) => /CapEff: (\w+)/.exec(await status('self', ...options))?.[1]
    expect(await capabilities('-eCAP')).not.toBe(await capabilities())
    expect(await capabilities('--elevated-privileges=CAP')).toBe(await capabilities('-e'))
    expect(await status('self', '-eLSM')).toContain('Seccomp: 0')
    expect((await attach(name, '-e', 'CAP', '--', 'true')).code).toBe(127) // an optional value is attached: CAP is the command
    expect((await attach(name, '-eFOO', '--', 'true')).code).toBe(1)
  })

  test('it enters init’s cgroups, or stays in the caller’s', async () => {
    const pid = (await root.ok('info', '-pH', name)).trim()
    const own = async (...options: string[]) => await root.ok('attach', name, ...options, '--', 'cat', '/proc/self/cgroup')
    expect(await own()).toBe(await inside(name, 'cat', '/proc/1/cgroup'))
    expect(await own('-eCGROUP')).not.toBe(await own())
    expect(readFileSync(`/proc/${pid}/cgroup`, 'utf8')).toContain(`tslxc.payload.${name}/guest`)
  })

  test('only some namespaces', async () => {
    const namespaces = async (...options: string[]) =>
      (await root.ok('attach', name, ...options, '--', 'sh', '-c', 'for n in net uts mnt; do readlink /proc/self/ns/$n; done'))
        .trim()
        .split('\n')
    const all = await namespaces()
    const host = (await runOk(['readlink', '/proc/self/ns/net', '/proc/self/ns/uts', '/proc/self/ns/mnt'])).trim().split('\n')
    expect(await namespaces('-s', 'NETWORK')).toEqual([all[0], host[1], host[2]])
    expect(await namespaces('-s', 'uts|MOUNT|pid')).toEqual([host[0], all[1], all[2]])
    const processes = await root.ok('attach', name, '-s', 'PID|NETWORK', '-R', '--', 'sh', '-c', 'cat /proc/1/comm; ls /sys/class/net')
    expect(processes).toBe('init\nlo\n')
    expect((await attach(name, '-s', 'NONSENSE', '--', 'true')).code).toBe(1)
  })

  test('the architecture that is asked for', async () => {
    expect((await root.ok('attach', name, '-a', 'i686', '--', 'uname', '-m')).trim()).toBe('i686')
    expect((await attach(name, '-a', 'pdp11', '--', 'true')).code).toBe(1)
  })

  test('no passwd of the guest makes it hang', async () => {
    const passwd = join(root.lxcpath, name, 'rootfs/etc/passwd')
    const before = readFileSync(passwd)
    try {
      rmSync(passwd)
      await runOk(['mkfifo', passwd])
      const { stdout, code } = await root.tslxcWith({ input: 'echo $0\n', timeoutMs: 10_000 }, 'attach', name)
      expect([stdout, code]).toEqual(['/bin/sh\n', 0])
    } finally {
      rmSync(passwd)
      writeFileSync(passwd, before)
    }
  })
})

test('--rcfile: what the command is given, not what the container is', async () => {
  const rc = join(scratch, 'rc.yaml')
  const config = readFileSync(join(root.lxcpath, 'busy/config.yaml'), 'utf8')
  writeFileSync(rc, `${config}\nno_new_privs: 1\nenvironment: [A=rc]\n`, { mode: 0o600 })
  expect(await root.ok('attach', 'busy', '-f', rc, '--', 'sh', '-c', 'echo $A; grep NoNewPrivs /proc/self/status')).toBe(
    'rc\nNoNewPrivs:\t1\n',
  )
  expect((await attach('busy', '-f', join(scratch, 'absent'), '--', 'true')).code).toBe(1)
})

test('what can’t be attached to says why', async () => {
  await root.createBusybox('off')
  const errors = async (name: string) => JSON.parse((await root.tslxc('attach', '--json', name, '--', 'true')).stdout).error
  expect(await errors('off')).toEqual({
    code: 'not-running',
    message: "cannot attach to 'off': it is not running",
    hint: "run 'tslxc start off'",
  })
  expect(await errors('none')).toMatchObject({ code: 'not-found' })
  await root.ok('freeze', 'busy')
  expect(await errors('busy')).toMatchObject({ code: 'state', message: "cannot attach to 'busy': it is frozen" })
  await root.ok('unfreeze', 'busy')
  expect((await attach('busy', '-c', 'label', '--', 'true')).stderr).toContain('not supported')
})
