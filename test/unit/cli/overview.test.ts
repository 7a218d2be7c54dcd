import { describe, expect, it } from 'vitest'
import type { CommandLoaders } from '../../../src/cli/command-spec.ts'
import { renderOverview } from '../../../src/cli/overview.ts'
import { commandIds, loadCommand } from '../../helpers/commands.ts'

const loaders: CommandLoaders = Object.fromEntries(commandIds.map((id) => [id, async () => ({ default: await loadCommand(id) })]))

describe('the overview', () => {
  it('has each verb that is not hidden, in a group', async () => {
    const text = await renderOverview(loaders)
    const shown = [...text.matchAll(/^ {2}([a-z][a-z -]*?) {2}/gm)].map(([, words = '']) => words.replaceAll(' ', ':'))
    const visible = await Promise.all(commandIds.map(async (id) => ((await loadCommand(id)).hidden === true ? [] : [id])))
    expect(shown.toSorted()).toEqual(visible.flat().toSorted())
    expect(text).not.toContain('Others:')
  })

  it('keeps what nobody put into a group', async () => {
    const text = await renderOverview({ 'new-verb': async () => ({ default: { summary: 'Do something' } }) })
    expect(text).toContain('Others:\n  new-verb  Do something\n')
  })
})
