/** The command line is a promise: what changes in it shows as a changed line of surface.json. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { getoptSpec } from '../../../src/cli/command-spec.ts'
import { commandIds, loadCommand } from '../../helpers/commands.ts'
import { checkout } from '../../helpers/program.ts'

async function surfaceOf(id: string): Promise<unknown> {
  const command = await loadCommand(id)
  const { options, rest } = getoptSpec(command)
  const spelled = options.map(({ name, char, value, multiple }) => {
    const shape = { none: '', required: '=', optional: '[=]' }[value]
    return `${char === undefined ? '' : `-${char} `}--${name}${shape}${multiple ? '...' : ''}`
  })
  const args = Object.entries(command.args).map(
    ([name, arg]) => `${name}${arg.required ? '' : '?'}${'multiple' in arg && arg.multiple ? '...' : ''}`,
  )
  return { args: args.join(' '), ...(rest === 'none' ? {} : { rest }), options: spelled.sort() }
}

describe('the command line', () => {
  it('is that of surface.json', async () => {
    const surface = Object.fromEntries(await Promise.all(commandIds.map(async (id) => [id, await surfaceOf(id)])))
    await expect(`${JSON.stringify(surface, null, 2)}\n`).toMatchFileSnapshot('surface.json')
  })

  it.each(commandIds)('%s is described, and reads no standard input for a missing word', async (id) => {
    const command = await loadCommand(id)
    expect(command.summary).toMatch(/^[A-Z].*[^.]$/)
    for (const arg of Object.values(command.args)) expect(arg).toMatchObject({ ignoreStdin: true, description: expect.any(String) })
    for (const flag of Object.values(command.flags ?? {})) {
      expect(flag.summary).toBeTruthy()
      if (flag.type === 'option' && flag.multiple) expect(flag.multipleNonGreedy).toBe(true)
    }
  })

  it.each(commandIds)('%s has options that do not collide', async (id) => {
    const { options } = getoptSpec(await loadCommand(id))
    const letters = options.flatMap(({ char }) => (char === undefined ? [] : [char]))
    expect(new Set(letters).size).toBe(letters.length)
    for (const reserved of ['help', 'usage', 'version']) expect(options.map(({ name }) => name)).not.toContain(reserved)
  })

  it('has one link in bin/ for each first word', async () => {
    const visible = await Promise.all(commandIds.map(async (id) => ((await loadCommand(id)).hidden ? [] : [id.split(':')[0]])))
    const links = readdirSync(join(checkout, 'bin')).filter((name) => name.startsWith('tslxc-'))
    expect(links.map((name) => name.replace('tslxc-', '')).sort()).toEqual([...new Set(visible.flat())].sort())
    for (const name of links) expect(readlinkSync(join(checkout, 'bin', name))).toBe('tslxc')
  })

  it('is what the committed native option tables were rendered from', async () => {
    const { renderNativeOptions } = await import('../../../scripts/render-native.mjs')
    const { describeCommand } = await import('../../../scripts/definitions.mjs')
    const help = await import('../../../src/cli/help.ts')
    const commandSpec = await import('../../../src/cli/command-spec.ts')
    const definitions = await Promise.all(commandIds.map(async (id) => describeCommand(id, await loadCommand(id), { help, commandSpec })))
    const committed = readFileSync(join(checkout, 'native/applets/options.generated.inc'), 'utf8')
    expect(committed, 'run npm run build and commit native/applets/options.generated.inc').toBe(renderNativeOptions(definitions))
  })
})
