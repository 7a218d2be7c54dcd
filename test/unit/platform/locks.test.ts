import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { acquireLock, withLock } from '../../../src/platform/locks.ts'
import { builtAddon, repositoryRoot } from '../../helpers/addon.ts'

const paths = { installRoot: repositoryRoot }
let dir = ''
const children: ChildProcess[] = []
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tslxc-locks-'))
})
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  rmSync(dir, { recursive: true, force: true })
})

/** Another process that runs a line of JavaScript with the addon, and has said `ready`. */
async function other(code: string): Promise<ChildProcess> {
  const script = `const addon = require('${repositoryRoot}/dist/addon.node'); ${code}; console.log('ready'); setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  await new Promise((ready) => child.stdout?.once('data', ready))
  return child
}

async function end(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
}

describe('locks', () => {
  it('names the holder of another process, and is free when that is killed', async () => {
    const path = join(dir, 'locks/web')
    const child = await other(`globalThis.kept = addon.tryLock('${path}', 'tslxc snapshot web', false)`)
    const result = builtAddon().tryLock(path, 'tslxc destroy', false)
    expect(result).toMatchObject({ pid: child.pid, command: 'tslxc snapshot web' })
    await expect(acquireLock(paths, { path, object: "'web'", command: 'tslxc destroy', timeoutMs: 30 })).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringMatching(new RegExp(`^'web' is locked by 'tslxc snapshot web' \\(pid ${child.pid}, \\d+ s\\)$`)),
    })
    const waiting = acquireLock(paths, { path, object: "'web'", command: 'tslxc destroy' })
    await end(child)
    const lock = await waiting
    expect(readFileSync(path, 'utf8')).toMatch(new RegExp(`^${process.pid} \\d+ tslxc destroy\\n$`))
    lock.release()
    lock.release()
    expect(existsSync(path)).toBe(true)
    ;(await acquireLock(paths, { path, object: "'web'", command: 'x', timeoutMs: 0 })).release()
  })

  it('is shared by readers only, waits in the same process too, and answers an abort', async () => {
    const path = join(dir, 'web')
    const reader = await acquireLock(paths, { path, object: "'web'", command: 'a', shared: true })
    const second = await acquireLock(paths, { path, object: "'web'", command: 'b', shared: true })
    await expect(acquireLock(paths, { path, object: "'web'", command: 'c', timeoutMs: 20 })).rejects.toMatchObject({ code: 'busy' })
    const abort = new AbortController()
    const waiting = acquireLock(paths, { path, object: "'web'", command: 'c', signal: abort.signal })
    abort.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'aborted' })
    reader.release()
    second.release()
    const order: string[] = []
    await Promise.all(
      ['1', '2', '3'].map((n) =>
        withLock(paths, { path, object: "'web'", command: n }, async () => {
          order.push(`${n} in`)
          await new Promise((resolve) => setTimeout(resolve, 5))
          order.push(`${n} out`)
        }),
      ),
    )
    expect(order.map((entry) => entry.slice(2))).toEqual(['in', 'out', 'in', 'out', 'in', 'out'])
  })
})

describe('readState', () => {
  const write = (state: object) => writeFileSync(join(dir, 'state.json'), JSON.stringify({ version: 1, ...state }))
  const startTime = (pid: number | undefined) => Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[19])
  const read = () => builtAddon().readState(dir)

  it('is STOPPED where there is no run directory', () => {
    expect(builtAddon().readState(join(dir, 'absent'))).toEqual({ state: 'STOPPED', crashed: false })
  })

  it('is what the monitor wrote while it holds its lock and init lives; else a crash', async () => {
    mkdirSync(join(dir, 'x'))
    const init = spawn('sleep', ['600'], { stdio: 'ignore' })
    children.push(init)
    const lock = `python3 -c 'import fcntl, time; f = open("${dir}/monitor.lock", "w"); fcntl.lockf(f, fcntl.LOCK_EX); print(1, flush=True); time.sleep(600)'`
    const monitor = spawn('sh', ['-c', `exec ${lock}`], { stdio: ['ignore', 'pipe', 'inherit'] })
    children.push(monitor)
    await new Promise((ready) => monitor.stdout.once('data', ready))
    const startedAt = '2026-01-01T00:00:00.000Z'
    write({ state: 'RUNNING', initPid: init.pid, initStartTime: startTime(init.pid), monitorPid: monitor.pid, startedAt })
    expect(read()).toEqual({ state: 'RUNNING', initPid: init.pid, monitorPid: monitor.pid, startedAt, crashed: false })
    await end(monitor)
    expect(read()).toMatchObject({ crashed: true })
    expect(read().state).not.toBe('RUNNING')
    write({ state: 'STOPPED' })
    expect(read()).toMatchObject({ state: 'STOPPED', crashed: false })
  })

  it('does not take a process of a later birth for init', async () => {
    write({ state: 'RUNNING', initPid: process.pid, initStartTime: 1, monitorPid: 1 })
    expect(read()).toMatchObject({ crashed: true, state: 'STOPPED' })
    expect(read().initPid).toBeUndefined()
  })
})
