import { expect, it } from 'vitest'
import { renderTable } from '../../../src/cli/output.ts'
import { makeProgress } from '../../../src/cli/progress.ts'

it('renderTable aligns columns and marks empty cells', async () => {
  const table = await renderTable(
    ['NAME', 'SIZE'],
    [
      ['debian-bookworm', ''],
      ['x', '12 MiB'],
    ],
  )
  expect(table).toBe('NAME             SIZE\ndebian-bookworm  -\nx                12 MiB\n')
})

it('progress is a line a step where no terminal is', () => {
  let text = ''
  const { onStep } = makeProgress({ write: (part) => (text += part) }, false)
  onStep({ text: 'unpacking', done: 1, total: 2 })
  onStep({ text: 'unpacking', done: 2, total: 2 })
  onStep({ text: 'done' })
  expect(text).toBe('unpacking\ndone\n')
})

it('progress is redrawn and taken away on a terminal', () => {
  let text = ''
  const progress = makeProgress({ isTTY: true, columns: 40, write: (part) => (text += part) }, false)
  progress.onStep({ text: 'unpacking', done: 1048576, total: 2097152, unit: 'bytes' })
  expect(text.startsWith('\r\x1b[K')).toBe(true)
  expect(text.slice(4)).toMatch(/^[-\\|/] unpacking \[#{10}\.{10}\]/)
  progress.clear()
  expect(text.endsWith('\r\x1b[K')).toBe(true)
})
