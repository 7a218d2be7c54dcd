import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { expectNoLeaks } from '../helpers/leaks.ts'
import { run, runOk } from '../helpers/program.ts'
import { makeRoot, type TestRoot } from '../helpers/root.ts'

interface Finding {
  readonly area: string
  readonly level: string
  readonly text: string
  readonly fix?: string
}

expectNoLeaks()

let root: TestRoot
beforeAll(() => {
  root = makeRoot()
})
afterAll(async () => {
  await root.tslxc('network', 'down', '--force')
  await root.remove()
})

async function doctor(...words: string[]): Promise<{ code: number; findings: Finding[]; problems: number }> {
  const { code, stdout } = await root.tslxc('doctor', '--json', ...words)
  return { code, ...(JSON.parse(stdout) as { findings: Finding[]; problems: number }) }
}

function container(name: string, config: string): void {
  mkdirSync(join(root.lxcpath, name, 'rootfs'), { recursive: true, mode: 0o700 })
  writeFileSync(join(root.lxcpath, name, 'config.yaml'), config, { mode: 0o600 })
}

/** Init's parent. proc_pid_stat(5) */
const monitorOf = (init: string): number =>
  Number(
    readFileSync(`/proc/${init.trim()}/stat`, 'utf8')
      .replace(/^.*\) . /, '')
      .split(' ')[0],
  )

describe('the host', () => {
  it('is looked at from all sides, and nothing blocks where these tests run', async () => {
    const { code, findings, problems } = await doctor()
    expect(new Set(findings.map(({ area }) => area))).toEqual(
      new Set(['program', 'kernel', 'cgroups', 'users', 'network', 'storage', 'limits', 'containers']),
    )
    expect(findings.filter(({ level }) => level === 'problem')).toEqual([])
    expect({ code, problems }).toEqual({ code: 0, problems: 0 })
  })

  it('has each warning with the command that mends it', async () => {
    const { findings } = await doctor()
    expect(findings.filter(({ level, fix }) => level !== 'ok' && fix === undefined)).toEqual([])
    const { stdout } = await root.tslxc('doctor')
    expect(stdout).toMatch(/\d+ problems?, \d+ warnings?\n$/)
  })
})

describe('the network', () => {
  it('is mended by the command that is named', async () => {
    const missing = (await doctor()).findings.find(({ text }) => text === 'no managed network')
    expect(missing?.fix).toBe('tslxc network up')
    await root.ok('network', 'up')
    expect((await doctor()).findings).toContainEqual(
      expect.objectContaining({ level: 'ok', text: 'network tslxcbr0 is up: 10.0.4.1/24, 0 ports' }),
    )
  })

  it("names a rule of another program that drops the containers' packets, and the rule that lets them through", async () => {
    const chain = (name: string, hook: string) => `chain ${name} {\ntype filter hook ${hook} priority 0\npolicy drop\n}\n`
    const table = `table inet guard {\n${chain('passing', 'forward')}${chain('arriving', 'input')}}\n`
    await runOk(['nft', '-f', '-'], { input: table })
    const blocked = (await doctor()).findings.filter(({ text }) => text.startsWith('table inet guard'))
    expect(blocked.map(({ text }) => text)).toEqual([
      'table inet guard, chain passing drops what containers send on tslxcbr0',
      'table inet guard, chain arriving drops DHCP and DNS of containers on tslxcbr0',
    ])
    for (const { fix = 'false' } of blocked) await runOk(['sh', '-c', fix])
    expect((await doctor()).findings.filter(({ text }) => text.startsWith('table inet guard'))).toEqual([])
    await runOk(['nft', 'delete', 'table', 'inet', 'guard'])
  })

  it('points at a mistake in a network file', async () => {
    const file = join(root.path, 'etc/tslxc/networks/bad.yaml')
    writeFileSync(file, 'bridge: bad\nipv4: { address: nonsense }\n')
    const { code, findings } = await doctor()
    expect(code).toBe(1)
    expect(findings).toContainEqual(
      expect.objectContaining({ level: 'problem', text: expect.stringContaining(`${file}:2:18: ipv4.address`) as string }),
    )
    await run(['rm', file])
  })
})

describe('containers', () => {
  it('that are half made are swept', async () => {
    const dir = join(root.lxcpath, 'half')
    mkdirSync(dir, { recursive: true })
    writeFileSync(join(dir, 'creating.json'), '{"version":1,"pid":1,"command":"tslxc create","startedAt":"","volumes":[]}')
    expect((await doctor()).findings).toContainEqual(expect.objectContaining({ text: "removed what a crash left of 'half'" }))
    expect(existsSync(dir)).toBe(false)
  })

  it('are checked in depth when they are named', async () => {
    container('web', `rootfs: { path: "dir:${root.lxcpath}/web/rootfs" }\nshares: ["/nonexistent/www:/srv"]\n`)
    const share = await doctor('web')
    expect(share.code).toBe(1)
    expect(share.findings.at(-1)).toMatchObject({
      level: 'problem',
      text: expect.stringMatching(/config\.yaml:2:.*\/nonexistent\/www/) as string,
      fix: 'mkdir -p /nonexistent/www',
    })
    container('web', `rootfs: { path: "dir:${root.lxcpath}/web/rootfs" }\nnet: { type: veth, link: nobr0, flags: up }\n`)
    const bridge = await doctor('web')
    expect(bridge.findings.at(-1)).toMatchObject({ level: 'problem', text: "'web': bridge nobr0 of net.0 does not exist" })
    container('web', `rootfs: { path: "dir:${root.lxcpath}/web/rootfs" }\nnet: { type: empty }\n`)
    expect(await doctor('web')).toMatchObject({ code: 0 })
  })

  it('that crashed are named with the command that cleans up', async () => {
    await root.ok('create', 'crash', '-t', 'busybox')
    await root.ok('start', 'crash')
    const state = JSON.parse(await root.ok('info', 'crash', '--json')) as { readonly monitorPid?: number }
    const monitor = state.monitorPid ?? monitorOf(await root.ok('info', '-pH', 'crash'))
    process.kill(monitor, 'SIGKILL')
    const finding = (await doctor()).findings.find(({ text }) => text.startsWith("'crash' crashed"))
    expect(finding).toMatchObject({ level: 'warning', fix: 'tslxc stop -k crash' })
    await root.ok('stop', '-k', 'crash')
    expect((await doctor()).findings.filter(({ text }) => text.includes('crash'))).toEqual([])
    await root.ok('destroy', 'crash')
  })

  it('that do not exist are an error', async () => {
    const { code, stderr } = await root.tslxc('doctor', 'nobody')
    expect(code).toBe(1)
    expect(stderr).toContain("cannot check 'nobody'")
  })
})
