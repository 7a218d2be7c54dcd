/** Debian with systemd, and a privileged container, where cgroup v2 is all there is: one boot, in it test/vm/guest-v2.sh. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Findings, Machine, whyNoDebian, whyNoMachine } from '../helpers/machine.ts'
import { needs } from '../helpers/needs.ts'

const DEB = `net: [{ type: veth, link: vmbr0, flags: up, ipv4: { address: 10.9.9.2/24 } }]
limits: { memory: 600M, cpus: 1.5, pids: 400 }
`
const BOX = `net: [{ type: empty }]
limits: { memory: 32M, cpus: 0.5, pids: 50 }
`

const missing = whyNoMachine() ?? whyNoDebian()
const machine = new Machine()
let found: Findings

describe('cgroup v2', () => {
  beforeAll(async () => {
    if (missing !== undefined) return
    await machine.create('deb', DEB, '-t', 'debian')
    await machine.create('box', BOX, '-t', 'busybox', '--privileged')
    found = await machine.run('v2', 'guest-v2.sh')
  })
  beforeEach((context) => needs(context, missing === undefined, missing ?? ''))
  afterAll(() => machine.remove())

  it('starts a privileged and an unprivileged container', () => {
    expect(found.ok('start')).toBe('')
  })

  it('limits memory, processors and processes', () => {
    expect(found.ok('limits of deb').split('\n')).toEqual([`memory.max:${600 << 20}`, 'cpu.max:150000 100000', 'pids.max:400'])
    expect(found.ok('limits of box').split('\n')).toEqual([`memory.max:${32 << 20}`, 'cpu.max:50000 100000', 'pids.max:50'])
  })

  it('ends what takes more memory than is allowed', () => {
    expect(found.get('more memory than allowed').code).toBe(137)
    expect(found.ok('memory events of box')).toContain('oom_kill 1')
  })

  it("gives the guest's root its own cgroup, but not the one with the limits", () => {
    const owners = found.ok('owners of deb').split('\n')
    expect(owners.map((line) => line.replace(/ .*tslxc/, ' tslxc'))).toEqual([
      '0 tslxc.payload.deb/cgroup.procs',
      '1000000 tslxc.payload.deb/guest',
      '1000000 tslxc.payload.deb/guest/cgroup.procs',
      '1000000 tslxc.payload.deb/guest/cgroup.subtree_control',
      '0 tslxc.payload.deb/guest/memory.max',
    ])
  })

  it('lets a privileged container use only the devices that are allowed', () => {
    expect(found.ok('allowed device')).toBe('1')
    for (const name of ['denied device', 'denied disk']) {
      expect(found.get(name)).toEqual({ code: 1, text: expect.stringContaining('Operation not permitted') })
    }
  })

  it('boots systemd to the end, without a failed unit', () => {
    expect(found.ok('failed units')).toBe('')
    expect(found.ok('system state')).toBe('running')
    expect(found.ok('address')).toContain('10.9.9.2/24')
  })

  it("attaches to where the guest's systemd has moved itself", () => {
    expect(found.ok('controllers that systemd enabled')).toContain('memory')
    expect(found.ok('cgroup of an attached command')).toBe('0::/init.scope')
  })

  it('tells what the container uses', () => {
    const info = found.ok('info')
    expect(info).toMatch(/^CPU use: +\d+\.\d+ seconds$/m)
    expect(info).toMatch(/^Memory use: +\d+\.\d+ MiB$/m)
    expect(info).toMatch(/^IP: +10\.9\.9\.2$/m)
  })

  it('freezes and thaws', () => {
    found.ok('freeze')
    expect(found.ok('state when frozen')).toBe('FROZEN')
    expect(found.ok('events when frozen')).toContain('frozen 1')
    found.ok('unfreeze')
    expect(found.ok('state when thawed')).toBe('RUNNING')
  })

  it('stops cleanly, also without its monitor, and leaves nothing', () => {
    found.ok('stop')
    expect(found.ok('state when stopped')).toBe('STOPPED')
    found.ok('kill after a crash')
    // What the look for leftovers sees while they run.
    for (const sight of ['/tslxc.payload.deb', '/tslxc.monitor.box', ': veth', '/cmdline'])
      expect(found.get('in use').text).toContain(sight)
    expect(found.get('leftovers').text).toBe('')
  })

  it('stays in a unit that was delegated to it, with limits', () => {
    expect(found.ok('start in a unit')).toBe('')
    expect(
      found
        .ok('limits in the unit')
        .split('\n')
        .map((line) => line.replace(/.*:/, '')),
    ).toEqual([String(32 << 20), '50000 100000', '50'])
    found.ok('stop in the unit')
    expect(found.get('start in a unit with other processes')).toEqual({
      code: 1,
      text: expect.stringContaining('processes in /sys/fs/cgroup/unit keep its controllers from the groups below'),
    })
    expect(found.ok('left in the unit')).toBe('')
  })
})
