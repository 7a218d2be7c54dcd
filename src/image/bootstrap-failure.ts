/** What a failed bootstrap means, and what to try. */
import { CommandError, TslxcError } from '../lib/errors.ts'
import { lastLines } from './cache.ts'

const LINES_SHOWN = 6

interface Circumstances {
  readonly tool: string
  readonly about: string
  readonly mirror: string
  readonly logFile: string
}

/** Reasons by what the tools print, most telling first. */
const REMEDIES: readonly (readonly [pattern: RegExp, hint: (where: Circumstances) => string])[] = [
  [/No space left on device/, () => 'free some space: df -h, or set TSLXC_CACHE to another disk'],
  [
    /NO_PUBKEY|not signed|public key is not available|unknown key|EXPKEYSIG|BADSIG|Release signed by/,
    () => 'pass the keyring of that mirror with --keyring FILE',
  ],
  [
    /does not have a Release file|404 +Not Found|No such script|Invalid Release file|Failed getting release file/,
    ({ mirror }) => `check that ${mirror} has this release (-r), or pass --mirror URL`,
  ],
  [
    /Could not resolve|Temporary failure resolving|Could not connect|Connection refused|Network is unreachable|timed out|Unable to connect/,
    ({ mirror }) => `check that this host reaches ${mirror}, or pass --mirror URL`,
  ],
  [/Unable to locate package|has no installation candidate/, () => 'check the names given with --packages'],
]

/** The error in our words, with the tool's last lines; others pass unchanged. */
export async function explainFailure(error: unknown, where: Circumstances): Promise<unknown> {
  if (!(error instanceof CommandError)) return error
  const lines = await lastLines(where.logFile, 200)
  const text = lines.join('\n')
  const remedy = REMEDIES.find(([pattern]) => pattern.test(text))?.[1](where) ?? `read ${where.logFile}`
  const shown = lines.filter((line) => !line.startsWith('# ')).slice(-LINES_SHOWN)
  const message = [
    `cannot fetch image '${where.about}': ${where.tool} failed`,
    ...shown.map((line) => `    ${line}`),
    `  log: ${where.logFile}`,
  ].join('\n')
  return new TslxcError(/No space left/.test(text) ? 'no-space' : 'command', message, { hint: remedy, cause: error })
}
