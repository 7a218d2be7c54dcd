/** The road every user walks first, with a real Debian. The image was fetched before, outside of this network namespace. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it, type TestContext } from 'vitest'
import { expectNoLeaks } from '../helpers/leaks.ts'
import { needs } from '../helpers/needs.ts'
import { makeRoot, type TestRoot } from '../helpers/root.ts'

const hasImage = readdirSafe(join(process.env.TSLXC_TEST_CACHE ?? '', 'images')).length > 0
const BOOT_MS = 60_000

let root: TestRoot
let shared: string

function readdirSafe(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

/** What a command prints inside; it must succeed. */
const inside = (name: string, ...command: string[]): Promise<string> => root.ok('attach', name, '--', ...command)
const state = async (name: string): Promise<string> => (await root.ok('info', '-n', name, '-sH')).trim()
const addresses = async (name: string): Promise<string[]> =>
  (await inside(name, 'ip', '-o', '-4', 'address', 'show', 'dev', 'eth0')).match(/\d+\.\d+\.\d+\.\d+\/\d+/g) ?? []

async function booted(name: string): Promise<string> {
  const deadline = Date.now() + BOOT_MS
  for (;;) {
    const { stdout } = await root.tslxc('attach', name, '--', 'systemctl', 'is-system-running')
    if (['running', 'degraded'].includes(stdout.trim()) || Date.now() > deadline) return stdout.trim()
    await sleep(200)
  }
}

function get(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request(url, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString()
      })
      response.on('end', () => resolve(text))
    })
      .on('error', reject)
      .end()
  })
}

/** perl-base is part of every Debian. */
const SERVER = `use IO::Socket::INET; $SIG{PIPE}='IGNORE';
my $s = IO::Socket::INET->new(LocalPort => 80, Listen => 5, ReuseAddr => 1) or die; $| = 1; print "ready\\n";
while (my $c = $s->accept) { <$c>; open my $f, '<', '/srv/www/index.html'; print $c "HTTP/1.0 200 OK\\r\\n\\r\\n", <$f>; close $c }`

const needsImage = (context: TestContext) => needs(context, hasImage, "no image in the tests' cache: 'npm run test:system' fetches it")

expectNoLeaks()

