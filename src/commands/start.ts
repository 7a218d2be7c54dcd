import { Args, Flags } from '../cli/flags.ts'
import { NativeCommand } from '../cli/native-command.ts'

export default class Start extends NativeCommand {
  static override summary = 'Start containers'
  static override description =
    'Returns when each is RUNNING, or tells which step failed. A container that runs already is left alone, with exit code 0.'
  static override args = {
    name: Args.string({ description: 'Names of the containers', required: true, multiple: true, ignoreStdin: true }),
  }
  static override rest = { after: 'dashes', label: 'COMMAND', description: 'Run this as init instead' } as const
  static override flags = {
    daemon: Flags.boolean({ char: 'd', summary: 'In the background (the default)' }),
    foreground: Flags.boolean({ char: 'F', summary: "In the foreground, with the container's console on this terminal" }),
    pidfile: Flags.string({ char: 'p', helpValue: 'FILE', summary: "Write the monitor's process id to FILE" }),
    rcfile: Flags.string({ char: 'f', helpValue: 'FILE', summary: "Configuration instead of the container's own" }),
    console: Flags.string({ char: 'c', helpValue: 'FILE', summary: "Terminal or file that is the container's console" }),
    'console-log': Flags.string({ char: 'L', helpValue: 'FILE', summary: 'Log what the console shows to FILE' }),
    'close-all-fds': Flags.boolean({ char: 'C', summary: 'Close inherited descriptors (always done; accepted for scripts)' }),
    define: Flags.string({
      char: 's',
      helpValue: 'KEY=VALUE',
      summary: 'Set a configuration key for this start only',
      multiple: true,
      multipleNonGreedy: true,
    }),
    'share-net': Flags.string({ helpValue: 'NAME|PID', summary: 'Share the network namespace of a container or process' }),
    'share-ipc': Flags.string({ helpValue: 'NAME|PID', summary: 'Share the IPC namespace of a container or process' }),
    'share-uts': Flags.string({ helpValue: 'NAME|PID', summary: 'Share the UTS namespace of a container or process' }),
    'share-pid': Flags.string({ helpValue: 'NAME|PID', summary: 'Share the PID namespace of a container or process' }),
  }
  static override examples = ['tslxc start web', 'tslxc start web db mail', 'tslxc start -F web']
}
