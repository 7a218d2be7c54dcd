import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { releaseAddresses, reserveAddress } from '../../src/network/leases.ts'
import { makePaths, type Paths } from '../../src/platform/paths.ts'
import { connect, NetNamespace, type Outcome } from '../helpers/net-namespace.ts'

const CHECKOUT = join(import.meta.dirname, '../..')
const PROGRAM = join(CHECKOUT, 'bin/run.cjs')

let root: string
let paths: Paths
let host: NetNamespace
const started: ChildProcess[] = []

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'tslxc-network-'))
  paths = makePaths({ root, installRoot: CHECKOUT })
  host = await NetNamespace.make()
})

afterEach(() => {
  for (const name of ['tslxcbr0', 'two']) tslxc('network', 'down', '--force', name)
  for (const child of started.splice(0)) child.kill('SIGKILL')
  host[Symbol.dispose]()
  rmSync(root, { recursive: true, force: true })
})

const tslxcIn = (ns: NetNamespace, ...words: string[]): Outcome =>
  ns.run([process.execPath, PROGRAM, ...words], { env: { TSLXC_ROOT: root } })
const tslxc = (...words: string[]): Outcome => tslxcIn(host, ...words)
const forwarding = (): string => host.must('cat', '/proc/sys/net/ipv4/ip_forward').trim()
const setForwarding = (value: string): void => void host.must('sh', '-c', `echo ${value} > /proc/sys/net/ipv4/ip_forward`)
const pidFile = () => join(root, 'run/tslxc/networks/tslxcbr0/dnsmasq.pid')
const dnsmasqPid = (): number => Number(readFileSync(pidFile(), 'utf8'))
const file = (bridge = 'tslxcbr0'): string => join(root, 'etc/tslxc/networks', `${bridge}.yaml`)

interface Shown {
  readonly state: string
  readonly missing: readonly string[]
  readonly network: string
}
const shown = (bridge = 'tslxcbr0'): Shown => (JSON.parse(tslxc('network', 'show', bridge, '--json').stdout) as Shown[])[0] as Shown

/** A machine with a cable into the bridge, as a container's veth would be. */
async function guestOn(bridge: string, cable: string): Promise<NetNamespace> {
  const guest = await NetNamespace.make()
  connect({ ns: host, name: cable }, { ns: guest, name: 'eth0' })
  host.must('ip', 'link', 'set', cable, 'master', bridge)
  return guest
}

async function servePeerAddress(ns: NetNamespace, port: number): Promise<void> {
  const script = `require('net').createServer((c) => c.end(c.remoteAddress)).listen(${port}, '0.0.0.0', () => console.log('ready'))`
  const child = ns.start([process.execPath, '-e', script])
  started.push(child)
  if (child.stdout !== null) await once(child.stdout, 'data')
}

function fetchFrom(ns: NetNamespace, address: string, port: number): string {
  const script = `require('net').connect({ host: '${address}', port: ${port}, timeout: 3000 }).on('data', (d) => process.stdout.write(d)).on('timeout', () => process.exit(1)).on('error', () => process.exit(1))`
  return ns.run([process.execPath, '-e', script]).stdout
}

