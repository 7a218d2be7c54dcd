/** hook.destroy, called as LXC calls it. lxc.container.conf(5) */
import { rootfsText } from '../compile/compile.ts'
import type { LoadedConfig } from '../config/loaded.ts'
import { PermissionCheck } from '../config/permissions.ts'
import { CommandError } from '../lib/errors.ts'
import { run } from '../platform/exec.ts'
import type { Container, StoreContext } from './store.ts'

/**
 * Runs the hooks in order; the first that fails keeps the container.
 * @throws CommandError; HostError `permission` for a hook that others can write
 */
export async function runDestroyHooks(context: StoreContext, container: Container, { config }: LoadedConfig): Promise<void> {
  const version = config.hook?.version ?? 0
  const env = {
    LXC_NAME: container.name,
    LXC_CONFIG_FILE: container.configFile,
    LXC_ROOTFS_PATH: rootfsText(config),
    LXC_HOOK_VERSION: String(version),
    ...(version === 1 ? { LXC_HOOK_TYPE: 'destroy', LXC_HOOK_SECTION: 'lxc' } : {}),
  }
  const permissions = new PermissionCheck(process.geteuid?.() ?? 0)
  for (const command of config.hook?.destroy ?? []) {
    const [file = ''] = command
    if (file.startsWith('/')) permissions.check(file)
    await runHook(version === 0 ? [...command, container.name, 'lxc', 'destroy'] : command, env, context)
  }
}

async function runHook(argv: readonly string[], env: Readonly<Record<string, string>>, { signal }: StoreContext): Promise<void> {
  try {
    await run(argv, { env, signal })
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    const { status, stderr } = error
    const said = stderr.trim().split('\n').at(-1) ?? ''
    const message = `hook destroy '${argv[0]}' failed with exit code ${status ?? 'none'}${said === '' ? '' : `: ${said}`}`
    throw new CommandError(message, { argv, status, stderr }, { hint: 'mend hook.destroy in the config, or remove it', cause: error })
  }
}
