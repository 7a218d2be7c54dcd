import { spawn } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { expectNoLeaks } from '../helpers/leaks.ts'
import { program } from '../helpers/program.ts'
import { makeRoot, type TestRoot } from '../helpers/root.ts'

interface Net {
  readonly hwaddr: string
  readonly link: string
  readonly ipv4?: { readonly address: string; readonly gateway?: string }
}
interface WrittenConfig {
  readonly uts: { readonly name: string }
  readonly net: readonly Net[]
  readonly idmap?: readonly string[]
  readonly shares?: readonly string[]
  readonly dns?: readonly string[]
}

let root: TestRoot

expectNoLeaks()
beforeAll(async () => {
  root = makeRoot()
  await root.ok('network', 'up')
})
afterAll(async () => {
  await root.tslxc('network', 'down', '--force')
  await root.remove()
})

const dirOf = (name: string) => join(root.lxcpath, name)
const inRootfs = (name: string, path: string) => join(dirOf(name), 'rootfs', path)
const configText = (name: string) => readFileSync(join(dirOf(name), 'config.yaml'), 'utf8')
const configOf = (name: string) => parse(configText(name)) as WrittenConfig
const create = (name: string, ...options: string[]) => root.ok('create', name, '-t', 'busybox', ...options)
const refused = async (...words: string[]) => {
  const { code, stderr } = await root.tslxc('create', ...words)
  expect(code).toBe(1)
  return stderr
}
const nothingLeft = (name: string) => expect(existsSync(dirOf(name))).toBe(false)

