/** Which mirror packages come from: what was asked for, else the host's own when it is of the same distribution, else the tool's default. */
import { UsageError } from '../lib/errors.ts'
import { run } from '../platform/exec.ts'
import { distribution, which } from '../platform/host.ts'

export interface MirrorWish {
  /** os-release's ID: `debian`. */
  readonly distribution: string
  /** Empty: not asked for. */
  readonly mirror: string
  /** Empty: not asked for; `none`: leave security updates out. */
  readonly securityMirror: string
}

export interface Mirrors {
  /** Absent: the bootstrap tool's own default. */
  readonly main?: string
  /** Absent: left out. */
  readonly security?: string
}

export async function chooseMirrors(wish: MirrorWish): Promise<Mirrors> {
  const host = distribution()
  const found = host.id === wish.distribution && host.codename !== undefined ? await hostMirrors(host.codename) : {}
  const main = wish.mirror || found.main
  const security = wish.securityMirror === 'none' ? undefined : wish.securityMirror || found.security
  if (main === undefined && wish.securityMirror !== '' && wish.securityMirror !== 'none') {
    throw new UsageError(`cannot use --security-mirror alone: this host has no sources of ${wish.distribution} to go with it`, {
      hint: 'pass --mirror URL as well',
    })
  }
  return { ...(main === undefined ? {} : { main }), ...(security === undefined ? {} : { security }) }
}

const INDEX_FORMAT = '$(CREATED_BY) $(CODENAME) $(COMPONENT) $(REPO_URI)'

/** apt itself says what its sources mean: there are two formats, and options, and aliases of suites. apt-get(8) */
async function hostMirrors(codename: string): Promise<{ main?: string; security?: string }> {
  if (which('apt-get') === undefined) return {}
  const { stdout } = await run(['apt-get', 'indextargets', '--format', INDEX_FORMAT], { okCodes: [0, 100] })
  return mirrorsIn(stdout, codename)
}

/** Pure half of `hostMirrors`. */
export function mirrorsIn(indexTargets: string, codename: string): { main?: string; security?: string } {
  const targets = indexTargets.split('\n').map((line) => line.split(' '))
  const uriOf = (suite: string): string | undefined =>
    targets
      .find(
        ([by, release, component, uri]) => by === 'Packages' && release === suite && component === 'main' && /^https?:/.test(uri ?? ''),
      )?.[3]
      ?.replace(/\/+$/, '')
  const main = uriOf(codename)
  const security = uriOf(`${codename}-security`)
  return { ...(main === undefined ? {} : { main }), ...(security === undefined ? {} : { security }) }
}

/** One line of sources.list(5) a suite, without the options; none where the tool's default is to serve. */
export function sourceLines(mirrors: Mirrors, suite: string, parts: { readonly components: string; readonly updates: boolean }): string[] {
  const { components, updates } = parts
  if (mirrors.main === undefined) return []
  return [
    `deb ${mirrors.main} ${suite} ${components}`,
    ...(updates ? [`deb ${mirrors.main} ${suite}-updates ${components}`] : []),
    ...(mirrors.security === undefined ? [] : [`deb ${mirrors.security} ${suite}-security ${components}`]),
  ]
}
