/** Debian and its kin, package by package: mmdebstrap where it is installed, else debootstrap. Signatures are always checked. */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { appendFile, lstat, readFile } from 'node:fs/promises'
import { basename, extname, join, resolve } from 'node:path'
import * as z from 'zod/mini'
import { CommandError, HostError } from '../lib/errors.ts'
import { installCommand, which } from '../platform/host.ts'
import { explainFailure } from './bootstrap-failure.ts'
import { lastLines } from './cache.ts'
import { cleanGuest, guestSources } from './clean.ts'
import { chooseMirrors, sourceLines } from './mirrors.ts'
import { chrootScript, logged, makeSandbox, type Sandbox, stepOfLine } from './sandbox.ts'
import type { FetchWork, ImageSource, SourcePlace } from './source.ts'

const words = z.pipe(
  z.array(z.string()),
  z.transform((items: string[]) => items.flatMap((item) => item.split(/[\s,]+/)).filter((item) => item !== '')),
)

const options = z.strictObject({
  kind: z.literal('bootstrap'),
  /** os-release's ID. */
  distribution: z.string(),
  suite: z.string().check(z.regex(/^[a-z][a-z0-9.-]*$/, 'is not the name of a suite')),
  arch: z.string().check(z.regex(/^[a-z0-9]+$/, 'is not an architecture')),
  components: words,
  /** Whether SUITE-updates exists. */
  updates: z.union([z.boolean(), z.enum(['true', 'false'])]),
  mirror: z.string(),
  securityMirror: z.string(),
  packages: words,
  /** The first one that exists is used; relative ones lie beside template.yaml. Empty strings are passed over. */
  keyrings: z.array(z.string()),
  /** Package that brings the keyring, for the hint. */
  keyringPackage: z.string(),
  /** Name of debootstrap's script for suites it does not know. */
  script: z.string(),
  tool: z._default(z.enum(['', 'mmdebstrap', 'debootstrap']), ''),
})

export type BootstrapSource = z.infer<typeof options>

export const bootstrap: ImageSource<BootstrapSource> = {
  kind: 'bootstrap',
  options: options as never,
  runsGuestCode: true,
  describe: ({ distribution, suite, arch }) => `${distribution} ${suite} ${arch}`,

  async identity(source, place) {
    const { mirror, securityMirror, distribution, suite, arch, components, packages, updates } = source
    const keyring = createHash('sha256')
      .update(await readFile(findKeyring(source, place)))
      .digest('hex')
    // Not the mirror that is found on the host: the same packages come from any of them, signed by the same key.
    return { distribution, suite, arch, components, packages, updates: isTrue(updates), mirror, securityMirror, keyring }
  },

  async fetch(source, work) {
    const keyring = findKeyring(source, work)
    const tool = chooseTool(source)
    const mirrors = await chooseMirrors(source)
    const lines = sourceLines(mirrors, source.suite, { components: source.components.join(' '), updates: isTrue(source.updates) })
    const plan: Plan = { source, work, keyring, main: mirrors.main ?? '', lines }
    try {
      if (tool === 'mmdebstrap') await runMmdebstrap(plan)
      else await runDebootstrap(plan)
    } catch (error) {
      throw await explainFailure(error, {
        tool,
        about: bootstrap.describe(source),
        mirror: mirrors.main ?? `the default mirror of ${tool}`,
        logFile: work.logFile,
      })
    }
    await cleanGuest(work, { name: source.distribution, lines, keyring, ownKeyring: basename(keyring) })
  },
}

interface Plan {
  readonly source: BootstrapSource
  readonly work: FetchWork
  readonly keyring: string
  /** Empty: the tool's default. */
  readonly main: string
  /** Empty: the tool's default. */
  readonly lines: readonly string[]
}

const isTrue = (value: boolean | string): boolean => value === true || value === 'true'

/** @throws HostError when none is there: going on without one would mean to trust whoever answers */
function findKeyring(source: BootstrapSource, place: SourcePlace): string {
  const candidates = source.keyrings.filter((path) => path !== '').map((path) => resolve(place.templateDir, path))
  const found = candidates.find((path) => existsSync(path))
  if (found !== undefined) return found
  throw new HostError(`cannot check signatures of ${source.distribution}: no keyring at ${candidates.join(' or ')}`, {
    hint: `${installCommand(source.keyringPackage)}, or pass --keyring FILE`,
  })
}