describe('create -t busybox', () => {
  it('makes a container with an address of the managed network, and says how to go on', async () => {
    const out = await create('plain')
    expect(out).toMatch(/created 'plain' from busybox\n {2}net\.0 +10\.0\.\d+\.\d+\/24 on tslxcbr0\n/)
    expect(out).toContain("root       locked, no login; 'tslxc attach plain' enters without one")
    expect(out).toContain('next       tslxc start plain, then tslxc attach plain')
    expect(configOf('plain')).toMatchObject({
      uts: { name: 'plain' },
      net: [{ link: 'tslxcbr0' }],
      idmap: [expect.stringMatching(/^b 0 \d+ 65536$/)],
    })
    expect(configText('plain')).toMatch(/^# Container 'plain', made by tslxc .*\n# Template: busybox\n/)
    expect(readdirSync(dirOf('plain')).sort()).toEqual(['config.yaml', 'record.json', 'rootfs', 'seccomp.bpf', 'spec.json', 'volume.json'])
    expect(await root.ok('ls', '-1')).toBe('plain\n')
  })

  it('keeps the rootfs out of reach of other users, with the ids of inside', () => {
    expect(statSync(dirOf('plain')).mode & 0o777).toBe(0o700)
    expect(lstatSync(inRootfs('plain', 'bin/busybox'))).toMatchObject({ uid: 0, gid: 0 })
    expect(readlinkSync(inRootfs('plain', 'sbin/init'))).toBe('/bin/busybox')
    expect(statSync(inRootfs('plain', 'etc/shadow')).mode & 0o777).toBe(0o600)
    expect(readFileSync(inRootfs('plain', 'etc/shadow'), 'utf8')).toMatch(/^root:\*:/)
  })

  it('gives each its own ids, addresses and hardware address', async () => {
    await create('other')
    const [a, b] = [configOf('plain'), configOf('other')]
    expect(a.idmap).not.toEqual(b.idmap)
    expect(a.net[0]?.hwaddr).not.toBe(b.net[0]?.hwaddr)
    expect(a.net[0]?.ipv4?.address).not.toBe(b.net[0]?.ipv4?.address)
  })

  it("refuses a name that is taken with LXC's phrase", async () => {
    expect(await refused('plain', '-t', 'busybox')).toContain('Container already exists')
    expect(await refused('-n', 'plain', '-t', 'none')).toContain('Container already exists')
  })

  it("takes LXC's options, before and after --", async () => {
    await root.ok('create', '-n', 'lxcish', '-t', 'busybox', '-B', 'best', '--', '--busybox-path', '/bin/busybox')
    expect(configText('lxcish')).toContain('# Template: busybox (busybox-path=/bin/busybox)')
    expect(await refused('x1', '-t', 'busybox', '--', '--busybox-path', '/bin/sh')).toContain("'/bin/sh' is not a static program")
    expect(await refused('x1', '-t', 'busybox', '-B', 'btrfs')).toMatch(/cannot use the backing storage 'btrfs': '.*' is not on btrfs/)
    nothingLeft('x1')
  })

  it('writes what the options say', async () => {
    const shared = join(root.path, 'shared')
    mkdirSync(shared)
    await create(
      'full',
      '--ip',
      '10.0.4.77',
      '--share',
      `${shared}:/srv/a`,
      '--share',
      `${shared}:/srv/b:ro`,
      '--dns',
      '9.9.9.9',
      '--hostname',
      'host.example',
    )
    expect(configOf('full')).toMatchObject({
      uts: { name: 'host.example' },
      net: [{ ipv4: { address: '10.0.4.77/24', gateway: 'auto' } }],
      shares: [`${shared}:/srv/a`, `${shared}:/srv/b:ro`],
      dns: ['9.9.9.9'],
    })
  })

  it('leaves ids out for a privileged one, and says so', async () => {
    expect(await create('priv', '--privileged')).toContain("privileged its root is the host's root")
    expect(configOf('priv').idmap).toBeUndefined()
  })

  it('leaves the address to DHCP when asked to', async () => {
    expect(await create('dhcp', '--ip', 'dhcp')).toContain('net.0      by DHCP on tslxcbr0')
    expect(configOf('dhcp').net[0]?.ipv4).toEqual({ address: 'dhcp' })
  })

  it('says which bridge the start will need', async () => {
    const out = await create('unbridged', '--link', 'tslxcbr7')
    expect(out).toContain('next       tslxc network up tslxcbr7 (it does not exist), then tslxc start unbridged, then')
    await root.ok('destroy', 'unbridged')
  })

  it('starts from a file of the caller, whose keys win, and replaces x in its hardware address', async () => {
    const file = join(root.path, 'mine.yaml')
    writeFileSync(
      file,
      '# mine\nnet: [{ type: veth, link: tslxcbr0, flags: up, hwaddr: "00:16:3e:00:11:xx" }]\nlimits: { pids: 100 } # few\n',
    )
    await create('mine', '-f', file)
    expect(configOf('mine')).toMatchObject({
      limits: { pids: 100 },
      net: [{ hwaddr: expect.stringMatching(/^00:16:3e:00:11:[0-9a-f]{2}$/) }],
    })
    expect(configText('mine')).toContain('# few')
  })

  it('prints itself as JSON', async () => {
    const made = JSON.parse(await create('json', '--json')) as Record<string, unknown>
    expect(made).toMatchObject({
      name: 'json',
      image: 'busybox',
      unprivileged: true,
      rootLogin: [],
      configFile: join(dirOf('json'), 'config.yaml'),
    })
    const { code, stdout } = await root.tslxc('create', 'json', '-t', 'busybox', '--json')
    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'exists' } })
  })
})

describe('create -t none', () => {
  it('makes a configuration alone', async () => {
    const out = await root.ok('create', 'empty', '-t', 'none')
    expect(out).not.toContain('next')
    expect(existsSync(inRootfs('empty', ''))).toBe(false)
    expect(await refused('empty2', '-t', 'none', '-S', '/dev/null')).toContain("cannot open root's account")
  })
})

