import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readDefinition } from '../../../src/config/definitions.ts'
import { loadConfig } from '../../../src/config/load.ts'
import type { LoadedConfig } from '../../../src/config/loaded.ts'
import { effectiveTree } from '../../../src/config/show.ts'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tslxc-load-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

function write(files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true })
    writeFileSync(join(dir, name), text)
  }
}

const load = (options: Partial<Parameters<typeof loadConfig>[1]> = {}): LoadedConfig =>
  loadConfig(join(dir, 'box/config.yaml'), { confDirs: [join(dir, 'etc'), join(dir, 'conf')], ...options })

describe('merging', () => {
  it('lets later files win and appends lists', () => {
    write({
      'box/config.yaml': 'include: base.yaml\nuts: { name: b }\ncap: { drop: sys_time }\ncgroup2: { memory.high: 2G }\n',
      'box/base.yaml': 'uts: { name: a }\ncap: { drop: [mknod] }\narch: x86_64\ncgroup2: { memory.high: 1G }\n',
    })
    const { config } = load()
    expect(config.uts?.name).toBe('b')
    expect(config.cap?.drop).toEqual(['mknod', 'sys_time'])
    expect(config.arch?.name).toBe('x86_64')
    expect(config.cgroup2?.['memory.high']).toEqual(['1G', '2G'])
  })

  it('reads included files before the file itself, wherever the key stands', () => {
    write({ 'box/config.yaml': 'uts: { name: b }\ninclude: base.yaml\n', 'box/base.yaml': 'uts: { name: a }\n' })
    expect(load().config.uts?.name).toBe('b')
  })

  it.each([
    ['cap: { drop: }', undefined],
    ['cap: { drop: "" }', []],
    ['cap: { drop: [] }', []],
    ['cap: { drop: ["", chown] }', ['chown']],
    ['cap: { drop: [chown] }', ['mknod', 'chown']],
    ['cap:', undefined],
  ])('%s', (text, expected) => {
    write({ 'box/config.yaml': `include: base.yaml\n${text}\n`, 'box/base.yaml': 'cap: { drop: mknod }\n' })
    expect(load().config.cap?.drop).toEqual(expected)
  })

  it('merges interfaces by their number, and takes them all back by an empty list', () => {
    const base = 'net: [{ type: veth, link: br0, mtu: 1400 }]\n'
    write({ 'box/config.yaml': 'include: base.yaml\nnet: [{ link: br1 }, { type: veth }]\n', 'box/base.yaml': base })
    expect(load().config.net).toMatchObject([{ type: 'veth', link: 'br1', mtu: 1400 }, { type: 'veth' }])
    write({ 'box/config.yaml': 'include: base.yaml\nnet: []\n' })
    expect(load().config.net).toEqual([])
  })

  it('replaces a value whole', () => {
    const text = (options: string): string => `rootfs: { path: /a, options: "${options}" }\n`
    write({ 'box/config.yaml': `include: base.yaml\n${text('ro')}`, 'box/base.yaml': text('nodev,create=dir') })
    expect(load().config.rootfs?.options).toMatchObject({ flags: ['ro'] })
    expect(load().config.rootfs?.options).not.toHaveProperty('create')
  })

  it('knows where each value was said', () => {
    write({ 'box/config.yaml': 'include: base.yaml\ncap:\n  drop:\n    - chown\n', 'box/base.yaml': 'cap: { drop: mknod }\n' })
    const { origins } = load()
    expect(origins.find(['cap', 'drop', 0])).toMatchObject({ file: join(dir, 'box/base.yaml'), line: 1, column: 14 })
    expect(origins.find(['cap', 'drop', 1])).toMatchObject({ file: join(dir, 'box/config.yaml'), line: 4, column: 7 })
    expect(effectiveTree(load())).toEqual({ cap: { drop: ['mknod', 'chown'] } })
  })

  it('takes what the command line defines last', () => {
    write({ 'box/config.yaml': 'uts: { name: a }\nnet: [{ type: veth }, { type: veth }]\n' })
    const overrides = ['lxc.uts.name=b c', 'net.1.link=br0', 'lxc.cgroup2.memory.max=1G', 'cap.drop=[chown, mknod]', 'ephemeral=1'].map(
      readDefinition,
    )
    expect(() => load({ overrides })).toThrow("command line:1:18: uts.name: 'b c' can not be")
    const { config } = load({ overrides: overrides.slice(1) })
    expect(config.net?.[1]?.link).toBe('br0')
    expect(config.cgroup2?.['memory.max']).toEqual(['1G'])
    expect(config.cap?.drop).toEqual(['chown', 'mknod'])
    expect(config.ephemeral).toBe(true)
  })
})

