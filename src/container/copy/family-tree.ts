/** Who was cloned from what: by the records of the containers, which stay right when one gets another name. */
import type { Paths } from '../../platform/paths.ts'
import { listSnapshots } from '../snapshot/snapshot-store.ts'
import { type Container, type ContainerRecord, listContainers, readRecord, readVolume } from '../store.ts'

export interface FamilyNode {
  /** `web`, or `web@snap0` for a snapshot. */
  readonly name: string
  readonly kind: 'container' | 'snapshot'
  /** Storage driver; absent for a snapshot, and for a container without a root file system of ours. */
  readonly storage?: string
  /** RFC 3339. */
  readonly created?: string
  /** What it was cloned from, where that is gone or in another directory. */
  readonly from?: string
  readonly children: readonly FamilyNode[]
}

interface Member {
  readonly container: Container
  readonly record: ContainerRecord | undefined
  readonly storage: string | undefined
  readonly snapshots: readonly { readonly name: string; readonly created: string }[]
}

/** Roots sorted by name, each with what was cloned from it; with their snapshots when asked for. */
export async function familyTree(paths: Paths, options: { readonly snapshots: boolean }): Promise<readonly FamilyNode[]> {
  const members = await Promise.all(
    listContainers(paths).map(
      async (container): Promise<Member> => ({
        container,
        record: await readRecord(container),
        storage: (await readVolume(container))?.driver,
        snapshots: options.snapshots ? await listSnapshots(container) : [],
      }),
    ),
  )
  const parents = new Map(members.map((member) => [member, parentOf(paths, member, members)]))
  // A ring of records, which only hands can make, would have no root and never be shown.
  const roots = members.filter((member) => parents.get(member) === undefined || isInRing(member, parents))
  return roots.map((member) => nodeOf(member, members, parents, new Set()))
}

function parentOf(paths: Paths, member: Member, members: readonly Member[]): Member | undefined {
  const from = member.record?.clonedFrom
  if (from === undefined) return undefined
  const byUuid = from.uuid === undefined ? undefined : members.find(({ record }) => record?.uuid === from.uuid)
  if (byUuid !== undefined) return byUuid
  // Another container may have got the name since.
  const byName = from.lxcpath === paths.lxcpath ? members.find(({ container }) => container.name === from.name) : undefined
  return from.uuid === undefined && byName !== member ? byName : undefined
}

function isInRing(member: Member, parents: ReadonlyMap<Member, Member | undefined>): boolean {
  const seen = new Set<Member>()
  for (let at: Member | undefined = parents.get(member); at !== undefined && !seen.has(at); at = parents.get(at)) {
    if (at === member) return true
    seen.add(at)
  }
  return false
}

function nodeOf(
  member: Member,
  members: readonly Member[],
  parents: ReadonlyMap<Member, Member | undefined>,
  above: ReadonlySet<Member>,
): FamilyNode {
  const { container, record, storage, snapshots } = member
  const within = new Set([...above, member])
  const clones = members.filter((other) => parents.get(other) === member && !within.has(other))
  const node = (clone: Member): FamilyNode => nodeOf(clone, members, parents, within)
  const ofSnapshot = (name: string): Member[] => clones.filter((clone) => clone.record?.clonedFrom?.snapshot === name)
  const shown = snapshots.map(
    ({ name, created }): FamilyNode => ({
      name: `${container.name}@${name}`,
      kind: 'snapshot',
      created,
      children: ofSnapshot(name).map(node),
    }),
  )
  const ofShown = new Set(snapshots.flatMap(({ name }) => ofSnapshot(name)))
  const origin = record?.clonedFrom
  const isLost = origin !== undefined && parents.get(member) === undefined
  return {
    name: container.name,
    kind: 'container',
    ...(storage === undefined ? {} : { storage }),
    ...(record === undefined ? {} : { created: record.createdAt }),
    ...(isLost ? { from: `${origin.lxcpath}/${origin.name}${origin.snapshot === undefined ? '' : `@${origin.snapshot}`}` } : {}),
    children: [...shown, ...clones.filter((clone) => !ofShown.has(clone)).map(node)],
  }
}

/** The part of a forest below one container. */
export function findNode(forest: readonly FamilyNode[], name: string): FamilyNode | undefined {
  for (const node of forest) {
    const found = node.name === name ? node : findNode(node.children, name)
    if (found !== undefined) return found
  }
  return undefined
}

export interface Branches {
  readonly middle: string
  readonly last: string
  readonly through: string
  readonly none: string
}

export const LINES: Branches = { middle: '├── ', last: '└── ', through: '│   ', none: '    ' }
export const ASCII: Branches = { middle: '|-- ', last: '`-- ', through: '|   ', none: '    ' }

/** One line each, as tree(1) draws them. */
export function drawTree(forest: readonly FamilyNode[], branches: Branches): string {
  const lines: string[] = []
  const draw = (node: FamilyNode, lead: string, below: string): void => {
    const notes = [...(node.storage === undefined ? [] : [node.storage]), ...(node.from === undefined ? [] : [`from ${node.from}`])]
    lines.push(`${lead}${node.name}${notes.length === 0 ? '' : ` (${notes.join(', ')})`}\n`)
    for (const [index, child] of node.children.entries()) {
      const isLast = index === node.children.length - 1
      draw(child, below + (isLast ? branches.last : branches.middle), below + (isLast ? branches.none : branches.through))
    }
  }
  for (const node of forest) draw(node, '', '')
  return lines.join('')
}
