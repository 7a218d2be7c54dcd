/** hook.destroy and hook.clone, called as LXC calls them. lxc.container.conf(5) */
import { rootfsText } from '../compile/compile.ts'
import type { LoadedConfig } from '../config/loaded.ts'
import { PermissionCheck } from '../config/permissions.ts'
import { CommandError } from '../lib/errors.ts'
import { run } from '../platform/exec.ts'
import type { Container, StoreContext } from './store.ts'

interface Call {
  readonly type: 'destroy' | 'clone'
  readonly name: string
  readonly version: number
  readonly env: Readonly<Record<string, string>>
  /** Behind those of the hook itself. */
  readonly words: readonly string[]
}

/**
 * Runs the hooks in order; the first that fails keeps the container.
 * @throws CommandError; HostError `permission` for a hook that others can write
 */
export async function runDestroyHooks(context: StoreContext, container: Container, { config }: LoadedConfig): Promise<void> {
  const env = { LXC_CONFIG_FILE: container.configFile, LXC_ROOTFS_PATH: rootfsText(config) }
  const call: Call = { type: 'destroy', name: container.name, version: config.hook?.version ?? 0, env, words: [] }
  await runHooks(context, config.hook?.destroy ?? [], call)
}

export interface CloneHookCall {
  readonly name: string
  readonly sourceName: string
  /** The copy's configuration; what a hook changes there counts. */
  readonly configFile: string
  /** `dir:/path` */
  readonly rootfsPath: string
  /** Where the copy's root file system is mounted. */
  readonly mountedAt: string
  /** What stood behind `--`. */
  readonly words: readonly string[]
}

/** @throws CommandError; HostError `permission` for a hook that others can write */
export async function runCloneHooks(context: StoreContext, { config }: LoadedConfig, clone: CloneHookCall): Promise<void> {
  const { name, sourceName, configFile, rootfsPath, mountedAt, words } = clone
  const env = { LXC_SRC_NAME: sourceName, LXC_CONFIG_FILE: configFile, LXC_ROOTFS_PATH: rootfsPath, LXC_ROOTFS_MOUNT: mountedAt }
  await runHooks(context, config.hook?.clone ?? [], { type: 'clone', name, version: config.hook?.version ?? 0, env, words })
}

async function runHooks({ signal }: StoreContext, commands: readonly (readonly string[])[], call: Call): Promise<void> {
  const { type, name, version, words } = call
  const env = {
    LXC_NAME: name,
    ...call.env,
    LXC_HOOK_VERSION: String(version),
    ...(version === 1 ? { LXC_HOOK_TYPE: type, LXC_HOOK_SECTION: 'lxc' } : {}),
  }
  const permissions = new PermissionCheck(process.geteuid?.() ?? 0)
  for (const command of commands) {
    const [file = ''] = command
    if (file.startsWith('/')) permissions.check(file)
    const argv = [...command, ...(version === 0 ? [name, 'lxc', type] : []), ...words]
    try {
      await run(argv, { env, signal })
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
      throw failed(type, argv, error)
    }
  }
}

function failed(type: Call['type'], argv: readonly string[], error: CommandError): CommandError {
  const { status, stderr } = error
  const said = stderr.trim().split('\n').at(-1) ?? ''
  const message = `hook ${type} '${argv[0]}' failed with exit code ${status ?? 'none'}${said === '' ? '' : `: ${said}`}`
  return new CommandError(message, { argv, status, stderr }, { hint: `mend hook.${type} in the config, or remove it`, cause: error })
}