describe('a Debian container', () => {
  beforeEach(needsImage)
  beforeAll(async () => {
    if (!hasImage) return
    root = makeRoot()
    shared = join(root.path, 'www')
    mkdirSync(shared)
    writeFileSync(join(shared, 'index.html'), 'a page of the host\n')
    await root.ok('network', 'up')
    await root.ok('create', 'web', '-t', 'debian', '--ip', '10.0.4.10', '--share', `${shared}:/srv/www`)
    await root.ok('start', 'web')
    await booted('web')
  })
  afterAll(async () => {
    if (!hasImage) return
    for (const name of ['web', 'db']) await root.tslxc('stop', '-k', name)
    await root.tslxc('network', 'down', '--force')
    await root.remove()
  })

  it('boots to the end, without a failed unit', async () => {
    expect(await inside('web', 'systemctl', '--failed', '--no-legend', '--plain')).toBe('')
    expect(await booted('web')).toBe('running')
    expect(await inside('web', 'cat', '/proc/1/comm')).toBe('systemd\n')
  })

  it('has the address it was given, and no other', async () => {
    expect(await addresses('web')).toEqual(['10.0.4.10/24'])
    expect(await inside('web', 'ip', 'route', 'show', 'default')).toContain('default via 10.0.4.1 dev eth0')
    expect(await root.ok('info', '-n', 'web', '-iH')).toBe('10.0.4.10\n')
    // Nobody inside asks for another one, now or in a minute.
    expect(await inside('web', 'sh', '-c', 'ls /run/systemd/netif/leases; pgrep -x dhclient; true')).toBe('')
    expect(await root.ok('ls', '-f')).toMatch(/web +RUNNING .*10\.0\.4\.10/)
  })

  it('knows its own name, the bridge and the other containers by name', async () => {
    expect(await inside('web', 'hostname')).toBe('web\n')
    expect(await inside('web', 'getent', 'hosts', 'web')).toContain('127.0.1.1')
    expect(await inside('web', 'cat', '/etc/resolv.conf')).toContain('nameserver 10.0.4.1')
    expect(await inside('web', 'ping', '-c', '1', '-W', '5', '10.0.4.1')).toContain(' 0% packet loss')
  })

  it('serves a page from the shared directory', async () => {
    await inside('web', 'systemd-run', '--quiet', '--unit=pages', 'perl', '-e', SERVER)
    await inside('web', 'sh', '-c', 'for i in $(seq 50); do ss -ltn | grep -q :80 && exit 0; sleep 0.1; done; exit 1')
    expect(await get('http://10.0.4.10/')).toBe('a page of the host\n')
    writeFileSync(join(shared, 'index.html'), 'another one\n')
    expect(await get('http://10.0.4.10/')).toBe('another one\n')
  })

  it('shows files on the share with the owners they have', async () => {
    writeFileSync(join(shared, 'page'), '')
    const { chownSync } = await import('node:fs')
    chownSync(join(shared, 'page'), 1000, 33)
    expect(await inside('web', 'stat', '-c', '%u:%g', '/srv/www/page')).toBe('1000:33\n')
    chownSync(shared, 33, 33)
    await inside('web', 'setpriv', '--reuid=33', '--regid=33', '--clear-groups', 'touch', '/srv/www/by-www-data')
    expect(statSync(join(shared, 'by-www-data'))).toMatchObject({ uid: 33, gid: 33 })
  })

  it('is not root on the host', async () => {
    const pid = Number(await root.ok('info', '-n', 'web', '-pH'))
    expect(statSync(`/proc/${pid}`).uid).toBeGreaterThanOrEqual(1_000_000)
    expect(await inside('web', 'id', '-u')).toBe('0\n')
  })

  it('keeps its root locked, and offers a login on its terminals', async () => {
    expect(await inside('web', 'getent', 'shadow', 'root')).toMatch(/^root:[!*]/)
    const gettys = await inside('web', 'systemctl', 'list-units', '--no-legend', '--plain', '--state=running', '*getty*')
    expect(gettys.match(/^\S+/gm)?.sort()).toEqual(['console-getty.service', ...[1, 2, 3, 4].map((number) => `getty@tty${number}.service`)])
  })

  it('makes ssh host keys of its own', async () => {
    expect(await inside('web', 'ls', '/etc/ssh')).toContain('ssh_host_ed25519_key.pub')
    expect(await inside('web', 'systemctl', 'is-active', 'ssh')).toBe('active\n')
  })

  it('reboots from inside, with the same address and files', async () => {
    await inside('web', 'sh', '-c', 'echo kept > /root/file; sync')
    const before = await root.ok('info', '-n', 'web', '-pH')
    await root.tslxc('attach', 'web', '--', 'systemctl', 'reboot')
    const deadline = Date.now() + BOOT_MS
    while (Date.now() < deadline) {
      const now = (await root.tslxc('info', '-n', 'web', '-pH')).stdout
      if (now.trim() !== '' && now !== before) break
      await sleep(100)
    }
    expect(await booted('web')).toBe('running')
    expect(await addresses('web')).toEqual(['10.0.4.10/24'])
    expect(await inside('web', 'cat', '/root/file')).toBe('kept\n')
  })

  it('takes an edited address at its next start', async () => {
    await root.ok('config', 'set', 'web', 'net.0.ipv4.address', '10.0.4.30/24')
    expect(await addresses('web')).toEqual(['10.0.4.10/24'])
    await root.ok('stop', 'web')
    expect(await state('web')).toBe('STOPPED')
    await root.ok('start', 'web')
    expect(await booted('web')).toBe('running')
    expect(await addresses('web')).toEqual(['10.0.4.30/24'])
    expect(await inside('web', 'cat', '/root/file')).toBe('kept\n')
  })

  it('has a sibling from the same image that shares nothing with it, and finds it by name', async () => {
    await root.ok('create', 'db', '-t', 'debian', '--ip', 'auto')
    await root.ok('start', 'db')
    expect(await booted('db')).toBe('running')
    const identity = (name: string) =>
      inside(name, 'sh', '-c', 'cat /etc/machine-id /etc/ssh/ssh_host_*_key.pub; hostname; cat /sys/class/net/eth0/address')
    const [web, db] = [(await identity('web')).split('\n'), (await identity('db')).split('\n')]
    expect(web.filter((line) => line !== '' && db.includes(line))).toEqual([])
    expect(await inside('db', 'getent', 'ahostsv4', 'web')).toContain('10.0.4.30')
    expect(await inside('db', 'ping', '-c', '1', '-W', '5', 'web')).toContain(' 0% packet loss')
  })

  it('shuts down cleanly', async () => {
    const { code, stderr } = await root.tslxc('stop', 'db')
    expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining('SIGRTMIN+3') })
    expect(await state('db')).toBe('STOPPED')
    await root.ok('destroy', 'db')
    expect(existsSync(join(root.lxcpath, 'db'))).toBe(false)
  })
})

describe('the Debian image', () => {
  beforeEach(needsImage)
  const images = join(process.env.TSLXC_TEST_CACHE ?? '', 'images')
  const rootfs = (): string => {
    for (const entry of readdirSafe(images).filter((name) => /^[0-9a-f]{32}$/.test(name))) {
      const record = JSON.parse(readFileSync(join(images, entry, 'image.json'), 'utf8')) as { about: string; volume: { path: string } }
      if (record.about.startsWith('debian bookworm')) return record.volume.path
    }
    throw new Error('no Debian image')
  }

  it('holds nothing of the host that made it', () => {
    const root = rootfs()
    expect(existsSync(join(root, 'etc/hostname'))).toBe(false)
    expect(statSync(join(root, 'etc/machine-id')).size).toBe(0)
    expect(readdirSync(join(root, 'etc/ssh')).filter((name) => name.startsWith('ssh_host_'))).toEqual([])
    for (const dir of ['var/lib/apt/lists', 'run', 'tmp', 'var/cache/apt/archives']) expect(readdirSync(join(root, dir))).toEqual([])
    expect(existsSync(join(root, 'var/lib/dbus/machine-id'))).toBe(false)
    expect(existsSync(join(root, 'usr/sbin/policy-rc.d'))).toBe(false)
  })

  it('binds its package sources to the key they were fetched with', () => {
    const text = readFileSync(join(rootfs(), 'etc/apt/sources.list.d/debian.sources'), 'utf8')
    expect(text.match(/^Suites: .*$/gm)).toEqual(['Suites: bookworm', 'Suites: bookworm-updates', 'Suites: bookworm-security'])
    expect(text.match(/^Signed-By: .*$/gm)).toEqual(Array(3).fill('Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg'))
  })
})
