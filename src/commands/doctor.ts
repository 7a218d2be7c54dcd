import { BaseCommand } from '../cli/base-command.ts'
import { Args } from '../cli/flags.ts'
import type { DoctorReport, Finding, FindingLevel } from '../container/doctor/doctor-report.ts'

const MARKS: Readonly<Record<FindingLevel, string>> = { ok: 'ok', warning: 'warning', problem: 'PROBLEM' }

export default class Doctor extends BaseCommand<DoctorReport> {
  static override summary = 'Look for what keeps containers from working, and say how to mend it'
  static override description =
    'Checks the kernel, cgroups, user namespaces, network, storage and limits of this host, and what crashed or broke off; with NAME that ' +
    "container's configuration as well. Each finding comes with the command that mends it. Exit code 1 when something blocks."
  static override args = { name: Args.string({ description: 'Container to check as well', ignoreStdin: true }) }
  static override examples = ['tslxc doctor', 'tslxc doctor web']

  async run(): Promise<DoctorReport> {
    const { args, context } = await this.parse(Doctor)
    const { diagnose } = await import('../container/doctor/doctor.ts')
    const report = await diagnose(context, args.name)
    if (report.problems > 0) this.exitCode = 1
    return report
  }

  override print({ findings, problems, warnings }: DoctorReport): string {
    const count = (number: number, word: string) => `${number} ${word}${number === 1 ? '' : 's'}`
    return `${findings.map(render).join('')}\n${count(problems, 'problem')}, ${count(warnings, 'warning')}\n`
  }
}

function render({ area, level, text, fix }: Finding): string {
  const hint = fix === undefined ? '' : `${' '.repeat(20)}mend: ${fix}\n`
  return `${MARKS[level].padEnd(9)}${area.padEnd(11)}${text}\n${hint}`
}
