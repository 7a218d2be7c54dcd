/** Copies and other names: what is the same afterwards, what must not be, and what is refused. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { parse } from 'yaml'
import { expectNoLeaks } from '../helpers/leaks.ts'
import { makeRoot } from '../helpers/root.ts'

interface WrittenConfig {
  readonly uts: { readonly name: string }
  readonly rootfs: { readonly path: string }
  readonly idmap: readonly string[]
  readonly net: readonly { readonly hwaddr: string; readonly link: string; readonly ipv4?: { readonly address: string } }[]
}

expectNoLeaks()
const root = makeRoot()
beforeAll(async () => {
  await root.ok('network', 'up')
  await root.ok('create', 'web', '-t', 'busybox')
  writeFileSync(join(root.lxcpath, 'web/config.yaml'), `${configText('web')}# a remark of mine\n`)
})
afterAll(async () => {
  await root.tslxc('network', 'down', '--force')
  await root.remove()
})

const dirOf = (name: string) => join(root.lxcpath, name)
const configText = (name: string) => readFileSync(join(dirOf(name), 'config.yaml'), 'utf8')
const configOf = (name: string) => parse(configText(name)) as WrittenConfig
const inRootfs = (name: string, path: string) => join(dirOf(name), 'rootfs', path)
const recordOf = (name: string) => JSON.parse(readFileSync(join(dirOf(name), 'record.json'), 'utf8'))
const allocated = (file: string) => JSON.parse(readFileSync(join(root.lxcpath, '.alloc', file), 'utf8'))
const owners = (file: 'ids' | 'leases'): string[] =>
  (file === 'ids' ? allocated('ids.json').ranges : allocated('leases.json').leases).map(({ name }: { name: string }) => name).sort()
const refused = async (...words: string[]) => {
  const { code, stderr } = await root.tslxc('copy', ...words)
  expect(code).toBe(1)
  return stderr
}
const visible = () => readdirSync(root.lxcpath).filter((entry) => !entry.startsWith('.'))

describe('a full copy', () => {
  it('has a name, addresses and ids of its own; the rest, remarks included, is as in the source', async () => {
    writeFileSync(inRootfs('web', 'etc/machine-id'), `${'a'.repeat(32)}\n`)
    writeFileSync(inRootfs('web', 'data'), 'content\n')
    expect(await root.ok('copy', 'web', 'web2')).toBe('Created web2 as clone of web\n')
    const [source, copy] = [configOf('web'), configOf('web2')]
    expect(copy.uts.name).toBe('web2')
    expect(copy.rootfs.path).toBe(`dir:${dirOf('web2')}/rootfs`)
    expect(copy.idmap).not.toEqual(source.idmap)
    expect(copy.net[0]?.hwaddr).not.toBe(source.net[0]?.hwaddr)
    expect(copy.net[0]?.ipv4?.address).not.toBe(source.net[0]?.ipv4?.address)
    expect(copy.net[0]?.link).toBe('tslxcbr0')
    expect(configText('web2')).toContain('# a remark of mine\n')
    expect(readFileSync(inRootfs('web2', 'data'), 'utf8')).toBe('content\n')
    expect(readFileSync(inRootfs('web2', 'etc/machine-id'), 'utf8')).toMatch(/^[0-9a-f]{32}\n$/)
    expect(readFileSync(inRootfs('web2', 'etc/machine-id'), 'utf8')).not.toContain('aaaa')
    expect(recordOf('web2')).toMatchObject({ template: 'busybox', clonedFrom: { lxcpath: root.lxcpath, name: 'web' } })
    expect(recordOf('web2').uuid).not.toBe(recordOf('web').uuid)
    expect(owners('ids')).toEqual(['web', 'web2'])
    expect(owners('leases')).toEqual(['web', 'web2'])
  })

  it('runs beside its source, under its name', async () => {
    await root.ok('start', 'web')
    await root.ok('start', 'web2')
    expect((await root.ok('attach', 'web2', '--', '/bin/hostname')).trim()).toBe('web2')
    await root.ok('stop', '-k', 'web')
    await root.ok('stop', '-k', 'web2')
  })

  it('keeps the host name with -K, the hardware address with -M; --ip asks for an address', async () => {
    await root.ok('copy', '-n', 'web', '-N', 'kept', '-K', '-M', '--ip', '10.0.4.77')
    expect(configOf('kept').uts.name).toBe('web')
    expect(configOf('kept').net[0]?.hwaddr).toBe(configOf('web').net[0]?.hwaddr)
    expect(configOf('kept').net[0]?.ipv4?.address).toBe('10.0.4.77/24')
    expect(await refused('web', 'other', '--ip', '10.0.4.77')).toContain("it is in use by container 'kept'")
    expect(visible()).not.toContain('other')
    await root.ok('copy', 'web', 'asking', '--ip', 'dhcp')
    expect(configOf('asking').net[0]?.ipv4?.address).toBe('dhcp')
    for (const name of ['kept', 'asking']) await root.ok('destroy', name)
  })

  it('brings along what lies beside the configuration, with its paths', async () => {
    writeFileSync(join(dirOf('web'), 'fstab'), `${dirOf('web')}/rootfs/data mnt none bind,optional 0 0\n`)
    writeFileSync(join(dirOf('web'), 'hook.sh'), '#!/bin/sh\n', { mode: 0o755 })
    mkdirSync(join(dirOf('web'), 'big'))
    await root.ok('config', 'set', 'web', 'mount.fstab', join(dirOf('web'), 'fstab'))
    await root.ok('copy', 'web', 'web3')
    expect(readFileSync(join(dirOf('web3'), 'fstab'), 'utf8')).toBe(`${dirOf('web3')}/rootfs/data mnt none bind,optional 0 0\n`)
    expect(statSync(join(dirOf('web3'), 'hook.sh')).mode & 0o777).toBe(0o755)
    expect(existsSync(join(dirOf('web3'), 'big'))).toBe(false)
    expect(configText('web3')).toContain(`fstab: ${dirOf('web3')}/fstab`)
    await root.ok('destroy', 'web3')
    await root.ok('config', 'unset', 'web', 'mount.fstab')
  })

  it('may go to another lxcpath; ids and addresses are told apart host-wide', async () => {
    const other = join(root.path, 'other')
    await root.ok('copy', 'web', 'web', '-p', other)
    expect(parse(readFileSync(join(other, 'web/config.yaml'), 'utf8')).rootfs.path).toBe(`dir:${other}/web/rootfs`)
    expect(owners('ids')).toEqual(['web', 'web', 'web2'])
    expect(await root.ok('ls', '-P', other)).toContain('web')
    await root.ok('destroy', '-P', other, 'web')
    expect(owners('ids')).toEqual(['web', 'web2'])
  })

  it('comes in numbers, all of them or none', async () => {
    await root.ok('copy', 'web', 'n{1..3}', 'm')
    for (const name of ['n1', 'n2', 'n3', 'm']) expect(configOf(name).uts.name).toBe(name)
    expect(new Set(['web', 'web2', 'n1', 'n2', 'n3', 'm'].map((name) => configOf(name).idmap[0])).size).toBe(6)
    expect(new Set(['web', 'web2', 'n1', 'n2', 'n3', 'm'].map((name) => configOf(name).net[0]?.ipv4?.address)).size).toBe(6)
    mkdirSync(dirOf('k2'))
    writeFileSync(join(dirOf('k2'), 'mine'), '')
    expect(await refused('web', 'k{1..3}')).toContain("'k2' holds files and no config.yaml".replace("'k2'", `'${dirOf('k2')}'`))
    expect(visible().filter((name) => name.startsWith('k'))).toEqual(['k2'])
    expect(owners('ids')).toEqual(['m', 'n1', 'n2', 'n3', 'web', 'web2'])
    for (const name of ['n1', 'n2', 'n3', 'm']) await root.ok('destroy', name)
  })
})

describe('refused, with nothing left', () => {
  it.each([
    [['web', 'web2'], 'Container already exists'],
    [['nowhere', 'x'], 'Container is not defined'],
    [['web'], 'no new name was given'],
    [['web', 'a b'], "cannot use the name 'a b'"],
    [['web', 'x', 'x'], "cannot make 'x' twice"],
    [['web', 'x{1..2}', '--ip', '10.0.4.5'], 'cannot give 2 copies one address'],
    [['web', 'x', '--ip', 'nonsense'], "cannot use address 'nonsense'"],
    [['-R', 'web', 'x', 'y'], 'one new name is expected'],
    [['-R', '-s', 'web', 'x'], 'cannot use --snapshot with --rename'],
    [['-R', 'web', 'web2'], 'Container already exists'],
    [['-R', 'web', 'web'], 'it has this name'],
  ])('copy %j', async (words, message) => {
    expect(await refused(...words)).toContain(message)
    expect(visible().sort()).toEqual(['k2', 'web', 'web2'])
  })

  it('a running source, unless --allowrunning is given; its name too', async () => {
    await root.ok('start', 'web')
    expect(await refused('web', 'x')).toContain('--allowrunning')
    expect(await refused('-R', 'web', 'x')).toContain('it is running')
    await root.ok('stop', '-k', 'web')
    expect(visible()).not.toContain('x')
  })
})

describe('another name', () => {
  it('goes with the directory, the ids, the addresses and the log; a chosen host name stays', async () => {
    const before = configOf('web2')
    await root.ok('start', 'web2')
    await root.ok('stop', '-k', 'web2')
    expect(await root.ok('copy', '-R', '-n', 'web2', '-N', 'www')).toBe('Renamed web2 to www\n')
    const after = configOf('www')
    expect(after.uts.name).toBe('www')
    expect(after.rootfs.path).toBe(`dir:${dirOf('www')}/rootfs`)
    expect([after.idmap, after.net]).toEqual([before.idmap, before.net])
    expect(owners('ids')).toEqual(['web', 'www'])
    expect(owners('leases')).toEqual(['web', 'www'])
    expect(visible().sort()).toEqual(['k2', 'web', 'www'])
    await root.ok('start', 'www')
    expect((await root.ok('attach', 'www', '--', '/bin/hostname')).trim()).toBe('www')
    await root.ok('stop', '-k', 'www')
    await root.ok('config', 'set', 'www', 'uts.name', 'example')
    await root.ok('copy', '-R', 'www', 'web2')
    expect(configOf('web2').uts.name).toBe('example')
  })
})

describe('hook.clone', () => {
  it("is called with LXC's arguments and variables; what it changes counts, and its failure undoes the copy", async () => {
    const hook = join(root.path, 'hook.sh')
    const seen = join(root.path, 'seen')
    const lines = [
      `echo "$@" $LXC_SRC_NAME $LXC_NAME $LXC_ROOTFS_PATH >${seen}`,
      'echo hooked >$LXC_ROOTFS_MOUNT/etc/hooked',
      'echo "# by a hook" >>$LXC_CONFIG_FILE',
      '[ "$4" != fail ] || { echo "no way" >&2; exit 3; }',
    ]
    writeFileSync(hook, `#!/bin/sh\n${lines.join('\n')}\n`, { mode: 0o755 })
    await root.ok('config', 'set', 'web', 'hook.clone', hook)
    await root.ok('copy', 'web', 'hooked', '--', 'one', 'two')
    expect(readFileSync(seen, 'utf8')).toBe(`hooked lxc clone one two web hooked dir:${dirOf('hooked')}/rootfs\n`)
    expect(readFileSync(inRootfs('hooked', 'etc/hooked'), 'utf8')).toBe('hooked\n')
    expect(configText('hooked')).toMatch(/# by a hook\n$/)
    expect(await refused('web', 'failed', '--', 'fail')).toContain('failed with exit code 3: no way')
    expect(visible()).not.toContain('failed')
    expect(owners('ids')).not.toContain('failed')
    await root.ok('destroy', 'hooked')
    await root.ok('config', 'unset', 'web', 'hook.clone')
  })
})

describe('copy -s of a directory', () => {
  it('makes overlays of both over one layer; neither sees what the other changes', async () => {
    await root.ok('copy', '-s', 'web', 'thin')
    for (const name of ['web', 'thin']) expect(configOf(name).rootfs.path).toContain(`overlay:${root.lxcpath}/.layers/`)
    await root.ok('start', 'web', 'thin')
    await root.ok('attach', 'thin', '--', '/bin/sh', '-c', 'echo changed >/data; echo mine >/mine')
    expect(await root.ok('attach', 'web', '--', '/bin/sh', '-c', 'cat /data; ls /mine 2>/dev/null || true')).toBe('content\n')
    for (const name of ['web', 'thin']) await root.ok('stop', '-k', name)
    // A clone of a clone, and the sources away.
    await root.ok('copy', '-s', 'thin', 'thinner')
    await root.ok('destroy', 'thin')
    await root.ok('start', 'thinner')
    expect(await root.ok('attach', 'thinner', '--', '/bin/cat', '/data')).toBe('changed\n')
    await root.ok('stop', '-k', 'thinner')
    await root.ok('destroy', 'thinner')
  })

  it('of a running one is a full copy, which is said', async () => {
    await root.ok('copy', '-B', 'dir', 'web', 'plain')
    await root.ok('start', 'plain')
    const { code, stderr } = await root.tslxc('copy', '-s', '-a', 'plain', 'full')
    expect(code).toBe(0)
    expect(stderr).toContain("'plain' runs, so its directory can't be shared: this is a full copy")
    expect(configOf('full').rootfs.path).toBe(`dir:${dirOf('full')}/rootfs`)
    expect((await root.ok('info', '-sH', 'plain')).trim()).toBe('RUNNING')
    await root.ok('stop', '-k', 'plain')
    for (const name of ['plain', 'full']) await root.ok('destroy', name)
  })
})

describe('copy -B', () => {
  it('brings the content to any other storage, and back', async () => {
    await root.ok('copy', '-B', 'loop', 'web', 'l1', '-L', '400M')
    await root.ok('copy', 'l1', 'l2', '--fstype', 'xfs')
    await root.ok('copy', '-B', 'dir', 'l2', 'd1')
    expect(readFileSync(inRootfs('d1', 'data'), 'utf8')).toBe('content\n')
    await root.ok('start', 'l2')
    expect(await root.ok('attach', 'l2', '--', '/bin/cat', '/data')).toBe('content\n')
    await root.ok('stop', '-k', 'l2')
    for (const name of ['l1', 'l2', 'd1']) await root.ok('destroy', name)
  })

  it.each([
    [['-s', '-B', 'loop', 'd2', 'no'], "cannot copy 'd2' copy-on-write to 'loop'"],
    [['-B', 'nonsense', 'd2', 'no'], "cannot use the backing storage 'nonsense'"],
    [['-B', 'loop', '-L', '1X', 'd2', 'no'], "cannot use --fssize '1X'"],
  ])('copy %j is refused, and the source stays what it is', async (words, message) => {
    if (!visible().includes('d2')) await root.ok('copy', '-B', 'dir', 'web', 'd2')
    expect(await refused(...words)).toContain(message)
    expect(configOf('d2').rootfs.path).toBe(`dir:${dirOf('d2')}/rootfs`)
    expect(visible()).not.toContain('no')
  })
})

describe('copy -e', () => {
  const running = async () =>
    (await root.ok('ls', '-1', '--running'))
      .trim()
      .split(/\s+/)
      .filter((name) => name !== '')
  const gone = (name: string) => vi.waitFor(() => expect(visible()).not.toContain(name), { timeout: 10_000 })

  it('takes a random name, starts it, and it goes when it stops', async () => {
    const mounted = join(root.path, 'mounted')
    mkdirSync(mounted)
    writeFileSync(join(mounted, 'file'), 'of the host\n')
    const said = await root.ok('copy', '-e', 'web', '-m', `bind=${mounted}:/srv:ro`, '-m', `overlay=${mounted}:/mnt`)
    expect(said).toMatch(/^Created web_[A-Za-z0-9]{6} as clone of web\n$/)
    const name = said.split(' ')[1] ?? ''
    expect(await running()).toEqual([name])
    expect(await root.ok('attach', name, '--', '/bin/sh', '-c', 'cat /srv/file; echo new >/mnt/new; cat /mnt/file /mnt/new')).toBe(
      'of the host\nof the host\nnew\n',
    )
    expect((await root.tslxc('attach', name, '--', '/bin/touch', '/srv/x')).stderr).toContain('Read-only file system')
    expect(readdirSync(mounted)).toEqual(['file'])
    await root.ok('stop', '-k', name)
    await gone(name)
  })

  it('stays with -D; keeps changes in memory with -t', async () => {
    await root.ok('copy', '-e', '-D', 'web', '-N', 'staying')
    await root.ok('stop', '-k', 'staying')
    expect(visible()).toContain('staying')
    await root.ok('destroy', 'staying')
    await root.ok('copy', '-e', '-t', 'web', '-N', 'memory')
    expect(configOf('memory').rootfs.path).toContain(':/dev/shm/tslxc/')
    expect(await root.ok('attach', 'memory', '--', '/bin/sh', '-c', 'echo x >/etc/x; cat /etc/x')).toBe('x\n')
    const upper = configOf('memory').rootfs.path.split(':').at(-1) ?? ''
    expect(existsSync(join(upper, 'etc/x'))).toBe(true)
    await root.ok('stop', '-k', 'memory')
    await gone('memory')
    expect(existsSync(upper)).toBe(false)
  })

  it.each([
    [['-e', '-t', '-D', 'web'], 'cannot keep what is in memory only'],
    [['-D', 'web', 'x'], 'cannot use --keepdata without --ephemeral'],
    [['-e', 'web', '-m', 'nonsense'], "cannot use --mount 'nonsense'"],
    [['-e', 'web', '-m', 'bind=/nope'], "cannot mount '/nope': there is no such file"],
    [['-e', '-F', 'web', 'x', 'y'], 'cannot start 2 copies in the foreground'],
  ])('%j is refused', async (words, message) => {
    expect(await refused(...words)).toContain(message)
  })

  it('leaves nothing when it does not start', async () => {
    await root.ok('copy', 'web', 'broken')
    await root.ok('config', 'set', 'broken', 'init.cmd', '/no/such/init')
    expect(await refused('-e', 'broken', '-N', 'dead')).toContain('/no/such/init')
    expect(visible()).not.toContain('dead')
    await root.ok('destroy', 'broken')
  })
})

describe('two at once', () => {
  it('copies of one source go on beside each other; to one name one of them wins', async () => {
    const made = await Promise.all([root.tslxc('copy', 'd2', 'a1'), root.tslxc('copy', 'd2', 'a2'), root.tslxc('copy', 'd2', 'a2')])
    expect(made.map(({ code }) => code).sort()).toEqual([0, 0, 1])
    expect(made.find(({ code }) => code === 1)?.stderr).toContain('Container already exists')
    for (const name of ['a1', 'a2']) await root.ok('destroy', name)
  })

  it('a source is destroyed before or after its copy, not in the middle', async () => {
    for (const delay of [0, 30, 80, 150]) {
      await root.ok('copy', 'd2', 'src')
      const [copied, destroyed] = await Promise.all([
        root.tslxc('copy', 'src', 'dst'),
        sleep(delay).then(() => root.tslxc('destroy', 'src')),
      ])
      expect(destroyed.code).toBe(0)
      if (copied.code === 0) expect(readFileSync(inRootfs('dst', 'data'), 'utf8')).toBe('content\n')
      else expect(copied.stderr).toContain('Container is not defined')
      expect(visible()).not.toContain('src')
      if (copied.code === 0) await root.ok('destroy', 'dst')
      expect(visible()).not.toContain('dst')
    }
  })

  it('stop of the source waits for no copy', { timeout: 60_000 }, async () => {
    await root.ok('copy', 'd2', 'busy')
    writeFileSync(inRootfs('busy', 'large'), Buffer.alloc(300_000_000))
    await root.ok('start', 'busy')
    const copying = root.tslxc('copy', '-a', 'busy', 'busy2')
    await vi.waitFor(() => expect(existsSync(inRootfs('busy2', 'large'))).toBe(true), { timeout: 20_000, interval: 1 })
    const before = Date.now()
    await root.ok('stop', '-k', 'busy')
    const stopMs = Date.now() - before
    const { code } = await copying
    expect(stopMs).toBeLessThan(3000)
    expect([0, 1]).toContain(code)
    for (const name of ['busy', 'busy2']) if (visible().includes(name)) await root.ok('destroy', name)
  })
})

describe('destroy', () => {
  it('takes several names and patterns; trees are gone from sight at once, and from the disk a little later', async () => {
    await root.ok('copy', 'd2', 'p{1..3}', 'q')
    expect(await root.ok('destroy', 'p*', 'q')).toBe(['p1', 'p2', 'p3', 'q'].map((name) => `Destroyed container ${name}\n`).join(''))
    expect(visible().filter((name) => /^[pq]/.test(name))).toEqual([])
    await vi.waitFor(() => expect(readdirSync(join(root.lxcpath, '.trash'))).toEqual([]), { timeout: 20_000 })
  })

  it('deletes a root file system that lies elsewhere behind, too', async () => {
    const elsewhere = join(root.path, 'private/elsewhere')
    mkdirSync(join(root.path, 'private'), { mode: 0o700 })
    await root.ok('create', 'far', '-t', 'busybox', '-B', 'dir', '--dir', elsewhere)
    await root.ok('destroy', 'far')
    expect(existsSync(elsewhere)).toBe(false)
    await vi.waitFor(() => expect(readdirSync(join(root.path, 'private'))).toEqual([]), { timeout: 20_000 })
  })

  it('finishes what a crash left in the trash with the next command', async () => {
    mkdirSync(join(root.lxcpath, '.trash/abc.old/rootfs'), { recursive: true })
    await root.ok('copy', 'd2', 'next')
    await vi.waitFor(() => expect(readdirSync(join(root.lxcpath, '.trash'))).toEqual([]), { timeout: 20_000 })
    await root.ok('destroy', 'next')
  })
})

describe('tree', () => {
  it('shows who was cloned from what, also under another name, with snapshots when asked for', async () => {
    await root.createBusybox('family', '-B', 'dir')
    await root.ok('copy', 'family', 'child', 'other')
    await root.ok('copy', 'child', 'grandchild')
    await root.ok('snapshot', 'family')
    await root.ok('copy', '-R', 'child', 'kid')
    expect(await root.ok('tree', 'family')).toBe('family (dir)\n├── kid (dir)\n│   └── grandchild (dir)\n└── other (dir)\n')
    expect(await root.ok('tree', '--ascii', '-s', 'family')).toBe(
      'family (dir)\n|-- family@snap0\n|-- kid (dir)\n|   `-- grandchild (dir)\n`-- other (dir)\n',
    )
    await root.ok('destroy', 'kid')
    expect(await root.ok('tree', 'grandchild')).toBe(`grandchild (dir, from ${root.lxcpath}/child)\n`)
    expect(JSON.parse(await root.ok('tree', '--json', 'family'))[0].children.map(({ name }: { name: string }) => name)).toEqual(['other'])
    await root.ok('destroy', '-s', 'family', 'grandchild', 'other')
  })
})