describe('network up and down', () => {
  it('makes all, changes nothing the second time, takes all back', () => {
    const first = tslxc('network', 'up')
    expect(first).toMatchObject({ status: 0, stderr: '' })
    expect(first.stdout).toContain('made bridge tslxcbr0')
    expect(shown()).toMatchObject({ state: 'up', missing: [], network: '10.0.4.0/24' })
    expect(tslxc('network', 'up').stdout).toBe('already up, nothing changed\n')
    expect(tslxc('network', 'down').status).toBe(0)
    expect(host.must('ip', '-br', 'link')).not.toContain('tslxcbr0')
    expect(host.must('nft', 'list', 'tables')).toBe('')
    expect(forwarding()).toBe('0')
    expect(existsSync(pidFile())).toBe(false)
    expect(tslxc('network', 'down').stdout).toBe('not up, nothing changed\n')
    expect(existsSync(file())).toBe(true)
  })

  it('is safe when several run at once', async () => {
    const runs = [1, 2, 3, 4].map(() => host.start([process.execPath, PROGRAM, 'network', 'up'], { env: { TSLXC_ROOT: root } }))
    const codes = await Promise.all(runs.map(async (child) => (await once(child, 'exit'))[0] as number))
    expect(codes).toEqual([0, 0, 0, 0])
    expect(shown()).toMatchObject({ state: 'up' })
    expect(host.must('nft', 'list', 'ruleset').match(/masquerade/g)).toHaveLength(1)
    expect(host.must('ip', '-br', 'addr', 'show', 'tslxcbr0').match(/10\.0\.4\.1/g)).toHaveLength(1)
  })

  it('gives IPv4 forwarding back as found, once the last network is down', () => {
    tslxc('network', 'up')
    tslxc('network', 'up')
    tslxc('network', 'up', 'two')
    expect(shown('two')).toMatchObject({ state: 'up', network: '10.0.5.0/24' })
    tslxc('network', 'down')
    expect(forwarding()).toBe('1')
    tslxc('network', 'down', 'two')
    expect(forwarding()).toBe('0')
    setForwarding('1')
    tslxc('network', 'up')
    tslxc('network', 'down')
    expect(forwarding()).toBe('1')
  })

  it('leaves the rules of other programs alone', () => {
    host.run(['nft', '-f', '-'], {
      input:
        'table inet filter { chain forward { type filter hook forward priority 0; policy drop; counter } }\ntable ip nat { chain post { type nat hook postrouting priority 100; } }\n',
    })
    const before = host.must('nft', 'list', 'ruleset')
    tslxc('network', 'up')
    expect(host.must('nft', 'list', 'ruleset')).toContain(before.trimEnd())
    tslxc('network', 'down')
    expect(host.must('nft', 'list', 'ruleset')).toBe(before)
  })

  it('takes another network when the default one overlaps an address or a route, and says so', () => {
    host.must('ip', 'link', 'add', 'lan', 'type', 'bridge')
    host.must('ip', 'addr', 'add', '10.0.4.7/23', 'dev', 'lan')
    host.must('ip', 'link', 'set', 'lan', 'up')
    host.must('ip', 'route', 'add', '10.0.6.0/24', 'via', '10.0.4.9')
    const up = tslxc('network', 'up')
    expect(up.stdout).toContain('10.0.4.0/24 overlaps the address 10.0.4.7/23 of lan: took 10.0.7.0/24 instead')
    expect(shown()).toMatchObject({ state: 'up', network: '10.0.7.0/24' })
  })

  it('refuses a file whose addresses the host has elsewhere', () => {
    tslxc('network', 'up')
    tslxc('network', 'down')
    host.must('ip', 'link', 'add', 'lan', 'type', 'bridge')
    host.must('ip', 'addr', 'add', '10.0.4.7/24', 'dev', 'lan')
    const up = tslxc('network', 'up')
    expect(up.status).toBe(1)
    expect(up.stderr).toContain(`cannot bring up network 'tslxcbr0': 10.0.4.0/24 overlaps the address 10.0.4.7/24 of lan`)
    expect(up.stderr).toContain(`hint: set another ipv4.address in ${file()}`)
    expect(host.must('ip', '-br', 'link')).not.toContain('tslxcbr0')
  })

  it("does not take somebody else's bridge", () => {
    host.must('ip', 'link', 'add', 'br0', 'type', 'bridge')
    expect(tslxc('network', 'up', 'br0')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('give it to a container with --link br0') as string,
    })
    expect(existsSync(file('br0'))).toBe(false)
  })

  it('serves a bridge of the admin that a file describes, and leaves it in place', () => {
    host.must('ip', 'link', 'add', 'lan0', 'type', 'bridge')
    mkdirSync(join(root, 'etc/tslxc/networks'), { recursive: true })
    writeFileSync(file('lan0'), 'bridge: lan0\nipv4: { address: 10.9.8.1/24 }\n')
    expect(tslxc('network', 'up', 'lan0')).toMatchObject({ status: 0 })
    expect(shown('lan0')).toMatchObject({ state: 'up' })
    expect(tslxc('network', 'down', 'lan0')).toMatchObject({ status: 0 })
    const addresses = host.must('ip', '-br', 'addr', 'show', 'lan0')
    expect(addresses).toContain('lan0')
    expect(addresses).not.toContain('10.9.8.1')
  })

  it('says who to look for when the DNS port is taken', () => {
    host.must('dnsmasq', '--conf-file=/dev/null', `--pid-file=${root}/other.pid`, '--no-resolv')
    const up = tslxc('network', 'up')
    process.kill(Number(readFileSync(join(root, 'other.pid'), 'utf8')), 'SIGTERM')
    expect(up.status).toBe(1)
    expect(up.stderr).toMatch(
      /cannot start dnsmasq for 'tslxcbr0': failed to create listening socket .*[Aa]ddress already in use\n {2}hint: find the other server/,
    )
    expect(tslxc('network', 'up').stdout).toBe('started dnsmasq on 10.0.4.1\n')
  })

  it('follows an edited file', () => {
    tslxc('network', 'up')
    writeFileSync(file(), 'bridge: tslxcbr0\nipv4: { address: 10.9.8.1/24, nat: false }\ndns: false\n')
    expect(tslxc('network', 'up').status).toBe(0)
    expect(shown()).toMatchObject({ state: 'up', network: '10.9.8.0/24' })
    expect(host.must('nft', 'list', 'tables')).toBe('')
    expect(host.must('ip', '-br', 'addr', 'show', 'tslxcbr0')).not.toContain('10.0.4.1')
    expect(existsSync(pidFile())).toBe(false)
  })

  it('names file, line and column of a mistake', () => {
    tslxc('network', 'up')
    writeFileSync(file(), 'bridge: tslxcbr0\nipv4:\n  address: 10.0.4.1\n')
    expect(tslxc('network', 'up').stderr).toContain(`${file()}:3:12: ipv4.address is not ADDRESS/PREFIX`)
  })

  it('refuses to go down under a plugged-in container unless forced', async () => {
    tslxc('network', 'up')
    using guest = await guestOn('tslxcbr0', 'cable0')
    expect(guest.pid).toBeGreaterThan(0)
    const down = tslxc('network', 'down')
    expect(down.status).toBe(1)
    expect(down.stderr).toContain("cannot take down network 'tslxcbr0': it is in use by cable0")
    expect(shown()).toMatchObject({ state: 'up' })
    expect(tslxc('network', 'down', '--force').status).toBe(0)
  })
})