describe('include', () => {
  it('looks beside the file, then in the directories of conf, and names all it looked at', () => {
    write({
      'box/config.yaml': 'include: a.yaml\n',
      'conf/a.yaml': 'include: b.yaml\n',
      'etc/b.yaml': 'uts: { name: etc }\n',
      'conf/b.yaml': 'uts: { name: conf }\n',
    })
    const { config, inputs } = load()
    // a.yaml is in conf, and so is the b.yaml beside it.
    expect(config.uts?.name).toBe('conf')
    expect(inputs.map((path) => path.slice(dir.length))).toEqual([
      '/box/config.yaml',
      '/box/a.yaml',
      '/etc/a.yaml',
      '/conf/a.yaml',
      '/conf/b.yaml',
    ])
  })

  it('reads the directories of one name as one; a file shadows its namesake', () => {
    write({
      'box/config.yaml': 'include: common.d\n',
      'conf/common.d/00-base.yaml': 'cap: { drop: chown }\n',
      'conf/common.d/20-more.yaml': 'cap: { drop: mknod }\n',
      'etc/common.d/00-base.yaml': 'cap: { drop: sys_time }\n',
      'etc/common.d/10-site.yaml': 'cap: { drop: setuid }\n',
      'etc/common.d/notes.txt': 'not read',
    })
    const { config, inputs } = load()
    expect(config.cap?.drop).toEqual(['sys_time', 'setuid', 'mknod'])
    expect(inputs).toContain(join(dir, 'etc/common.d'))
    expect(inputs).toContain(join(dir, 'box/common.d'))
  })

  it('names the place of an include that is not there', () => {
    write({ 'box/config.yaml': 'uts: { name: a }\ninclude: [nope.yaml]\n' })
    expect(() => load()).toThrow(
      `${dir}/box/config.yaml:2:11: cannot include 'nope.yaml': there is no such file beside this file or in ${dir}/etc, ${dir}/conf`,
    )
  })

  it('refuses a circle', () => {
    write({ 'box/config.yaml': 'include: a.yaml\n', 'box/a.yaml': '\ninclude: config.yaml\n' })
    expect(() => load()).toThrow(`${dir}/box/a.yaml:2:10: cannot include '${dir}/box/config.yaml': it includes itself`)
  })

  it('reports errors in the included file', () => {
    write({ 'box/config.yaml': 'include: a.yaml\n', 'box/a.yaml': 'uts: { nam: a }\n' })
    expect(() => load()).toThrow(`${dir}/box/a.yaml:1:8: unknown key 'uts.nam'`)
  })
})

describe('permissions', () => {
  const trustedUid = process.geteuid?.() ?? 0
  beforeEach(() => write({ 'box/config.yaml': 'include: a.yaml\n', 'conf/a.yaml': 'uts: { name: a }\n' }))

  it('accepts what only root or the caller can write', () => {
    expect(load({ trustedUid }).config.uts?.name).toBe('a')
  })

  it.each([
    ['box/config.yaml', 0o666],
    ['box/config.yaml', 0o602],
    ['conf/a.yaml', 0o646],
    ['conf', 0o777],
    ['box', 0o757],
    ['.', 0o703],
  ])('refuses %s with mode %o', (name, mode) => {
    chmodSync(join(dir, name), mode)
    expect(() => load({ trustedUid })).toThrow(/can be written by others/)
    expect(load().config.uts?.name).toBe('a')
  })

  it('follows links to what they point at', () => {
    write({ 'open/a.yaml': 'uts: { name: b }\n' })
    symlinkSync(join(dir, 'open/a.yaml'), join(dir, 'box/a.yaml'))
    expect(load({ trustedUid }).config.uts?.name).toBe('b')
    chmodSync(join(dir, 'open'), 0o777)
    expect(() => load({ trustedUid })).toThrow(`cannot use '${dir}/box/a.yaml': '${dir}/open' can be written by others (mode 777)`)
  })

  it.skipIf(trustedUid !== 0)('refuses files of other users', async () => {
    const { chownSync } = await import('node:fs')
    chownSync(join(dir, 'conf/a.yaml'), 12345, 0)
    expect(() => load({ trustedUid })).toThrow(`cannot use '${dir}/conf/a.yaml': it belongs to user 12345`)
  })
})