describe('what create refuses leaves nothing', () => {
  it.each([
    ['an address in use', ['--ip', '10.0.4.1'], 'it is the address of bridge'],
    ['an address outside', ['--ip', '192.168.9.9'], 'it is outside 10.0.4.0/24'],
    ['a malformed address', ['--ip', '10.0.4'], "cannot use address '10.0.4'"],
    ['a gateway without an address', ['--gw', '10.0.4.1'], 'cannot use --gw without a fixed address'],
    ['a missing share', ['--share', '/nonexistent:/srv'], '/nonexistent'],
    ['a relative --dir', ['--dir', 'x'], 'it is not an absolute path'],
    ['a missing key file', ['-S', '/nonexistent'], "cannot read '/nonexistent'"],
    ['a missing configuration', ['-f', '/nonexistent'], "cannot read '/nonexistent'"],
    ['an unknown template', ['-t', 'debain'], "cannot find template 'debain'"],
  ])('%s', async (_what, options, reason) => {
    expect(await refused('bad', '-t', 'busybox', ...options)).toContain(reason)
    nothingLeft('bad')
  })

  it.each([['..'], ['a/b'], [''], ['-x'], ['x'.repeat(64)]])('the name "%s"', async (name) => {
    const { code } = await root.tslxc('create', '-t', 'busybox', `--name=${name}`)
    expect(code).toBe(1)
  })

  it('an address of another container, by its name', async () => {
    const address = configOf('plain').net[0]?.ipv4?.address.split('/')[0] ?? ''
    expect(await refused('bad', '-t', 'busybox', '--ip', address)).toContain("it is in use by container 'plain'")
    nothingLeft('bad')
  })

  it('an invalid configuration, by file and line', async () => {
    const file = join(root.path, 'wrong.yaml')
    writeFileSync(file, 'uts: { name: x }\nlimitz: { memory: 2G }\n')
    expect(await refused('bad', '-t', 'busybox', '-f', file)).toContain(`${file}:2:1`)
    nothingLeft('bad')
  })

  it('a --dir that is there already, which stays as it is', async () => {
    const dir = join(root.path, 'theirs')
    mkdirSync(dir)
    writeFileSync(join(dir, 'precious'), '')
    expect(await refused('bad', '-t', 'busybox', '--dir', dir)).toContain(`cannot create '${dir}': it already exists`)
    expect(existsSync(join(dir, 'precious'))).toBe(true)
    nothingLeft('bad')
  })

  it('a --dir that others can reach', async () => {
    const open = join(root.path, 'open')
    mkdirSync(open)
    chmodSync(root.path, 0o755)
    chmodSync(open, 0o755)
    try {
      expect(await refused('bad', '-t', 'busybox', '--dir', join(open, 'rootfs'))).toContain('every user of the host can reach it')
    } finally {
      chmodSync(root.path, 0o700)
    }
    expect(readdirSync(open)).toEqual([])
    nothingLeft('bad')
  })
})

describe('root inside', () => {
  it('gets a password and keys when they are given', async () => {
    const [password, keys] = [join(root.path, 'password'), join(root.path, 'keys')]
    writeFileSync(password, 'secret word\nsecond line\n')
    writeFileSync(keys, 'ssh-ed25519 AAAA one\nssh-ed25519 BBBB two\n')
    const out = await create('login', '--password-file', password, '-S', keys)
    expect(out).toContain('root       has the password of the file, logs in by ssh with the given keys')
    expect(readFileSync(inRootfs('login', 'etc/shadow'), 'utf8')).toMatch(/^root:\$6\$[^:]+:0:/)
    expect(readFileSync(inRootfs('login', 'root/.ssh/authorized_keys'), 'utf8')).toBe('ssh-ed25519 AAAA one\nssh-ed25519 BBBB two\n')
    expect(statSync(inRootfs('login', 'root/.ssh')).mode & 0o777).toBe(0o700)
    expect(configText('login') + readFileSync(join(dirOf('login'), 'record.json'), 'utf8')).not.toContain('secret')
  })
})

