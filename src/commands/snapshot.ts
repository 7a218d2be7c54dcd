import { BaseCommand } from '../cli/base-command.ts'
import type { Context } from '../cli/context.ts'
import { type ErrorRecord, errorRecord, renderError } from '../cli/errors.ts'
import { Args, Flags } from '../cli/flags.ts'
import type { ClonedContainer } from '../container/copy/copy-make.ts'
import type { Outcome } from '../container/many.ts'
import type { RestoreReport } from '../container/snapshot/restore.ts'
import type { SnapshotReport, SnapshotRequest } from '../container/snapshot/snapshot.ts'
import type { DueReport } from '../container/snapshot/snapshot-due.ts'
import type { ListedSnapshot } from '../container/snapshot/snapshot-list.ts'
import { assertNever } from '../lib/assert-never.ts'
import { UsageError } from '../lib/errors.ts'

/** One of many. */
interface Failed {
  readonly name: string
  readonly error: ErrorRecord
}

interface Removed {
  readonly name: string
  readonly snapshot: string
}

type Result = SnapshotReport | RestoreReport | ClonedContainer | readonly (SnapshotReport | Removed | ListedSnapshot | DueReport | Failed)[]

export default class Snapshot extends BaseCommand<Result> {
  static override summary = 'Take, list, restore and remove snapshots of containers'
  static override description =
    'Without another action it takes one, of a running container too, which stands still meanwhile where its storage needs that. ' +
    'A snapshot holds the root file system and the configuration; shares and data volumes are left out. ' +
    '-r makes a stopped container what it was then: the old content is there until the new one is in its place, later snapshots stay. ' +
    'The id range stays as it is.'
  static override args = {
    name: Args.string({ description: "Name of the container, or a pattern such as 'web*'", ignoreStdin: true }),
    word: Args.string({ description: 'Name of the snapshot (snapN); with -r, of a new container', ignoreStdin: true }),
  }
  static override flags = {
    comment: Flags.string({ char: 'c', helpValue: 'FILE', summary: 'Keep the content of FILE as a note' }),
    note: Flags.string({ helpValue: 'TEXT', summary: 'Keep TEXT as a note' }),
    expires: Flags.string({ helpValue: 'TIME', summary: "Let 'snapshot --due' remove it after this time: 12h, 7d, 3months" }),
    list: Flags.boolean({ char: 'L', summary: 'List the snapshots' }),
    showcomments: Flags.boolean({ char: 'C', summary: 'With -L: with their notes' }),
    size: Flags.boolean({ summary: 'With -L: with what would come free without each' }),
    restore: Flags.string({ char: 'r', helpValue: 'SNAP', summary: 'Put this snapshot into the place of what is there now' }),
    newname: Flags.string({ char: 'N', helpValue: 'NEW', summary: 'With -r: make a new container of it instead' }),
    'keep-config': Flags.boolean({ summary: 'With -r: the files alone, with the configuration of now' }),
    destroy: Flags.string({ char: 'd', helpValue: 'SNAP|ALL', summary: 'Remove this snapshot, or all of them' }),
    all: Flags.boolean({ summary: 'Of every container' }),
    due: Flags.boolean({ summary: 'Take, thin out and remove what the schedules of all configurations say now' }),
  }
  static override examples = [
    'tslxc snapshot web before-upgrade --note "Debian 12" --expires 7d',
    'tslxc snapshot -L -C web',
    'tslxc snapshot -r before-upgrade web',
    'tslxc snapshot -r before-upgrade -N web2 web',
    'tslxc snapshot -d ALL web',
    'tslxc snapshot --all',
  ]

  #lists = false
  #notes = false

  async run(): Promise<Result> {
    const { args, flags, context } = await this.parse(Snapshot)
    const { action, name, word } = wanted(args, flags)
    const { requireRoot } = await import('../platform/host.ts')
    requireRoot('use snapshots of', name === undefined ? 'containers' : `'${name}'`)
    this.#lists = action === 'list'
    this.#notes = flags.showcomments
    const { selectContainers } = await import('../container/select.ts')
    const names = await selectContainers(context.paths, { name, all: flags.all }, VERBS[action])
    const single = names.length === 1 && !flags.all && action !== 'due'
    switch (action) {
      case 'list': {
        const { listSnapshotsOf } = await import('../container/snapshot/snapshot-list.ts')
        return await listSnapshotsOf(context.paths, names, flags.size || flags.json === true)
      }
      case 'restore':
        return await restore(context, names, { snapshot: flags.restore ?? '', as: word, keepConfig: flags['keep-config'] })
      case 'remove':
        return this.#results(context, await remove(context, names, flags.destroy ?? ''), single).flat()
      case 'due': {
        const { carryOutSchedules } = await import('../container/snapshot/snapshot-due.ts')
        return this.#results(context, await carryOutSchedules(context, names, new Date()), single)
      }
      case 'take': {
        const { takeSnapshots } = await import('../container/snapshot/snapshot.ts')
        const taken = this.#results(context, await takeSnapshots(context, names, await requestOf(flags, word)), single)
        for (const report of taken) if ('snapshot' in report) tell(context, report)
        const [first] = taken
        return single && first !== undefined && 'snapshot' in first ? first : taken
      }
      default:
        return assertNever(action)
    }
  }

