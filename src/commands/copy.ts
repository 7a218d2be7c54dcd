import { BaseCommand } from '../cli/base-command.ts'
import { Args, Flags, nameArg } from '../cli/flags.ts'
import type { StorageWish } from '../container/choose-storage.ts'
import type { CloneRequest } from '../container/copy.ts'
import type { ClonedContainer } from '../container/copy-make.ts'
import type { RenamedContainer } from '../container/rename.ts'
import type { StoreContext } from '../container/store.ts'
import { UsageError } from '../lib/errors.ts'

export type CopyReport = { readonly copies: readonly ClonedContainer[] } | { readonly renamed: RenamedContainer }

export default class Copy extends BaseCommand<CopyReport> {
  static override summary = 'Copy a container, or give it another name'
  static override description =
    'A copy has a name, hardware and fixed addresses, ids, machine-id and ssh host keys of its own; the rest, comments in its ' +
    'configuration included, is as in the source. With -s it shares blocks with the source and is there at once. ' +
    "Several names make several copies: `tslxc copy -s web 'web{1..100}'`."
  static override args = {
    name: nameArg,
    new: Args.string({ description: 'Names of the copies; {1..9} and {a,b} stand for many', multiple: true, ignoreStdin: true }),
  }
  static override rest = { after: 'dashes', label: 'ARGUMENTS', description: 'Handed to the clone hooks' } as const
  static override flags = {
    newname: Flags.string({
      char: 'N',
      helpValue: 'NAME',
      summary: 'Name of the copy; may be given several times',
      multiple: true,
      multipleNonGreedy: true,
    }),
    newpath: Flags.string({ char: 'p', helpValue: 'PATH', summary: 'Directory of containers for the copy (that of the source)' }),
    rename: Flags.boolean({ char: 'R', summary: 'Give it the new name instead, with its snapshots' }),
    snapshot: Flags.boolean({ char: 's', summary: 'Share blocks with the source (copy-on-write)' }),
    allowrunning: Flags.boolean({ char: 'a', summary: 'Copy it even while it runs' }),
    keepname: Flags.boolean({ char: 'K', summary: 'Keep the host name of the source' }),
    keepmac: Flags.boolean({ char: 'M', summary: 'Keep the hardware addresses of the source' }),
    backingstorage: Flags.string({
      char: 'B',
      helpValue: 'STORAGE',
      summary: "Storage of the copy (the source's): dir, overlay, btrfs, zfs, lvm, loop; a list to try in turn; or best",
    }),
    fssize: Flags.string({
      char: 'L',
      helpValue: 'N[bBkKmMgGtT]',
      summary: "lvm, loop: size of the device, in MiB without a unit (the source's)",
    }),
    fstype: Flags.string({ helpValue: 'TYPE', summary: "lvm, loop: ext4, xfs or btrfs (the source's)" }),
    lvname: Flags.string({ helpValue: 'NAME', summary: "lvm: name of the logical volume (the copy's)" }),
    vgname: Flags.string({ helpValue: 'GROUP', summary: "lvm: volume group (the source's)" }),
    thinpool: Flags.string({ helpValue: 'POOL', summary: "lvm: thin pool (the source's)" }),
    zfsroot: Flags.string({ helpValue: 'DATASET', summary: "zfs: dataset below which it is made (the source's)" }),
    ip: Flags.string({
      helpValue: 'ADDRESS[/PREFIX]|auto|dhcp',
      summary: 'IPv4 address of the copy; where the source has a fixed one, a free one is chosen',
    }),
  }
  static override examples = [
    'tslxc copy web web2',
    "tslxc copy -s web 'web{1..100}'",
    'tslxc copy -R -n web -N www',
    'tslxc copy -a web web-backup -p /srv/lxc',
  ]

  async run(): Promise<CopyReport> {
    const { args, flags, rest, context } = await this.parse(Copy)
    const { requireRoot } = await import('../platform/host.ts')
    requireRoot('copy', `'${args.name}'`)
    const { expandNames } = await import('../container/expand-names.ts')
    const names = expandNames([...(flags.newname ?? []), ...[args.new ?? []].flat()])
    if (names.length === 0)
      throw new UsageError(`cannot copy '${args.name}': no new name was given`, { hint: `tslxc copy ${args.name} NEW` })
    if (flags.rename) return { renamed: await rename(context, args.name, names, flags) }
    if (names.length > 1 && flags.ip !== undefined && /^\d/.test(flags.ip)) {
      throw new UsageError(`cannot give ${names.length} copies one address`, { hint: 'leave --ip out, or pass --ip auto' })
    }
    const { cloneContainers } = await import('../container/copy.ts')
    const { resolve } = await import('node:path')
    const request: CloneRequest = {
      source: { name: args.name },
      lxcpath: flags.newpath === undefined ? undefined : resolve(flags.newpath),
      sharing: flags.snapshot === true,
      storage: storageOf(flags),
      keepName: flags.keepname,
      keepMac: flags.keepmac,
      allowRunning: flags.allowrunning,
      ip: flags.ip,
      hookWords: rest ?? [],
    }
    const copies = await cloneContainers(context, names, request)
    for (const warning of new Set(copies.flatMap(({ warnings }) => warnings))) context.note(warning)
    return { copies }
  }

  // LXC's own words.
  override summarize(report: CopyReport): string {
    if ('renamed' in report) return `Renamed ${report.renamed.from} to ${report.renamed.name}\n`
    return report.copies.map(({ name, source }) => `Created ${name} as clone of ${source}\n`).join('')
  }
}

async function rename(
  context: StoreContext,
  name: string,
  names: readonly string[],
  flags: Readonly<Record<string, unknown>>,
): Promise<RenamedContainer> {
  const [to = '', ...more] = names
  if (more.length > 0) throw new UsageError(`cannot rename '${name}': one new name is expected`)
  for (const other of ['snapshot', 'newpath', 'ip', 'allowrunning']) {
    if (flags[other] !== undefined && flags[other] !== false) throw new UsageError(`cannot use --${other} with --rename`)
  }
  const { renameContainer } = await import('../container/rename.ts')
  return await renameContainer(context, name, to, { keepName: flags.keepname === true })
}

function storageOf(flags: Readonly<Record<string, unknown>>): StorageWish {
  const text = (name: string): string | undefined => (typeof flags[name] === 'string' ? flags[name] : undefined)
  const { backingstorage: bdev, ...wish } = Object.fromEntries(
    ['backingstorage', 'fssize', 'fstype', 'lvname', 'vgname', 'thinpool', 'zfsroot'].map((name) => [name, text(name)]),
  )
  return { bdev, ...wish }
}
