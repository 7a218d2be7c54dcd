export interface Definition {
  readonly id: string
  readonly title: string
  readonly examples: readonly string[]
}

export function describeCommand(id: string, command: object, modules: { readonly help: object; readonly commandSpec: object }): Definition
export function readDefinitions(root: string): Promise<Definition[]>