describe('several at once', () => {
  it('of one name: one wins, the other names it or says that it exists', async () => {
    const results = await Promise.all([root.tslxc('create', 'race', '-t', 'busybox'), root.tslxc('create', 'race', '-t', 'busybox')])
    expect(results.map(({ code }) => code).sort()).toEqual([0, 1])
    expect(results.find(({ code }) => code === 1)?.stderr).toMatch(/Container already exists|is locked by 'tslxc create' \(pid \d+/)
  })

  it('of several names: all work', async () => {
    const names = ['m1', 'm2', 'm3', 'm4']
    await Promise.all(names.map((name) => create(name)))
    expect(new Set(names.map((name) => configOf(name).net[0]?.ipv4?.address)).size).toBe(4)
    expect(new Set(names.map((name) => configOf(name).idmap?.[0])).size).toBe(4)
  })
})

describe('interrupted', () => {
  const started = (name: string) =>
    spawn(program, ['create', name, '-t', 'busybox', '-F'], {
      env: { ...process.env, TSLXC_ROOT: root.path, NODE_EXTRA_CA_CERTS: '' },
      stdio: 'ignore',
    })

  it('by SIGTERM it undoes; killed, the next create of the name cleans up', async () => {
    for (const signal of ['SIGTERM', 'SIGKILL'] as const)
      for (const afterMs of [60, 120, 200, 280]) {
        const child = started('cut')
        await sleep(afterMs)
        child.kill(signal)
        await new Promise((resolve) => child.on('close', resolve))
        if (signal === 'SIGTERM' && !existsSync(join(dirOf('cut'), 'config.yaml'))) nothingLeft('cut')
        expect(await root.ok('ls', '-1')).toSatisfy(
          (text: string) => existsSync(join(dirOf('cut'), 'config.yaml')) || !text.includes('cut'),
        )
        const again = await root.tslxc('create', 'cut', '-t', 'busybox')
        expect(again.code === 0 || again.stderr.includes('Container already exists')).toBe(true)
        await root.ok('destroy', 'cut')
        nothingLeft('cut')
      }
  })
})

describe('a damaged cache', () => {
  it('is noticed and made again', async () => {
    const cache = { env: { TSLXC_CACHE: join(root.path, 'own-cache') } }
    await root.tslxcWith(cache, 'image', 'fetch', 'busybox')
    const images = join(root.path, 'own-cache/images')
    const [entry = ''] = readdirSync(images).filter((name) => /^[0-9a-f]{32}$/.test(name))
    const [rootfs = ''] = readdirSync(join(images, entry)).filter((name) => name.startsWith('rootfs-'))
    symlinkSync('/etc/passwd', join(images, entry, rootfs, 'planted'))
    const { code, stderr } = await root.tslxcWith(cache, 'create', 'mended', '-t', 'busybox')
    expect(code).toBe(0)
    expect(stderr).toContain("the cached image 'busybox' is damaged ('planted' was added): fetching it again")
    expect(existsSync(inRootfs('mended', 'planted'))).toBe(false)
  })
})

describe('image', () => {
  it('lists, and removes what containers were copied from', async () => {
    const before = JSON.parse(await root.ok('image', 'ls', '--json')) as { fingerprint: string; about: string }[]
    const image = before.find(({ about }) => about === 'busybox')
    expect(image).toBeDefined()
    await root.ok('image', 'rm', image?.fingerprint.slice(0, 10) ?? '')
    expect(JSON.parse(await root.ok('image', 'ls', '--json'))).not.toContainEqual(
      expect.objectContaining({ fingerprint: image?.fingerprint }),
    )
    expect(await root.ok('image', 'fetch', 'busybox')).toMatch(/^busybox: fetched, /)
    expect(await root.ok('image', 'fetch', 'busybox')).toMatch(/^busybox: already in the cache, /)
    expect((await root.tslxc('image', 'rm', 'ffff')).stderr).toContain("cannot remove image 'ffff': there is no such image")
  })
})
