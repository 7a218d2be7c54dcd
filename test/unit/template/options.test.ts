import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { commonFlags } from '../../../src/cli/flags.ts'
import { flagsOfTemplate, withoutDashes } from '../../../src/cli/template-flags.ts'
import Create from '../../../src/commands/create.ts'
import ImageFetch from '../../../src/commands/image/fetch.ts'
import { makePaths } from '../../../src/platform/paths.ts'
import { listTemplates, loadTemplate } from '../../../src/template/load.ts'

const installRoot = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '')
const paths = makePaths({ root: '/nonexistent', installRoot })

/** -n, -h and -? belong to every verb. */
const RESERVED = { names: ['name', 'help', 'usage', 'version'], letters: ['n', 'h'] }

const ownOptions = { create: { ...commonFlags, ...Create.flags }, 'image fetch': { ...commonFlags, ...ImageFetch.flags } }

describe.each(listTemplates(paths))('the options of %s', (name) => {
  const { options } = loadTemplate(paths, name)

  it.each(Object.entries(ownOptions))('do not collide with those of %s', (_verb, flags) => {
    const names = [...Object.keys(flags), ...RESERVED.names]
    const letters = [...Object.values(flags).map(({ char }) => char as string | undefined), ...RESERVED.letters]
    expect(options.map((option) => option.name).filter((option) => names.includes(option))).toEqual([])
    expect(options.map((option) => option.flag).filter((flag) => flag !== undefined && letters.includes(flag))).toEqual([])
  })

  it('are told apart by name and letter', () => {
    const letters = options.flatMap(({ flag }) => (flag === undefined ? [] : [flag]))
    expect(new Set(letters).size).toBe(letters.length)
  })

  it('become flags with a group of their own', async () => {
    const flags = await flagsOfTemplate(paths, name)
    expect(Object.keys(flags)).toEqual(options.map((option) => option.name))
    for (const flag of Object.values(flags)) expect(flag).toMatchObject({ helpGroup: `Options of the template ${name}` })
  })
})

describe("LXC's options of the debian template", () => {
  it('are all there, the template’s and our own for each template', async () => {
    const all = { ...Create.flags, ...(await flagsOfTemplate(paths, 'debian')) }
    const names = ['release', 'arch', 'mirror', 'security-mirror', 'packages', 'enable-non-free', 'auth-key', 'flush-cache', 'keyring']
    expect(Object.keys(all)).toEqual(expect.arrayContaining(names))
    expect(all).toMatchObject({ release: { char: 'r' }, arch: { char: 'a' }, 'auth-key': { char: 'S' }, 'flush-cache': { char: 'F' } })
  })

  it('are taken after -- too', () => {
    expect(withoutDashes(['web', '-t', 'debian', '--', '-r', 'trixie', '--'])).toEqual(['web', '-t', 'debian', '-r', 'trixie', '--'])
    expect(withoutDashes(['web'])).toEqual(['web'])
  })
})
