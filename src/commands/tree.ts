import { BaseCommand } from '../cli/base-command.ts'
import { Args, Flags } from '../cli/flags.ts'
import type { FamilyNode } from '../container/copy/family-tree.ts'

export default class Tree extends BaseCommand<readonly FamilyNode[]> {
  static override summary = 'Show which container was cloned from which'
  static override description = 'A clone whose origin is gone, or in another directory, stands alone with the name of its origin.'
  static override args = { name: Args.string({ description: 'Only this container and what was cloned from it', ignoreStdin: true }) }
  static override flags = {
    snapshots: Flags.boolean({ char: 's', summary: 'With the snapshots, and what was cloned from each' }),
    ascii: Flags.boolean({ summary: 'Draw with ASCII characters' }),
  }
  static override examples = ['tslxc tree', 'tslxc tree -s web']
  #ascii = false

  async run(): Promise<readonly FamilyNode[]> {
    const { args, flags, context } = await this.parse(Tree)
    const { requireRoot } = await import('../platform/host.ts')
    requireRoot('show', `'${args.name ?? 'the containers'}'`)
    const { familyTree, findNode } = await import('../container/copy/family-tree.ts')
    const { findContainer } = await import('../container/store.ts')
    this.#ascii = flags.ascii === true
    const forest = await familyTree(context.paths, { snapshots: flags.snapshots === true })
    if (args.name === undefined) return forest
    const { name } = await findContainer(context.paths, args.name, 'show')
    const node = findNode(forest, name)
    return node === undefined ? [] : [node]
  }

  override async print(forest: readonly FamilyNode[]): Promise<string> {
    const { ASCII, drawTree, LINES } = await import('../container/copy/family-tree.ts')
    return drawTree(forest, this.#ascii ? ASCII : LINES)
  }
}