describe('after a crash', () => {
  it('starts a killed dnsmasq again, whatever the pid file says', async () => {
    tslxc('network', 'up')
    process.kill(dnsmasqPid(), 'SIGKILL')
    await sleep(50)
    expect(shown()).toMatchObject({ state: 'partly', missing: ['dnsmasq is not running'] })
    writeFileSync(pidFile(), `${process.pid}\n`)
    expect(tslxc('network', 'up').stdout).toBe('started dnsmasq on 10.0.4.1\n')
    expect(shown()).toMatchObject({ state: 'up' })
    rmSync(pidFile())
    expect(tslxc('network', 'up').stdout).toBe('already up, nothing changed\n')
    expect(tslxc('network', 'down').stdout).toContain('ended dnsmasq')
  })

  it('recovers from a kill at any moment of up', async () => {
    for (let waitMs = 40; waitMs <= 240; waitMs += 20) {
      const child = spawn('nsenter', [`--net=/proc/${host.pid}/ns/net`, process.execPath, PROGRAM, 'network', 'up'], {
        stdio: 'ignore',
        env: { ...process.env, TSLXC_ROOT: root },
      })
      const exited = once(child, 'exit')
      await sleep(waitMs)
      child.kill('SIGKILL')
      await exited
      expect(tslxc('network', 'up').status).toBe(0)
      expect(shown()).toMatchObject({ state: 'up', missing: [] })
      expect(tslxc('network', 'down').status).toBe(0)
      expect(forwarding()).toBe('0')
      expect(host.must('ip', '-br', 'link')).not.toContain('tslxcbr0')
      expect(host.must('nft', 'list', 'tables')).toBe('')
    }
  })
})

