import { describe, expect, it } from 'vitest'
import { movedPaths, type OwnKeys, pathsBelow, planConfig } from '../../../src/container/copy/clone-config.ts'

const DIR = '/var/lib/tslxc/web'
const NOTHING: OwnKeys = { hostname: false, rootfs: false, idmap: false, hwaddrs: [], addresses: [], ephemeral: false }
const plan = (text: string, keys: Partial<OwnKeys> = {}) =>
  planConfig({ name: 'web', dir: DIR, file: `${DIR}/config.yaml`, text }, { ...NOTHING, ...keys })
const OWN = { name: 'web2', dir: '/srv/lxc/web2' }

describe('planConfig', () => {
  it('replaces what belongs to one container, and leaves every other byte', () => {
    const text = `# Container 'web', made by tslxc 0.1.0.
# 'tslxc config edit web' checks it
uts: { name: web } # web is its name
rootfs:
  path: dir:${DIR}/rootfs   # where it lies
idmap: ["b 0 1000000 65536"]
net:
  - type: veth   # the only one
    hwaddr: 10:66:6a:00:00:01
    ipv4: { address: 10.0.4.10/24, gateway: auto }
hook: { mount: [${DIR}/hook.sh --log=${DIR}/hook.log] }
shares: ["/srv/web:/srv/web"]
`
    const keys = { hostname: true, rootfs: true, idmap: true, hwaddrs: [0], addresses: [0] }
    const { render, ownPaths } = plan(text, keys)
    const own = {
      ...OWN,
      rootfsPath: 'dir:/srv/lxc/web2/rootfs',
      idmap: '"b 0 1065536 65536"',
      hwaddrs: new Map([[0, '10:66:6a:00:00:02']]),
      addresses: new Map([[0, '10.0.4.11/24']]),
    }
    expect(render(own)).toBe(`# Container 'web2', made by tslxc 0.1.0.
# 'tslxc config edit web2' checks it
uts: { name: web2 } # web is its name
rootfs:
  path: dir:/srv/lxc/web2/rootfs   # where it lies
idmap: ["b 0 1065536 65536"]
net:
  - type: veth   # the only one
    hwaddr: 10:66:6a:00:00:02
    ipv4: { address: 10.0.4.11/24, gateway: auto }
hook: { mount: ["/srv/lxc/web2/hook.sh --log=/srv/lxc/web2/hook.log"] }
shares: ["/srv/web:/srv/web"]
`)
    expect(ownPaths).toEqual([`${DIR}/rootfs`, `${DIR}/hook.sh`, `${DIR}/hook.log`])
  })

  it('adds a key that the text does not have', () => {
    expect(plan('arch: x86_64\n', { hostname: true }).render(OWN)).toBe('arch: x86_64\nuts: { name: web2 }\n')
    expect(plan('arch: x86_64\n', { ephemeral: true }).render(OWN)).toBe('arch: x86_64\nephemeral: 1\n')
    expect(plan('net: { type: veth, link: br0 }\n', { addresses: [0] }).render({ ...OWN, addresses: new Map([[0, 'dhcp']]) })).toBe(
      'net: { type: veth, link: br0, ipv4: { address: dhcp } }\n',
    )
  })

  it('quotes a name that would be read as something else', () => {
    expect(plan('uts: { name: web }\n', { hostname: true }).render({ ...OWN, name: '1e3' })).toBe('uts: { name: "1e3" }\n')
    expect(plan('uts: { name: web }\n', { hostname: true }).render({ ...OWN, name: 'true' })).toBe('uts: { name: "true" }\n')
  })

  it('takes a block of text as one value', () => {
    expect(plan(`hook:\n  mount: >\n    ${DIR}/a\n    b\nuts: { name: web }\n`, { hostname: true }).render(OWN)).toBe(
      'hook:\n  mount: >\n    /srv/lxc/web2/a\n    b\nuts: { name: web2 }\n'.replace(
        '>\n    /srv/lxc/web2/a\n    b',
        '"/srv/lxc/web2/a b\\n"',
      ),
    )
  })
})

describe('movedPaths', () => {
  const moved = (value: string) => movedPaths(value, { name: 'web', dir: DIR }, OWN)
  it.each([
    [`dir:${DIR}/rootfs`, 'dir:/srv/lxc/web2/rootfs'],
    [`${DIR}/rootfs/a ${DIR}/b none bind 0 0`, '/srv/lxc/web2/rootfs/a /srv/lxc/web2/b none bind 0 0'],
    [`overlay:/x/lower:${DIR}/overlay/delta`, 'overlay:/x/lower:/srv/lxc/web2/overlay/delta'],
    [DIR, '/srv/lxc/web2'],
    [`${DIR}/web.log`, '/srv/lxc/web2/web2.log'],
  ])('%s is %s', (value, expected) => {
    expect(moved(value)).toBe(expected)
  })

  it.each([`${DIR}2/rootfs`, `/mnt${DIR}/rootfs`, '/var/lib/tslxc', `x${DIR}`])("%s is nobody's", (value) => {
    expect(moved(value)).toBe(value)
    expect(pathsBelow(value, DIR)).toEqual([])
  })
})
