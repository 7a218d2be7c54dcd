import { BaseCommand } from '../cli/base-command.ts'
import { Args, Flags, nameArg } from '../cli/flags.ts'
import type { CloneRequest } from '../container/copy/copy.ts'
import type { ClonedContainer } from '../container/copy/copy-make.ts'
import type { RenamedContainer } from '../container/copy/rename.ts'
import type { StorageWish } from '../container/create/choose-storage.ts'
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
    ephemeral: Flags.boolean({
      char: 'e',
      summary: 'Share blocks, take a random name (SRC_XXXXXX) unless one is given, start it; it goes when it stops',
    }),
    keepdata: Flags.boolean({ char: 'D', summary: 'With -e: it stays when it stops' }),
    tmpfs: Flags.boolean({ char: 't', summary: 'With -e: keep what changes in memory only (overlay)' }),
    mount: Flags.string({
      char: 'm',
      helpValue: 'bind|overlay=/SRC[:/DST[:OPTS]]',
      summary: 'With -e: mount this as well',
      multiple: true,
      multipleNonGreedy: true,
    }),
    daemon: Flags.boolean({ char: 'd', summary: 'With -e: in the background (the default)' }),
    foreground: Flags.boolean({ char: 'F', summary: 'With -e: in the foreground, with its console on this terminal' }),
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
    'tslxc copy -e web -m bind=/srv/www:/srv/www:ro',
    'tslxc copy -a web web-backup -p /srv/lxc',
  ]

  async run(): Promise<CopyReport> {
    const { args, flags, rest, context } = await this.parse(Copy)
    const { requireRoot } = await import('../platform/host.ts')
    requireRoot('copy', `'${args.name}'`)
    const { expandNames } = await import('../container/expand-names.ts')
    const names = expandNames([...(flags.newname ?? []), ...[args.new ?? []].flat()])
    if (flags.rename) return { renamed: await rename(context, args.name, names, flags) }
    checkTogether(args.name, names, flags)
    const { resolve } = await import('node:path')
    const request: CloneRequest = {
      source: { name: args.name },
      lxcpath: flags.newpath === undefined ? undefined : resolve(flags.newpath),
      sharing: flags.snapshot === true || flags.ephemeral === true,
      storage: storageOf(flags),
      inMemory: flags.tmpfs === true,
      keepName: flags.keepname,
      keepMac: flags.keepmac,
      allowRunning: flags.allowrunning,
      ip: flags.ip,
      hookWords: rest ?? [],
    }
    const copies = flags.ephemeral
      ? await this.#ephemeral(context, names, request, flags)
      : await (await import('../container/copy/copy.ts')).cloneContainers(context, names, request)
    for (const warning of new Set(copies.flatMap(({ warnings }) => warnings))) context.note(warning)
    return { copies }
  }

  async #ephemeral(
    context: StoreContext,
    names: readonly string[],
    request: CloneRequest,
    flags: { readonly keepdata?: boolean; readonly mount?: readonly string[] | undefined; readonly foreground?: boolean },
  ): Promise<readonly ClonedContainer[]> {
    const { copyEphemeral } = await import('../container/copy/ephemeral.ts')
    const foreground = flags.foreground === true
    const mounts = flags.mount ?? []
    const copies = await copyEphemeral(context, { ...request, names, keepData: flags.keepdata === true, mounts, foreground })
    const [first] = copies
    if (!foreground || first === undefined) return copies
    const { startAttached } = await import('../runtime/native-program.ts')
    this.exitCode = await startAttached({ ...context.paths, lxcpath: first.lxcpath }, first.name)
    return copies
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
  const [to = ''] = names
  if (names.length !== 1) throw new UsageError(`cannot rename '${name}': one new name is expected`)
  for (const other of ['snapshot', 'newpath', 'ip', 'allowrunning', 'ephemeral', 'backingstorage']) {
    if (flags[other] !== undefined && flags[other] !== false) throw new UsageError(`cannot use --${other} with --rename`)
  }
  const { renameContainer } = await import('../container/copy/rename.ts')
  return await renameContainer(context, name, to, { keepName: flags.keepname === true })
}

function storageOf(flags: Readonly<Record<string, unknown>>): StorageWish {
  const text = (name: string): string | undefined => (typeof flags[name] === 'string' ? flags[name] : undefined)
  const { backingstorage: bdev, ...wish } = Object.fromEntries(
    ['backingstorage', 'fssize', 'fstype', 'lvname', 'vgname', 'thinpool', 'zfsroot'].map((name) => [name, text(name)]),
  )
  return { bdev, ...wish }
}

type Given = Readonly<Record<string, unknown>>
const isGiven = (flags: Given, name: string): boolean => flags[name] !== undefined && flags[name] !== false

/** @throws UsageError for what does not go together */
function checkTogether(name: string, names: readonly string[], flags: Given): void {
  for (const option of ['keepdata', 'tmpfs', 'mount', 'foreground', 'daemon']) {
    if (isGiven(flags, option) && !isGiven(flags, 'ephemeral')) throw new UsageError(`cannot use --${option} without --ephemeral`)
  }
  if (names.length === 0 && !isGiven(flags, 'ephemeral')) {
    throw new UsageError(`cannot copy '${name}': no new name was given`, { hint: `tslxc copy ${name} NEW` })
  }
  if (isGiven(flags, 'tmpfs') && isGiven(flags, 'keepdata')) {
    throw new UsageError('cannot keep what is in memory only: --tmpfs and --keepdata')
  }
  if (isGiven(flags, 'foreground') && names.length > 1) throw new UsageError(`cannot start ${names.length} copies in the foreground`)
  if (names.length > 1 && /^\d/.test(String(flags.ip))) {
    throw new UsageError(`cannot give ${names.length} copies one address`, { hint: 'leave --ip out, or pass --ip auto' })
  }
}