describe('what a container gets', () => {
  it('reaches the world by NAT, with the address of the host', async () => {
    using world = await NetNamespace.make()
    connect({ ns: host, name: 'uplink' }, { ns: world, name: 'eth0' })
    host.must('ip', 'addr', 'add', '198.51.100.2/24', 'dev', 'uplink')
    world.must('ip', 'addr', 'add', '198.51.100.1/24', 'dev', 'eth0')
    tslxc('network', 'up')
    using guest = await guestOn('tslxcbr0', 'cable0')
    guest.must('ip', 'addr', 'add', '10.0.4.10/24', 'dev', 'eth0')
    guest.must('ip', 'route', 'add', 'default', 'via', '10.0.4.1')
    await servePeerAddress(world, 8080)
    await servePeerAddress(host, 8081)
    expect(fetchFrom(guest, '198.51.100.1', 8080)).toBe('198.51.100.2')
    expect(fetchFrom(guest, '10.0.4.1', 8081)).toBe('10.0.4.10')
  })

  it('resolves names of containers, and upstream names by the host’s servers', async () => {
    using world = await NetNamespace.make()
    connect({ ns: host, name: 'uplink' }, { ns: world, name: 'eth0' })
    host.must('ip', 'addr', 'add', '198.51.100.2/24', 'dev', 'uplink')
    world.must('ip', 'addr', 'add', '198.51.100.1/24', 'dev', 'eth0')
    const upstream = world.start([
      'dnsmasq',
      '--keep-in-foreground',
      '--conf-file=/dev/null',
      '--pid-file=',
      '--no-resolv',
      '--no-hosts',
      '--address=/www.example.org/203.0.113.5',
    ])
    started.push(upstream)
    const resolvConf = join(root, 'resolv.conf')
    writeFileSync(resolvConf, 'nameserver 198.51.100.1\n', { mode: 0o644 })
    host.must('mount', '--bind', resolvConf, '/etc/resolv.conf')
    tslxc('network', 'up')
    const owner = { lxcpath: paths.lxcpath, name: 'web' }
    const request = { ...owner, link: 'tslxcbr0', index: 0, hwaddr: '02:00:00:00:00:01', command: 'test' }
    expect(await reserveAddress(paths, { ...request, ip: { kind: 'auto' } })).toEqual({ address: '10.0.4.2', prefix: 24, gateway: 'auto' })
    using guest = await guestOn('tslxcbr0', 'cable0')
    guest.must('ip', 'addr', 'add', '10.0.4.10/24', 'dev', 'eth0')
    const ask = (name: string) => guest.run(['busybox', 'nslookup', name, '10.0.4.1']).stdout
    await expect.poll(() => ask('web')).toContain('Address: 10.0.4.2')
    expect(ask('web.tslxc')).toContain('Address: 10.0.4.2')
    expect(ask('www.example.org')).toContain('Address: 203.0.113.5')
    await releaseAddresses(paths, owner)
    await expect.poll(() => ask('web.tslxc')).not.toContain('10.0.4.2')
  })

  it('gets a lease, and the reserved address by its hardware address', async () => {
    tslxc('network', 'up')
    using guest = await guestOn('tslxcbr0', 'cable0')
    const lease = () =>
      guest.run(['busybox', 'udhcpc', '-i', 'eth0', '-n', '-q', '-f', '-t', '5', '-T', '1', '-s', '/bin/true', '-F', 'guest']).stderr
    expect(lease()).toMatch(/lease of 10\.0\.4\.1\d\d obtained/)
    expect(tslxc('network', 'show').stdout).toMatch(/Lease: +10\.0\.4\.1\d\d guest\n/)
    const hwaddr = (JSON.parse(guest.must('ip', '-j', 'link', 'show', 'eth0')) as { address: string }[])[0]?.address ?? ''
    const request = { lxcpath: paths.lxcpath, name: 'db', link: 'tslxcbr0', index: 0, hwaddr, command: 'test' }
    await reserveAddress(paths, { ...request, ip: { kind: 'static', address: '10.0.4.77' } })
    await expect.poll(lease).toContain('lease of 10.0.4.77 obtained')
  })
})

describe("a bridge of the LAN, in the test's own namespace", () => {
  const bridge = 'br9'
  const ip = (...words: string[]) => expect(spawnSync('ip', words, { encoding: 'utf8' })).toMatchObject({ status: 0 })

  beforeEach(() => {
    ip('link', 'add', 'name', bridge, 'type', 'bridge')
    ip('addr', 'add', '192.168.77.5/24', 'dev', bridge)
    ip('link', 'set', bridge, 'up')
  })
  afterEach(() => ip('link', 'del', bridge))

  const ask = (address: string, link = bridge) =>
    reserveAddress(paths, {
      lxcpath: paths.lxcpath,
      name: 'web',
      link,
      index: 0,
      hwaddr: '02:00:00:00:00:09',
      command: 'test',
      ip: { kind: 'static', address },
    })

  it('asks the machines there whether an address is free', async () => {
    using neighbour = await NetNamespace.make()
    ip('link', 'add', 'cable9', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(neighbour.pid))
    ip('link', 'set', 'cable9', 'master', bridge, 'up')
    neighbour.must('ip', 'addr', 'add', '192.168.77.50/24', 'dev', 'eth0')
    neighbour.must('ip', 'link', 'set', 'eth0', 'up')
    await expect(ask('192.168.77.50')).rejects.toThrow(/cannot use address 192\.168\.77\.50: [0-9a-f:]{17} answers for it on 'br9'/)
    await expect(ask('192.168.77.5')).rejects.toThrow('it is the address of bridge')
    expect(await ask('192.168.77.51')).toEqual({ address: '192.168.77.51', prefix: 24, gateway: 'auto' })
  })

  it("takes the host's router where the default route leaves by the bridge", async () => {
    ip('route', 'add', 'default', 'via', '192.168.77.1')
    expect(await ask('192.168.77.51')).toEqual({ address: '192.168.77.51', prefix: 24, gateway: '192.168.77.1' })
  })

  it('refuses an interface that is no bridge', async () => {
    await expect(ask('192.168.77.51', 'lo')).rejects.toThrow("cannot use bridge 'lo': it is a physical interface, not a bridge")
  })
})
