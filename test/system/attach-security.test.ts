/** What a guest can see of, and do to, a process that comes in from outside. */
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { program, run } from '../helpers/program.ts'
import { makeRoot } from '../helpers/root.ts'

const root = makeRoot()
const MARK = 'SECRET_OF_THE_CALLER'

beforeAll(async () => {
  await root.createBusybox('user')
  await root.createBusybox('priv', '--privileged')
  await root.ok('start', 'user', 'priv')
})
afterAll(() => root.remove())

/** Runs in the guest until the guest is killed. */
async function watchInside(name: string, script: string): Promise<void> {
  writeFileSync(join(root.lxcpath, name, 'rootfs/watch'), `while :; do\n${script}\ndone 2>/dev/null\n`, { mode: 0o755 })
  await root.ok('attach', name, '--', 'sh', '-c', 'sh /watch </dev/null >/dev/null 2>&1 &')
}

const comeIn = (name: string, command: string, times: number) =>
  run(['bash', '-c', `exec 8</; for i in $(seq ${times}); do "$T" attach ${name} --clear-env -- ${command}; done`], {
    env: { TSLXC_ROOT: root.path, T: program, [MARK]: MARK },
    timeoutMs: 100_000,
  })

const found = async (name: string, file: string): Promise<string> => root.ok('attach', name, '--', 'sh', '-c', `cat ${file} 2>/dev/null; :`)

describe.each(['user', 'priv'])('in %s', (name) => {
  test('neither the caller’s environment nor its descriptors nor its root show', async () => {
    await watchInside(
      name,
      `for p in /proc/[0-9]*; do
        grep -q ${MARK} $p/environ && echo $p >>/tmp/environment
        [ "$(readlink $p/fd/8)" = / ] && echo $p >>/tmp/descriptors
        [ -e $p/root${root.path} ] && echo $p >>/tmp/roots
      done`,
    )
    await comeIn(name, 'true', 300)
    expect(await found(name, '/tmp/environment')).toBe('')
    expect(await found(name, '/tmp/descriptors')).toBe('')
    expect(await found(name, '/tmp/roots')).toBe('')
  })
})

test('the program’s own file can’t be written through a process in a privileged container', async () => {
  const sum = () => createHash('sha256').update(readFileSync(program)).digest('hex')
  const before = sum()
  writeFileSync(join(root.lxcpath, 'priv', 'rootfs/evil'), '#!/proc/self/exe\n', { mode: 0o755 })
  await watchInside(
    'priv',
    `for p in /proc/[0-9]*; do
      e=$(readlink $p/exe)
      case "$e" in
        *tslxc*) echo "$e" >>/tmp/exposed;;
        /) sh -c "printf x >>$p/exe" && echo written >>/tmp/exposed;;
      esac
    done`,
  )
  await comeIn('priv', '/evil', 150)
  await comeIn('priv', 'true', 150)
  expect(await found('priv', '/tmp/exposed')).toBe('')
  expect(sum()).toBe(before)
})
