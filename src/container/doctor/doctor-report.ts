/** What `doctor` finds. */

export type FindingLevel = 'ok' | 'warning' | 'problem'
export type FindingArea = 'program' | 'kernel' | 'cgroups' | 'users' | 'network' | 'storage' | 'limits' | 'containers'

export interface Finding {
  readonly area: FindingArea
  /** `problem`: something of tslxc can't work until it is mended. */
  readonly level: FindingLevel
  readonly text: string
  /** What to type. */
  readonly fix?: string
}

export interface DoctorReport {
  readonly findings: readonly Finding[]
  readonly problems: number
  readonly warnings: number
}

/** Findings of one area, in the order they were looked for. */
export class Findings {
  readonly list: Finding[] = []
  readonly #area: FindingArea

  constructor(area: FindingArea) {
    this.#area = area
  }

  ok(text: string): void {
    this.list.push({ area: this.#area, level: 'ok', text })
  }

  warn(text: string, fix?: string): void {
    this.#add('warning', text, fix)
  }

  block(text: string, fix?: string): void {
    this.#add('problem', text, fix)
  }

  #add(level: FindingLevel, text: string, fix: string | undefined): void {
    this.list.push({ area: this.#area, level, text, ...(fix === undefined ? {} : { fix }) })
  }
}
