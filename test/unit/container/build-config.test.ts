import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import {
  type ConfigChoices,
  draftConfig,
  ensureInterface,
  expandHwaddr,
  renderConfig,
  setAddress,
  settleInterfaces,
} from '../../../src/container/create/build-config.ts'

const DEFAULTS = '# Defaults of the site.\nnet:\n  - { type: veth, link: tslxcbr0, flags: up }\nshares: ["/a:/a"]\nlimits: { pids: 500 }\n'
const TEMPLATE = 'include: debian.common.yaml\narch: x86_64\nuts:\n  name: web\n'
const layers = (...texts: string[]) => texts.map((text, index) => ({ file: `/layer-${index}.yaml`, text }))
const draft = (choices: Partial<ConfigChoices> = {}) =>
  draftConfig({ layers: layers(DEFAULTS, TEMPLATE), hostname: 'web', shares: [], dns: [], ...choices })
const facts = { name: 'web', template: 'debian', parameters: 'release=bookworm', version: '1.2.3', templateDigest: 'abc' }

describe('the config of a new container', () => {
  it('joins defaults, template and options', () => {
    const document = draft({ rootfsPath: 'dir:/c/web/rootfs', idmap: 'b 0 1000000 65536', shares: ['/b:/b:ro'], dns: ['1.1.1.1'] })
    const [nic] = settleInterfaces(document)
    setAddress(document, nic?.index ?? 0, { address: '10.0.4.10/24', gateway: 'auto' })
    expect(document.toJS()).toEqual({
      include: 'debian.common.yaml',
      arch: 'x86_64',
      uts: { name: 'web' },
      rootfs: { path: 'dir:/c/web/rootfs' },
      idmap: ['b 0 1000000 65536'],
      net: [
        {
          type: 'veth',
          link: 'tslxcbr0',
          flags: 'up',
          hwaddr: expect.stringMatching(/^10:66:6a(:[0-9a-f]{2}){3}$/),
          ipv4: { address: '10.0.4.10/24', gateway: 'auto' },
        },
      ],
      dns: ['1.1.1.1'],
      shares: ['/a:/a', '/b:/b:ro'],
      limits: { pids: 500 },
    })
  })

  it('is written with a header, in the order people look for things, and with examples', () => {
    const text = renderConfig(draft({ rootfsPath: 'dir:/c/web/rootfs' }), facts)
    expect(text).toMatchSnapshot()
    expect(parse(text)).toMatchObject({ uts: { name: 'web' } })
  })

  it('lets the file of the caller win over the template, and keeps its comments', () => {
    const own = '# mine\nlimits: { memory: 2G }\narch: x86 # 32 bits\n'
    const document = draft({ layers: layers(TEMPLATE, own) })
    expect(document.toJS()).toMatchObject({ arch: 'x86', limits: { memory: '2G' }, include: 'debian.common.yaml' })
    expect(document.toString()).toContain('# 32 bits')
  })

  it('adds up includes and shares, each once', () => {
    const document = draft({ layers: layers('include: a.yaml\n', 'include: [b.yaml, a.yaml]\n') })
    expect(document.toJS()).toMatchObject({ include: ['a.yaml', 'b.yaml'] })
  })

  it('works without any layer, and with empty ones', () => {
    expect(draftConfig({ layers: [], hostname: 'x', shares: [], dns: [] }).toJS()).toEqual({ uts: { name: 'x' } })
    expect(draftConfig({ layers: layers('', '# only this\n'), hostname: 'x', shares: [], dns: [] }).toJS()).toEqual({ uts: { name: 'x' } })
  })

  it('refuses a layer that is no map, by its name', () => {
    expect(() => draft({ layers: layers('- a\n') })).toThrow('/layer-0.yaml: a map of keys is expected')
    expect(() => draft({ layers: layers('a: [\n') })).toThrow('/layer-0.yaml')
  })
})

describe('interfaces', () => {
  it('keep a hardware address, and get random digits for each x', () => {
    const document = draft({ layers: layers('net: { type: veth, hwaddr: "00:16:3e:00:00:xx" }\n') })
    expect(settleInterfaces(document)[0]?.hwaddr).toMatch(/^00:16:3e:00:00:[0-9a-f]{2}$/)
    expect(document.toJS()).toMatchObject({ net: [{ type: 'veth' }] })
    expect(expandHwaddr('xx:XX')).toMatch(/^[0-9a-f]{2}:[0-9a-f]{2}$/)
  })

  it('are made where an option needs one', () => {
    const document = draft({ layers: [], link: 'br7' })
    expect(document.toJS()).toMatchObject({ net: [{ type: 'veth', link: 'br7', flags: 'up' }] })
    const empty = draft({ layers: layers('net: []\n') })
    ensureInterface(empty)
    expect(empty.toJS()).toMatchObject({ net: [{ type: 'veth', link: 'tslxcbr0' }] })
  })

  it('of other types are left alone', () => {
    expect(settleInterfaces(draft({ layers: layers('net: [{ type: empty }]\n') }))).toEqual([])
    expect(settleInterfaces(draft({ layers: [] }))).toEqual([])
  })
})
