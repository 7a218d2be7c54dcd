/** Configuration to spec. Pure: the same input gives the same bytes. */
import type { Config } from '../config/schema.ts'
import {
  type ConsolePlan,
  type HookName,
  type HookPlan,
  type IdRange,
  type InitPlan,
  type Namespace,
  type Rlimit,
  SPEC_VERSION,
  type Spec,
} from '../runtime/spec.ts'
import { cgroupPlan, deviceRules } from './cgroup.ts'
import { guestFiles } from './guest-files.ts'
import type { CompileInput } from './input.ts'
import { specKeys } from './keys.ts'
import { mountPlan } from './mounts.ts'
import { networkPlan } from './network.ts'
import { securityPlan } from './security.ts'

const SIGINT = 2
const SIGKILL = 9
/** personality(2) */
const PER_LINUX32 = 8
const DEFAULT_PTYS = 1024
const DEFAULT_CONSOLE_BUFFER_BYTES = 32_768
/** As LXC's. */
const DEFAULT_DEV_BYTES = 500_000

/** @throws ConfigError where a value only turns out to be wrong together with others */
export function compileSpec(input: CompileInput): Spec {
  const { config } = input.loaded
  const hostname = config.uts?.name ?? input.name
  const network = networkPlan(input)
  const mount = config.rootfs?.mount
  return {
    version: SPEC_VERSION,
    build: input.build,
    listing: listing(config),
    stamps: input.stamps,
    name: input.name,
    configFile: input.configFile,
    rootfsPath: rootfsText(config),
    ...(mount === undefined ? {} : { rootfsMount: mount }),
    init: initPlan(config),
    hostname,
    namespaces: { create: namespacesToCreate(config, input.join), join: input.join },
    idmap: idRanges(config),
    mounts: mountPlan(input),
    autodev: { enabled: config.autodev?.value ?? true, tmpfsBytes: config.autodev?.tmpfs?.size ?? DEFAULT_DEV_BYTES },
    files: guestFiles(input, hostname),
    devices: deviceRules(config),
    network,
    cgroup: cgroupPlan(config, input.name),
    security: securityPlan(config, input.hasSeccompFilter),
    rlimits: rlimits(config),
    console: consolePlan(config),
    hooks: hookPlan(config),
    log: logPlan(input),
    ephemeral: config.ephemeral ?? false,
    keys: specKeys(input.loaded, input.name),
  }
}

function listing({ start, group, idmap }: Config): Spec['listing'] {
  return {
    autostart: start?.auto ?? false,
    order: start?.order ?? 0,
    delaySeconds: start?.delay ?? 0,
    groups: group ?? [],
    unprivileged: (idmap?.length ?? 0) > 0,
  }
}

function logPlan({ loaded, containerDir, name, isVolatile }: CompileInput): Spec['log'] {
  const { file, level } = loaded.config.log ?? {}
  // A container that is nothing but a file of someone's has no directory to log to.
  const own = isVolatile ? undefined : `${containerDir}/${name}.log`
  const chosen = file ?? own
  return { ...(chosen === undefined ? {} : { file: chosen }), level: level ?? 'ERROR' }
}

export function rootfsText({ rootfs }: Config): string {
  return rootfs?.path === undefined ? '' : `${rootfs.path.driver}:${rootfs.path.path}`
}

function initPlan(config: Config): InitPlan {
  const { init, signal, arch } = config
  const variables = splitEnvironment([...(config.environment?.value ?? []), ...(config.environment?.runtime ?? [])])
  const named = variables.env.some((entry) => entry.startsWith('container='))
  return {
    argv: init?.cmd ?? ['/sbin/init'],
    cwd: init?.cwd ?? '/',
    // systemd and others see by it what they run in: systemd's container interface.
    env: [...(named ? [] : ['container=lxc']), ...variables.env],
    inheritEnv: variables.inheritEnv,
    uid: init?.uid ?? 0,
    gid: init?.gid ?? 0,
    groups: init?.groups ?? [],
    signals: {
      ...(signal?.halt === undefined ? {} : { halt: signal.halt }),
      reboot: signal?.reboot ?? SIGINT,
      stop: signal?.stop ?? SIGKILL,
    },
    ...(arch?.bits === 32 ? { personality: PER_LINUX32 } : {}),
  }
}

function splitEnvironment(entries: readonly string[]): { env: string[]; inheritEnv: string[] } {
  return { env: entries.filter((entry) => entry.includes('=')), inheritEnv: entries.filter((entry) => !entry.includes('=')) }
}

function namespacesToCreate(config: Config, join: CompileInput['join']): readonly Namespace[] {
  const all: readonly Namespace[] = ['mount', 'net', 'ipc', 'uts', 'pid', 'user', 'cgroup']
  const hostNetwork = config.net?.some((item) => item.type === 'none') ?? false
  return all.filter((namespace) => {
    if (join[namespace] !== undefined) return false
    if (namespace === 'user') return (config.idmap?.length ?? 0) > 0
    return namespace !== 'net' || !hostNetwork
  })
}

function idRanges({ idmap }: Config): readonly IdRange[] {
  return (idmap ?? []).flatMap(({ types, inside, outside, count }) => types.map((type) => ({ type, inside, outside, count })))
}

function rlimits({ prlimit }: Config): readonly Rlimit[] {
  // A later file's value replaces an earlier one's: the lists hold all that was said.
  return Object.entries(prlimit ?? {}).map(([name, values]) => ({ name, ...values?.at(-1) }))
}

function consolePlan(config: Config): ConsolePlan {
  const { tty, pty, console } = config
  return {
    ttys: tty?.max ?? 0,
    ttyDir: tty?.dir ?? '',
    ptys: pty?.max ?? DEFAULT_PTYS,
    ...(console?.path === undefined ? {} : { path: console.path }),
    ...(console?.logfile === undefined ? {} : { logFile: console.logfile }),
    rotate: console?.rotate ?? false,
    logBytes: console?.size ?? 0,
    bufferBytes: console?.buffer?.size ?? DEFAULT_CONSOLE_BUFFER_BYTES,
  }
}

const HOOKS: readonly HookName[] = ['pre-start', 'pre-mount', 'mount', 'autodev', 'start-host', 'start', 'stop', 'post-stop']

function hookPlan({ hook, environment }: Config): HookPlan {
  const steps: Partial<Record<HookName, readonly (readonly string[])[]>> = {}
  for (const name of HOOKS) {
    const commands = hook?.[name]
    if (commands !== undefined && commands.length > 0) steps[name] = commands
  }
  return { version: hook?.version ?? 0, ...splitEnvironment([...(environment?.value ?? []), ...(environment?.hooks ?? [])]), steps }
}
