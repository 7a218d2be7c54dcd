import { BaseCommand } from '../cli/base-command.ts'
import { Args, nameArg } from '../cli/flags.ts'
import type { ResizeReport } from '../container/disk/resize.ts'
import { printSize, printSizeRounded } from '../lib/units.ts'

export default class Resize extends BaseCommand<ResizeReport> {
  static override summary = 'Change how much the root file system of a container may hold'
  static override description =
    'Sets limits.disk in the configuration and has it enforced at once, of a running container too. Without SIZE it takes what the ' +
    'configuration says. On lvm and loop it is the size of the device: it grows while in use, and shrinks where the file system in it can. ' +
    'Below what is there nothing is changed.'
  static override args = {
    name: nameArg,
    size: Args.string({ description: 'The new size (20G), a difference (+5G, -5G), or none', ignoreStdin: true }),
  }
  static override examples = ['tslxc resize web 20G', 'tslxc resize web +5G', 'tslxc resize web none']

  async run(): Promise<ResizeReport> {
    // A difference looks like an option.
    const isLess = (word: string): boolean => /^-\d/.test(word)
    const end = this.argv.indexOf('--')
    const words = end < 0 ? this.argv : this.argv.slice(0, end)
    const argv = words.some(isLess)
      ? [...words.filter((word) => !isLess(word)), '--', ...words.filter(isLess), ...this.argv.slice(words.length + 1)]
      : this.argv
    const { args, context } = await this.parse(Resize, argv)
    const { requireRoot } = await import('../platform/host.ts')
    requireRoot('resize', `'${args.name}'`)
    const { resizeContainer } = await import('../container/disk/resize.ts')
    return await resizeContainer(context, args.name, args.size)
  }

  override summarize({ name, beforeBytes, limitBytes, referencedBytes, changed }: ResizeReport): string {
    const limit = limitBytes === undefined ? 'has no limit' : `may hold ${printSize(limitBytes)}`
    const before = changed ? `${beforeBytes === undefined ? 'no limit' : printSize(beforeBytes)} before` : 'as before'
    return `'${name}' ${limit} (${before}), ${printSizeRounded(referencedBytes)} are there\n`
  }
}
