/** What long work tells whoever is watching. Domain code calls it and never prints. */
export interface Step {
  /** What is being done, e.g. `unpacking the image`; lower case, without a full stop. */
  readonly text: string
  /** Set both for a bar; in `unit`. */
  readonly done?: number
  readonly total?: number
  readonly unit?: 'bytes' | 'entries' | 'packages'
}

export type OnStep = (step: Step) => void
