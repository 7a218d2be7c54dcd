import type { FlagInput } from '@oclif/core/parser'
import { BaseCommand } from '../cli/base-command.ts'
import { readEnvironment } from '../cli/environment.ts'
import { Flags, nameArg } from '../cli/flags.ts'
import { peekOption } from '../cli/parse.ts'
import { flagsOfTemplate, templateFlags, withoutDashes } from '../cli/template-flags.ts'
import type { CreatedContainer } from '../container/create/create.ts'
import type { CreatedStorage } from '../container/create/create-storage.ts'
import { printSize } from '../lib/units.ts'
import { makePaths } from '../platform/paths.ts'

export default class Create extends BaseCommand<CreatedContainer> {
  static override summary = 'Create a container'
  static override description =
    'Makes a container from a template. The first one of a template fetches its base, later ones copy it from the cache. ' +
    "The template's own options are taken too, before or after `--`; `tslxc create -t TEMPLATE --help` lists them. " +
    'Root is locked inside until a password or a key is given; `tslxc attach` always enters.'
  static override args = { name: nameArg }
  static override rest = { after: 'dashes', label: 'TEMPLATE-OPTIONS', description: "The template's own options, as in LXC" } as const
  static override flags = {
    template: Flags.string({
      char: 't',
      helpValue: 'TEMPLATE',
      summary: "busybox, debian, ubuntu, one of /etc/tslxc/templates, or 'none'",
      required: true,
    }),
    config: Flags.string({ char: 'f', helpValue: 'FILE', summary: 'Start from this configuration, not from default.yaml' }),
    bdev: Flags.string({
      char: 'B',
      helpValue: 'STORAGE',
      summary: 'Backing storage: dir, overlay, btrfs, zfs, lvm, loop; a list to try in turn; or best (dir)',
    }),
    dir: Flags.string({ helpValue: 'PATH', summary: 'dir: where the root file system shall be (LXCPATH/NAME/rootfs)' }),
    lvname: Flags.string({ helpValue: 'NAME', summary: "lvm: name of the logical volume (the container's)" }),
    vgname: Flags.string({ helpValue: 'GROUP', summary: 'lvm: volume group (lxc)' }),
    thinpool: Flags.string({ helpValue: 'POOL', summary: 'lvm: thin pool (lxc, where it is there)' }),
    fstype: Flags.string({ helpValue: 'TYPE', summary: 'lvm, loop: ext4, xfs or btrfs (ext4)' }),
    fssize: Flags.string({ helpValue: 'N[bBkKmMgGtT]', summary: 'lvm, loop: size of the device, in MiB without a unit (1G)' }),
    zfsroot: Flags.string({ helpValue: 'DATASET', summary: 'zfs: dataset below which it is made (lxc)' }),
    ip: Flags.string({
      helpValue: 'ADDRESS[/PREFIX]|auto|dhcp',
      summary: 'IPv4 address; on a managed network a free one is chosen (auto)',
    }),
    link: Flags.string({ helpValue: 'BRIDGE', summary: 'Bridge to join (tslxcbr0)' }),
    gw: Flags.string({ helpValue: 'ADDRESS', summary: "Default route (the bridge's own address, or the LAN's router)" }),
    share: Flags.string({
      helpValue: 'HOST:GUEST[:ro]',
      summary: 'Directory of the host inside the container; owners look the same on both sides',
      multiple: true,
      multipleNonGreedy: true,
    }),
    dns: Flags.string({ helpValue: 'ADDRESS', summary: "Name server (the bridge's)", multiple: true, multipleNonGreedy: true }),
    hostname: Flags.string({ helpValue: 'HOST', summary: 'Host name inside (NAME)' }),
    privileged: Flags.boolean({ summary: "Without a user namespace: root inside is the host's root" }),
    'password-file': Flags.string({ helpValue: 'FILE', summary: 'Set the password of root inside to the first line of FILE' }),
    'auth-key': Flags.string({ char: 'S', helpValue: 'FILE', summary: 'Let the public keys in FILE log in as root by ssh' }),
    ...templateFlags,
  }
  static override examples = [
    'tslxc create web -t debian --ip 10.0.4.10 --share /srv/www:/srv/www',
    'tslxc create db -t debian -r trixie --packages postgresql -S ~/.ssh/id_ed25519.pub',
    'tslxc create ci -t debian -B best',
    'tslxc create -n box -t busybox -- --busybox-path /bin/busybox',
    'tslxc create -t debian --help',
  ]

  protected override async extraFlags(argv: readonly string[]): Promise<FlagInput> {
    const template = peekOption(Create, argv, 'template')
    if (template === undefined || template === 'none') return {}
    const { root, installRoot } = readEnvironment()
    return await flagsOfTemplate(makePaths({ root, installRoot }), template)
  }

  async run(): Promise<CreatedContainer> {
    const { args, flags, extra, context } = await this.parse(Create, withoutDashes(this.argv))
    const { requireRoot } = await import('../platform/host.ts')
    requireRoot('create', `'${args.name}'`)
    const { createContainer } = await import('../container/create/create.ts')
    const { bdev, dir, lvname, vgname, thinpool, fstype, fssize, zfsroot } = flags
    return await createContainer(context, {
      name: args.name,
      template: flags.template,
      templateOptions: extra,
      mirror: context.environment.mirror,
      flushCache: flags['flush-cache'],
      configFile: flags.config,
      storage: { bdev, dir, lvname, vgname, thinpool, fstype, fssize, zfsroot },
      ip: flags.ip,
      link: flags.link,
      gateway: flags.gw,
      shares: flags.share ?? [],
      dns: flags.dns ?? [],
      privileged: flags.privileged,
      hostname: flags.hostname,
      passwordFile: flags['password-file'],
      authKeyFile: flags['auth-key'],
      version: this.config.version,
    })
  }

  override summarize(made: CreatedContainer): string {
    const addresses = made.addresses.map(({ index, link, address }) => {
      const where = link === undefined ? '' : ` on ${link}`
      return row(`net.${index}`, address === undefined ? `by DHCP${where}` : `${address}${where}`)
    })
    return [
      `created '${made.name}'${made.image === undefined ? '' : ` from ${made.image}`}\n`,
      ...addresses,
      ...(made.unprivileged ? [] : [row('privileged', "its root is the host's root")]),
      row('config', made.configFile),
      ...(made.storage === undefined ? [] : [row('storage', storageText(made.storage))]),
      ...(made.rootfs === undefined ? [] : [row('rootfs', made.rootfs), row('root', rootText(made))]),
      made.rootfs === undefined ? '' : row('next', nextText(made)),
    ].join('')
  }
}

const row = (key: string, value: string): string => `  ${key.padEnd(11)}${value}\n`

function storageText({ driver, limitBytes, why }: CreatedStorage): string {
  const limit = limitBytes === undefined ? '' : `, ${printSize(limitBytes)} at most`
  return `${driver}${limit}${why === undefined ? '' : ` (${why})`}`
}

function nextText({ name, absentBridges }: CreatedContainer): string {
  const bridges = absentBridges.map((bridge) => `tslxc network up ${bridge} (it does not exist), then `)
  return `${bridges.join('')}tslxc start ${name}, then tslxc attach ${name}`
}

function rootText({ name, rootLogin }: CreatedContainer): string {
  if (rootLogin.length === 0) return `locked, no login; 'tslxc attach ${name}' enters without one`
  return rootLogin.map((way) => (way === 'password' ? 'has the password of the file' : 'logs in by ssh with the given keys')).join(', ')
}
