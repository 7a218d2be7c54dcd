import { BaseCommand } from '../cli/base-command.ts'
import { type ErrorRecord, errorRecord, renderError } from '../cli/errors.ts'
import { Args, Flags } from '../cli/flags.ts'
import type { DiskRow, DiskUsage, SharedUsage } from '../container/disk/disk-usage.ts'
import { printSizeRounded } from '../lib/units.ts'

type Told<Row> = Omit<Row, 'error'> & { readonly error?: ErrorRecord }
type Result = Omit<DiskUsage, 'containers'> & {
  readonly containers: readonly (Told<DiskRow> & { readonly snapshots?: readonly Told<DiskRow>[] })[]
}

const HEAD = ['NAME', 'DRIVER', 'USED', 'REFERENCED', 'LIMIT', 'USE%']

export default class Df extends BaseCommand<Result> {
  static override summary = 'Show what containers and their snapshots take of the disk'
  static override description =
    'USED would come free with it, REFERENCED is what it shows, shared with others or not, LIMIT is what its storage lets it hold; on lvm ' +
    'and loop that is the device. Without names, then comes what is shared: images in stores, layers, and what is being deleted. Last the file ' +
    'systems and pools they lie in. What can not be measured says why; exit 1.'
  static override args = {
    name: Args.string({ description: "Names, or patterns such as 'web*'", multiple: true, ignoreStdin: true }),
  }
  static override flags = { snapshots: Flags.boolean({ char: 's', summary: 'With a line for each snapshot' }) }
  static override examples = ['tslxc df', 'tslxc df -s web', "tslxc df --json 'web*'"]

  async run(): Promise<Result> {
    const { args, flags, context } = await this.parse(Df)
    const { requireRoot } = await import('../platform/host.ts')
    requireRoot('measure', 'containers')
    const { selectContainers } = await import('../container/select.ts')
    const { measureDisk } = await import('../container/disk/disk-usage.ts')
    const words = [args.name ?? []].flat()
    const wanted = words.length === 0 ? [undefined] : words
    const selected = await Promise.all(wanted.map((name) => selectContainers(context.paths, { name, all: name === undefined }, 'measure')))
    const names = [...new Set(selected.flat())].sort()
    const usage = await measureDisk(context.paths, names, { snapshots: flags.snapshots, all: words.length === 0 })
    const tell = <Row extends DiskRow>({ error, ...row }: Row): Told<Row> => {
      if (error === undefined) return row
      this.exitCode = 1
      if (!flags.json) context.note(renderError(error, 'df', context.logLevel).trimEnd())
      return { ...row, error: errorRecord(error) }
    }
    const containers = usage.containers.map(({ snapshots, ...row }) => ({
      ...tell(row),
      ...(snapshots === undefined ? {} : { snapshots: snapshots.map(tell) }),
    }))
    return { ...usage, containers }
  }

  override print(result: Result): Promise<string> {
    return diskText(result)
  }
}

/** Exported for tests. */
export async function diskText({ containers, shared, stores, totalUsedBytes }: Result): Promise<string> {
  const { renderTable } = await import('../cli/output.ts')
  const rows = containers.flatMap((row) => [
    cells(row),
    ...(row.snapshots ?? []).map((snapshot) => cells({ ...snapshot, name: `  ${snapshot.name}` })),
  ])
  const own = await renderTable(HEAD, [...rows, ...(shared ?? []).filter(({ count }) => count > 0).map(sharedCells), total(totalUsedBytes)])
  const places = stores.map(({ name, type, sizeBytes, usedBytes, metadataPercent }) => [
    name,
    type,
    printSizeRounded(sizeBytes),
    printSizeRounded(usedBytes),
    printSizeRounded(Math.max(0, sizeBytes - usedBytes)),
    percent(usedBytes, sizeBytes) + (metadataPercent === undefined ? '' : `, metadata ${Math.round(metadataPercent)}%`),
  ])
  return `${own}\n${await renderTable(['STORE', 'TYPE', 'SIZE', 'USED', 'FREE', 'USE%'], places)}`
}

const WORDS: Readonly<Record<SharedUsage['what'], readonly [string, string]>> = {
  images: ['image in stores', 'images in stores'],
  layers: ['shared layer', 'shared layers'],
  trash: ['tree being deleted', 'trees being deleted'],
}

const percent = (part: number, whole: number): string => (whole === 0 ? '' : `${Math.ceil((part * 100) / whole)}%`)
const sizeCell = (bytes: number | undefined): string => (bytes === undefined ? '' : printSizeRounded(bytes))
const total = (bytes: number): readonly string[] => ['total', '', printSizeRounded(bytes), '', '', '']

function sharedCells({ what, count, usedBytes }: SharedUsage): readonly string[] {
  return [`(${count} ${WORDS[what][count === 1 ? 0 : 1]})`, '', printSizeRounded(usedBytes), '', '', '']
}

function cells({ name, driver = '', usedBytes, referencedBytes, limitBytes, error }: Told<DiskRow>): readonly string[] {
  if (error !== undefined) return [name, driver, 'unknown', '', '', '']
  const share = limitBytes === undefined || referencedBytes === undefined ? '' : percent(referencedBytes, limitBytes)
  return [name, driver, sizeCell(usedBytes), sizeCell(referencedBytes), sizeCell(limitBytes), share]
}