function chooseTool({ tool, distribution }: BootstrapSource): 'mmdebstrap' | 'debootstrap' {
  const found = (['mmdebstrap', 'debootstrap'] as const).find((name) => (tool === '' || tool === name) && which(name) !== undefined)
  if (found !== undefined) return found
  const wanted = tool === '' ? 'mmdebstrap' : tool
  throw new HostError(`cannot fetch ${distribution}: '${wanted}' is not installed`, { hint: installCommand(wanted) })
}

async function runMmdebstrap(plan: Plan): Promise<void> {
  const { work } = plan
  try {
    await mmdebstrapIn(await makeSandbox(work, true), plan)
  } catch (error) {
    const isRefused =
      work.firstId !== undefined && error instanceof CommandError && (await lastLines(work.logFile, 30)).some(refusesNamespace)
    if (!isRefused) throw error
    work.onStep({ text: 'again without a user namespace, which this host refuses' })
    await mmdebstrapIn(await makeSandbox(work, false), plan)
  }
}

const refusesNamespace = (line: string): boolean => /Operation not permitted|unshare failed|write failed .*[ug]id_map/.test(line)

async function mmdebstrapIn(sandbox: Sandbox, { source, work, keyring, lines }: Plan): Promise<void> {
  const argv = [
    'mmdebstrap',
    '--mode=root',
    '--format=directory',
    '--variant=minbase',
    '--verbose',
    `--architectures=${source.arch}`,
    `--include=${source.packages.join(',')}`,
    `--keyring=${await sandbox.bring(`keyring${extname(keyring)}`, await readFile(keyring))}`,
    '--aptopt=Acquire::Languages "none"',
    ...(lines.length === 0 ? [`--components=${source.components.join(',')}`] : []),
    '--',
    source.suite,
    sandbox.rootfs,
    ...lines,
  ]
  await logged(work, sandbox, argv, { step: stepOfLine(bootstrap.describe(source)) })
  await setUp(work, sandbox)
  await sandbox.finish()
}

const SCRIPTS = '/usr/share/debootstrap/scripts'

/** debootstrap knows one suite and a crude resolver: apt inside does the rest, updates included. */
async function runDebootstrap({ source, work, keyring, main, lines }: Plan): Promise<void> {
  const secure = lines.some((line) => line.includes(' https:'))
  // It makes device nodes, which no user namespace may.
  const sandbox = await makeSandbox(work, false)
  const argv = [
    'debootstrap',
    '--variant=minbase',
    '--force-check-gpg',
    `--keyring=${keyring}`,
    `--arch=${source.arch}`,
    `--components=${source.components.join(',')}`,
    ...(secure ? ['--include=ca-certificates'] : []),
    source.suite,
    work.rootfs,
    main,
    ...(existsSync(join(SCRIPTS, source.suite)) ? [] : [join(SCRIPTS, source.script)]),
  ]
  const step = stepOfLine(bootstrap.describe(source))
  try {
    await logged(work, sandbox, argv, { step })
  } catch (error) {
    await keepItsLog(work)
    throw error
  }
  await guestSources(work, { name: source.distribution, lines, keyring, ownKeyring: basename(keyring) })
  await chrootScript(work, sandbox, INSTALL_SCRIPT, { args: source.packages, step })
  await setUp(work, sandbox)
}

/** debootstrap names a log of its own, which goes with the unfinished tree. */
async function keepItsLog({ rootfs, logFile }: FetchWork): Promise<void> {
  const path = join(rootfs, 'debootstrap/debootstrap.log')
  const stats = await lstat(path).catch(() => undefined)
  if (stats?.isFile()) await appendFile(logFile, await readFile(path))
}

const INSTALL_SCRIPT = `
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q -y dist-upgrade
apt-get -q -y --no-install-recommends install "$@"
`

async function setUp(work: FetchWork, sandbox: Sandbox): Promise<void> {
  if (work.setupScript === undefined) return
  work.onStep({ text: 'setting up the new root file system' })
  await chrootScript(work, sandbox, work.setupScript, {})
}
