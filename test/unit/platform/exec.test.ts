import { describe, expect, it } from 'vitest'
import { CommandError, HostError, TslxcError } from '../../../src/lib/errors.ts'
import { run, runAttached, which } from '../../../src/platform/exec.ts'

describe('run', () => {
  it('gives input and collects output, with LC_ALL=C and no shell', async () => {
    expect((await run(['cat'], { input: 'hello' })).stdout).toBe('hello')
    expect((await run(['sh', '-c', 'printf %s "$LC_ALL"'])).stdout).toBe('C')
    expect((await run(['echo', '$HOME;', '*'])).stdout).toBe('$HOME; *\n')
    expect((await run(['sh', '-c', 'printf %s "$X"; pwd'], { env: { X: 'x' }, cwd: '/' })).stdout).toBe('x/\n')
  })

  it('fails with the last lines of stderr', async () => {
    const error = await run(['sh', '-c', 'echo first >&2; echo last >&2; exit 3']).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(CommandError)
    expect(error).toMatchObject({ message: "cannot run 'sh': first\nlast", status: 3, code: 'command' })
    expect((await run(['sh', '-c', 'exit 3'], { okCodes: [0, 3] })).status).toBe(3)
  })

  it('tells an absent tool, a time limit and an abort apart', async () => {
    await expect(run(['no-such-tool-of-ours'])).rejects.toBeInstanceOf(HostError)
    await expect(run(['sleep', '60'], { timeoutMs: 50 })).rejects.toMatchObject({ code: 'timeout' })
    const abort = new AbortController()
    const aborted = run(['sleep', '60'], { signal: abort.signal })
    abort.abort()
    await expect(aborted).rejects.toMatchObject({ code: 'aborted' })
    await expect(run(['true'], { signal: abort.signal })).rejects.toBeInstanceOf(TslxcError)
  })

  it('hands over lines as they come', async () => {
    const lines: string[] = []
    await run(['sh', '-c', 'echo a; echo b >&2; printf c'], { onLine: (line) => lines.push(line) })
    expect(lines.sort()).toEqual(['a', 'b', 'c'])
  })
})

it('runAttached answers the exit code as a shell has it', async () => {
  expect(await runAttached(['sh', '-c', 'exit 7'])).toBe(7)
  expect(await runAttached(['sh', '-c', 'kill -9 $$'])).toBe(137)
})

it('which searches the administrator’s directories too', () => {
  expect(which('sh')).toMatch(/\/sh$/)
  expect(which('no-such-tool-of-ours')).toBeUndefined()
})
