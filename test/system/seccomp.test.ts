// The default policy stands in every container, privileged ones too; a key in the config loosens it.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Box, makeBox, UNPRIVILEGED } from '../helpers/box.ts'
import { expectNoLeaks } from '../helpers/leaks.ts'
import { makeRoot, type TestRoot } from '../helpers/root.ts'

expectNoLeaks()

/** Calls that would succeed, or fail for another reason, without the filter. Runs as init: prints `NAME ERRNO` lines into /result. */
const PROBE = `
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>
static FILE *out;
#define TRY(name, ...) do { errno = 0; syscall(SYS_##name, __VA_ARGS__); fprintf(out, #name " %d\\n", errno); } while (0)
int main(void) {
  out = fopen("/result.tmp", "w");
  TRY(open_by_handle_at, -1, 0, 0);
  TRY(fanotify_init, 0, 0);
  TRY(fanotify_mark, -1, 0, 0, -1, 0);
  TRY(bpf, 999, 0, 0);
  TRY(perf_event_open, 0, 0, -1, -1, 0);
  TRY(kexec_load, 0, 0, 0, ~0UL);
  TRY(init_module, 0, 0, 0);
  TRY(finit_module, -1, 0, 0);
  TRY(delete_module, 0, 0);
  TRY(swapon, 0, 0);
  TRY(acct, "/nowhere");
  TRY(quotactl, 0, 0, 0, 0);
  TRY(add_key, 0, 0, 0, 0, 0);
  TRY(request_key, 0, 0, 0, 0);
  TRY(keyctl, 999, 0, 0, 0, 0);
  errno = 0; umount2("/nowhere", MNT_FORCE); fprintf(out, "force %d\\n", errno);
  errno = 0; umount2("/nowhere", 0); fprintf(out, "plain %d\\n", errno);
  TRY(getpid, 0);
  fprintf(out, "session %ld\\n", syscall(SYS_keyctl, 0, -3, 0));
  fclose(out);
  rename("/result.tmp", "/result");
  for (;;) pause();
}
`

const [EPERM, ENOENT, EACCES, ENOSYS] = [1, 2, 13, 38]
let root: TestRoot
const build = mkdtempSync(join(tmpdir(), 'tslxc-probe-'))

beforeAll(() => {
  root = makeRoot()
  writeFileSync(join(build, 'probe.c'), PROBE)
  const { status, stderr } = spawnSync('g++', ['-x', 'c', '-static', '-o', join(build, 'probe'), join(build, 'probe.c')], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(stderr)
})
afterAll(async () => {
  await root.remove()
  rmSync(build, { recursive: true })
})

async function probe(name: string, config: string): Promise<Record<string, number>> {
  const box: Box = makeBox(root, name, `${config}init: { cmd: /probe }\n`)
  spawnSync('cp', [join(build, 'probe'), box.rootfs])
  await box.start()
  const result = join(box.rootfs, 'result')
  for (let round = 0; round < 200 && !existsSync(result); round++) await new Promise((resolve) => setTimeout(resolve, 20))
  const lines = readFileSync(result, 'utf8').trim().split('\n')
  await box.kill()
  return Object.fromEntries(lines.map((line) => line.split(' ')).map(([call = '', number]) => [call, Number(number)]))
}

describe('the default policy', () => {
  it.each([
    ['privileged', ''],
    ['unprivileged', UNPRIVILEGED],
  ])('%s', async (name, config) => {
    const { getpid, plain, force, add_key, request_key, keyctl, session: _, ...others } = await probe(name, config)
    expect([getpid, plain, force]).toEqual([0, ENOENT, EACCES])
    expect([add_key, request_key, keyctl]).toEqual([ENOSYS, ENOSYS, ENOSYS])
    expect(Object.entries(others).filter(([, number]) => number !== EPERM)).toEqual([])
    expect(Object.keys(others)).toHaveLength(12)
  })

  it('is loosened by seccomp.profile: none', async () => {
    const { keyctl, force, open_by_handle_at } = await probe('loose', 'seccomp: { profile: none }\n')
    expect([keyctl, force, open_by_handle_at]).not.toContain(EPERM)
    expect(keyctl).not.toBe(ENOSYS)
    expect(force).toBe(ENOENT)
  })

  it('reports what is wrong in a policy, with its place', async () => {
    const file = join(root.path, 'policy')
    writeFileSync(file, '2\ndenylist\n[all]\nmkdir errno many\n', { mode: 0o600 })
    makeBox(root, 'broken', `seccomp: { profile: ${file} }\n`)
    const { code, stderr } = await root.tslxc('start', 'broken')
    expect([code, stderr]).toEqual([1, expect.stringContaining(`${file}:4`)])
  })

  it('names a policy that is not there by the key that asks for it', async () => {
    makeBox(root, 'absent', 'seccomp: { profile: /nowhere/policy }\n')
    const { code, stderr } = await root.tslxc('start', 'absent')
    expect([code, stderr]).toEqual([1, expect.stringMatching(/config\.yaml:2:21: seccomp\.profile: cannot read '\/nowhere\/policy'/)])
  })
})

it('keyring.session', async () => {
  const session = async (name: string, own: number): Promise<number | undefined> =>
    (await probe(name, `seccomp: { profile: none }\nkeyring: { session: ${own} }\n`)).session
  expect(await session('shared1', 0)).toBe(await session('shared2', 0))
  expect(await session('own1', 1)).not.toBe(await session('own2', 1))
})
