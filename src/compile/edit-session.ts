/** `config edit`: the editor works on a copy, which becomes the configuration when all of it is understood. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ConfigError, StateError, TslxcError } from '../lib/errors.ts'
import { commandLine } from '../lib/values.ts'
import { runAttached } from '../platform/exec.ts'
import { containerDir, type Paths } from '../platform/paths.ts'
import { type ChangeRequest, changeConfig, checkConfig, laterNote, readConfigText } from './save.ts'

export interface EditOutcome {
  readonly changed: boolean
  readonly note?: string
}

export interface EditRequest {
  readonly name: string
  /** A command line; the file comes after it. */
  readonly editor: string
  readonly lock: ChangeRequest['lock']
  readonly apply?: NonNullable<ChangeRequest['apply']>
  /** Shows what is wrong before the editor opens again; false: it shall not. */
  readonly goOnAfter: (error: unknown) => Promise<boolean>
}

/** @throws what was wrong last, when it is given up; the hint names the file that keeps the text */
export async function editConfig(paths: Paths, request: EditRequest): Promise<EditOutcome> {
  const { name } = request
  const before = readConfigText(paths, name)
  // Beside the file, so that names in `include` mean the same, and nobody else can reach it.
  const dir = mkdtempSync(join(containerDir(paths, name), '.edit-'))
  const file = join(dir, 'config.yaml')
  writeFileSync(file, before, { mode: 0o600 })
  const text = await editUntilValid(paths, request, { file, before })
  const change = (now: string): string => {
    if (now !== before)
      throw keptAt(file, new StateError('state', `cannot save the configuration of '${name}': somebody else changed it meanwhile`))
    return text
  }
  const changed = text !== before && (await changeConfig(paths, { ...request, change }))
  rmSync(dir, { recursive: true })
  const note = changed ? laterNote(paths, name) : undefined
  return { changed, ...(note === undefined ? {} : { note }) }
}

async function editUntilValid(paths: Paths, request: EditRequest, { file, before }: { file: string; before: string }): Promise<string> {
  let last = before
  for (;;) {
    const status = await runAttached([...commandLine(request.editor), file])
    if (status !== 0)
      throw keptAt(file, new TslxcError('command', `cannot edit '${request.name}': '${request.editor}' ended with ${status}`))
    const text = readFileSync(file, 'utf8')
    try {
      if (text !== before) checkConfig(paths, request.name, text)
      return text
    } catch (error) {
      // Saved again as it was: whoever sits there gives up.
      // What is no matter of the text an editor can't mend either.
      if (text === last || !(error instanceof ConfigError)) throw keptAt(file, error)
      last = text
      if (!(await request.goOnAfter(error))) throw keptAt(file, error)
    }
  }
}

function keptAt(file: string, error: unknown): unknown {
  if (!(error instanceof TslxcError)) return error
  // A hint about the text is not needed by one who gave it up.
  const mend = error.hint === undefined || error instanceof ConfigError ? '' : `${error.hint}; `
  return Object.assign(error, { hint: `${mend}your text is kept in ${file}` })
}