  /** What failed is told, and does not keep the rest; alone it is the command's own failure. */
  #results<T>(context: Context, outcomes: readonly Outcome<T>[], single: boolean): readonly (T | Failed)[] {
    return outcomes.map((outcome) => {
      if (outcome.error === undefined) return outcome.result as T
      if (single) throw outcome.error
      context.note(renderError(outcome.error, 'snapshot', context.logLevel).trimEnd())
      this.exitCode = 1
      return { name: outcome.name, error: errorRecord(outcome.error) }
    })
  }

  override async print(result: Result): Promise<string> {
    if (!this.#lists || !Array.isArray(result)) return ''
    const { snapshotsText } = await import('../container/snapshot/snapshot-list.ts')
    return snapshotsText(result as readonly ListedSnapshot[], { notes: this.#notes })
  }
}

type Action = 'take' | 'list' | 'restore' | 'remove' | 'due'

const VERBS: Readonly<Record<Action, string>> = {
  take: 'take a snapshot of',
  list: 'list snapshots of',
  restore: 'restore',
  remove: 'remove snapshots of',
  due: 'take snapshots of',
}

interface Words {
  readonly name?: string | undefined
  readonly word?: string | undefined
}

interface Choices {
  readonly list: boolean
  readonly restore?: string | undefined
  readonly destroy?: string | undefined
  readonly due: boolean
  readonly all: boolean
  readonly newname?: string | undefined
  readonly comment?: string | undefined
  readonly note?: string | undefined
  readonly expires?: string | undefined
}

/** @throws UsageError for options that don't go together */
function wanted({ name, word }: Words, flags: Choices): Words & { readonly action: Action } {
  const asked: readonly (readonly [Action, boolean])[] = [
    ['list', flags.list],
    ['restore', flags.restore !== undefined],
    ['remove', flags.destroy !== undefined],
    ['due', flags.due],
  ]
  const [first = ['take'] as const, second] = asked.filter(([, isAsked]) => isAsked)
  if (second !== undefined) throw new UsageError('cannot do several things at once: one of -L, -r, -d and --due is expected')
  const [action] = first
  if (action !== 'take' && (flags.comment ?? flags.note ?? flags.expires) !== undefined) {
    throw new UsageError('cannot use --comment, --note or --expires here: they are for a new snapshot')
  }
  if (flags.comment !== undefined && flags.note !== undefined) throw new UsageError('cannot use --comment and --note together')
  const everywhere = flags.all || action === 'due'
  if (!everywhere && name === undefined) throw new UsageError('no container name was given')
  const words = everywhere ? { name: undefined, word: name } : { name, word }
  if (everywhere && word !== undefined) throw new UsageError(`unexpected word '${word}'`)
  if (words.word !== undefined && action !== 'take' && action !== 'restore') throw new UsageError(`unexpected word '${words.word}'`)
  if (flags.newname === undefined) return { action, ...words }
  if (action !== 'restore') throw new UsageError('cannot use --newname here: it goes with --restore')
  if (words.word !== undefined) throw new UsageError(`unexpected word '${words.word}'`)
  return { action, name: words.name, word: flags.newname }
}

async function requestOf(flags: Choices, snapshot: string | undefined): Promise<SnapshotRequest> {
  const { comment, note, expires } = flags
  const text = comment === undefined ? note && `${note}\n` : await readGiven(comment)
  if (expires === undefined) return { snapshot, note: text }
  const { expiryOf } = await import('../container/snapshot/snapshot-due.ts')
  return { snapshot, note: text, expires: expiryOf(expires, new Date()) }
}

async function readGiven(file: string): Promise<string> {
  const { readFile } = await import('node:fs/promises')
  const { fileError } = await import('../platform/files.ts')
  return await readFile(file, 'utf8').catch((error: unknown) => {
    throw fileError('read', file, error)
  })
}

async function restore(
  context: Context,
  names: readonly string[],
  { snapshot, as, keepConfig }: { readonly snapshot: string; readonly as: string | undefined; readonly keepConfig: boolean },
): Promise<RestoreReport | ClonedContainer> {
  const [name, ...more] = names
  if (name === undefined || more.length > 0) throw new UsageError('cannot restore several containers at once')
  const { restoreAs, restoreSnapshot } = await import('../container/snapshot/restore.ts')
  if (as !== undefined && keepConfig) throw new UsageError('cannot use --keep-config for a new container')
  if (as === undefined) return await restoreSnapshot(context, name, { snapshot, keepConfig })
  const made = await restoreAs(context, name, { snapshot, as })
  for (const warning of made.warnings) context.note(warning)
  return made
}

async function remove(context: Context, names: readonly string[], snapshot: string): Promise<readonly Outcome<readonly Removed[]>[]> {
  const { removeSnapshots } = await import('../container/snapshot/snapshot-remove.ts')
  const { forMany } = await import('../container/many.ts')
  return await forMany(context, names, async (name) =>
    (await removeSnapshots(context, name, snapshot)).map((removed) => ({ name, snapshot: removed.name })),
  )
}

function tell({ note }: Context, { name, frozenMs, copied }: SnapshotReport): void {
  if (frozenMs !== undefined) note(`'${name}' stood still for ${frozenMs.toFixed(1)} ms`)
  if (copied) note(`the files of '${name}' were copied: its storage shares no blocks`)
}
