import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type AddressRequest, parseAddressRequest } from '../../../src/network/addresses.ts'
import { findLeases, readLeases, reconcileLeases, releaseAddresses, reserveAddress } from '../../../src/network/leases.ts'
import { makePaths, type Paths } from '../../../src/platform/paths.ts'

let paths: Paths

beforeEach(() => {
  const root = mkdtempSync(join(tmpdir(), 'tslxc-leases-'))
  paths = makePaths({ root, installRoot: join(import.meta.dirname, '../../..') })
  mkdirSync(join(root, 'etc/tslxc/networks'), { recursive: true })
  writeFileSync(
    join(root, 'etc/tslxc/networks/br1.yaml'),
    'bridge: br1\nipv4: { address: 10.77.0.1/24, dhcp: { range: 10.77.0.100-10.77.0.199 } }\ndomain: lab\n',
  )
  mkdirSync(paths.lxcpath, { recursive: true })
  for (const name of ['hosts.d', 'dhcp-hosts.d']) mkdirSync(join(root, 'run/tslxc/networks/br1', name), { recursive: true })
})

afterEach(() => rmSync(paths.root, { recursive: true, force: true }))

const owner = (name: string) => ({ lxcpath: paths.lxcpath, name })

function reserve(name: string, ip: string, index = 0) {
  const request: AddressRequest = parseAddressRequest(ip)
  if (request.kind === 'dhcp') throw new Error('nothing to reserve')
  return reserveAddress(paths, { ...owner(name), link: 'br1', ip: request, index, hwaddr: `02:00:00:00:00:0${index}`, command: 'test' })
}

const published = (dir: string) => readFileSync(join(paths.runBase, 'networks/br1', dir, 'containers'), 'utf8')

describe('addresses of containers', () => {
  it('are reserved, found, published and given back', async () => {
    expect(await reserve('web', '10.77.0.10')).toEqual({ address: '10.77.0.10', prefix: 24, gateway: 'auto' })
    expect(await reserve('db', 'auto')).toMatchObject({ address: '10.77.0.2' })
    expect(await findLeases(paths, owner('web'))).toMatchObject([{ network: 'br1', address: '10.77.0.10', name: 'web', index: 0 }])
    expect(published('hosts.d')).toBe('10.77.0.10 web\n10.77.0.2 db\n')
    expect(published('dhcp-hosts.d')).toContain('02:00:00:00:00:00,10.77.0.10,web\n')
    await releaseAddresses(paths, owner('web'))
    await releaseAddresses(paths, owner('web'))
    expect(published('hosts.d')).toBe('10.77.0.2 db\n')
  })

  it('are refused when another container has them, and when a compiled plan has them', async () => {
    await reserve('web', '10.77.0.10')
    await expect(reserve('db', '10.77.0.10')).rejects.toThrow("cannot use address 10.77.0.10: it is in use by container 'web'")
    mkdirSync(join(paths.lxcpath, 'byhand'))
    const spec = { network: [{ link: 'br1', addresses: [{ family: 4, address: '10.77.0.20', prefix: 24 }] }] }
    writeFileSync(join(paths.lxcpath, 'byhand/spec.json'), JSON.stringify(spec))
    await expect(reserve('db', '10.77.0.20')).rejects.toThrow("it is in use by container 'byhand'")
  })

  it('are refused while dnsmasq has lent them to another machine', async () => {
    mkdirSync(join(paths.allocDir, 'dhcp'), { recursive: true })
    const line = (expiry: number, host: number) => `${expiry} 02:aa:00:00:00:01 10.77.0.${host} guest *\n`
    writeFileSync(join(paths.allocDir, 'dhcp/br1.leases'), line(4_000_000_000, 150) + line(1, 151))
    await expect(reserve('db', '10.77.0.150')).rejects.toThrow("it is in use by a DHCP lease of 'guest'")
    expect(await reserve('db', '10.77.0.151')).toMatchObject({ address: '10.77.0.151' })
  })

  it('are replaced by a second reservation of the same interface', async () => {
    await reserve('web', '10.77.0.10')
    await reserve('web', '10.77.0.11')
    await reserve('web', '10.77.0.12', 1)
    expect((await readLeases(paths)).map(({ address }) => address)).toEqual(['10.77.0.11', '10.77.0.12'])
  })

  it('never go out twice when many ask at once', async () => {
    const chosen = await Promise.all(Array.from({ length: 12 }, (_, index) => reserve(`c${index}`, 'auto')))
    expect(new Set(chosen.map(({ address }) => address)).size).toBe(12)
  })

  it('follow an edited configuration', async () => {
    await reserve('web', '10.77.0.10')
    const configured = { index: 0, link: 'br1', address: '10.77.0.30', hwaddr: '' }
    await reconcileLeases(paths, owner('web'), [configured])
    expect(published('hosts.d')).toBe('10.77.0.30 web\n')
    expect(published('dhcp-hosts.d')).toBe('')
    await reconcileLeases(paths, owner('web'), [])
    expect(await readLeases(paths)).toEqual([])
  })

  it('need a bridge', async () => {
    const request = { ...owner('web'), link: 'nobridge9', ip: { kind: 'auto' }, index: 0, hwaddr: '', command: 'test' } as const
    await expect(reserveAddress(paths, request)).rejects.toThrow("cannot use bridge 'nobridge9': it does not exist")
  })
})
