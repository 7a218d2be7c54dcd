// What a guest with evil intentions tries, privileged and not.
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Box, makeBox, UNPRIVILEGED } from '../helpers/box.ts'
import { expectNoLeaks } from '../helpers/leaks.ts'
import { program, run } from '../helpers/program.ts'
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
