import { Flags, nameArg, withOptionalValue } from '../cli/flags.ts'
import { NativeCommand } from '../cli/native-command.ts'

export default class Attach extends NativeCommand {
  static override summary = 'Run a command, or a login shell, in a running container'
  static override description =
    "Without COMMAND the shell of the container's own passwd is started. A terminal is given to the command when any of standard input, output and error is one; streams that are redirected stay as they are. Exits with the command's code, or 128 + N when signal N killed it."
  static override args = { name: nameArg }
  static override rest = { after: 'name', label: 'COMMAND', description: 'Command and its words, which reach it untouched' } as const
  static override flags = {
    'elevated-privileges': withOptionalValue(
      Flags.string({
        char: 'e',
        helpValue: 'PRIVS',
        summary: 'Keep privileges that the container does not have: CAP, CGROUP, LSM, joined by |; without PRIVS all of them',
      }),
      'CAP|CGROUP|LSM',
    ),
    arch: Flags.string({ char: 'a', helpValue: 'ARCH', summary: 'Architecture that the command sees' }),
    namespaces: Flags.string({
      char: 's',
      helpValue: 'FLAGS',
      summary: 'Enter only these: MOUNT, PID, UTSNAME, IPC, USER, NETWORK, joined by |; implies -e',
    }),
    'remount-sys-proc': Flags.boolean({ char: 'R', summary: 'Mount /proc and /sys afresh when -s has no MOUNT' }),
    'clear-env': Flags.boolean({ summary: 'Start with container=lxc as the only variable' }),
    'keep-env': Flags.boolean({ summary: "Keep the caller's environment (the default)" }),
    'keep-var': Flags.string({ helpValue: 'VAR', summary: 'Keep VAR in spite of --clear-env', multiple: true, multipleNonGreedy: true }),
    'set-var': Flags.string({ char: 'v', helpValue: 'VAR=VALUE', summary: 'Set a variable', multiple: true, multipleNonGreedy: true }),
    'pty-log': Flags.string({ char: 'L', helpValue: 'FILE', summary: 'Append what the terminal shows to FILE' }),
    uid: Flags.string({ char: 'u', helpValue: 'UID', summary: 'User id inside' }),
    gid: Flags.string({ char: 'g', helpValue: 'GID', summary: 'Group id inside' }),
    context: Flags.string({ char: 'c', helpValue: 'CONTEXT', summary: 'SELinux context of the command' }),
    rcfile: Flags.string({ char: 'f', helpValue: 'FILE', summary: "Configuration instead of the container's own" }),
  }
  static override examples = ['tslxc attach web', 'tslxc attach web -- ls -l /srv', 'tslxc attach web -u 1000 -v LANG=C.UTF-8 -- id']
}
