import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { ensureDir, readJson, readTextIfPresent, removeFile, renameDurable, writeDurable, writeJson } from '../../../src/platform/files.ts'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tslxc-files-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

it('replaces a file as a whole, keeps its mode, leaves nothing beside it', async () => {
  const file = join(dir, 'x')
  await writeDurable(file, 'one')
  expect(statSync(file).mode & 0o777).toBe(0o600)
  chmodSync(file, 0o640)
  await writeDurable(file, 'two')
  expect(readFileSync(file, 'utf8')).toBe('two')
  expect(statSync(file).mode & 0o777).toBe(0o640)
  await writeDurable(file, 'three', 0o644)
  expect(statSync(file).mode & 0o777).toBe(0o644)
  expect(readdirSync(dir)).toEqual(['x'])
})

it('replaces a symlink instead of following it', async () => {
  writeFileSync(join(dir, 'victim'), 'precious')
  symlinkSync('victim', join(dir, 'link'))
  await writeDurable(join(dir, 'link'), 'mine')
  expect(readFileSync(join(dir, 'victim'), 'utf8')).toBe('precious')
  expect(readFileSync(join(dir, 'link'), 'utf8')).toBe('mine')
})

it('fails in our words and leaves nothing', async () => {
  await expect(writeDurable(join(dir, 'no/such/dir'), 'x')).rejects.toMatchObject({
    message: `cannot write '${dir}/no/such/dir': no such file or directory`,
  })
  writeFileSync(join(dir, 'file'), '')
  await expect(ensureDir(join(dir, 'file/x'))).rejects.toMatchObject({ code: 'host' })
})

it('reads records, checks their version only', async () => {
  const file = join(dir, 'record.json')
  expect(await readJson(file)).toBeUndefined()
  await writeJson(file, { version: 1, more: true })
  expect(await readJson(file, 1)).toEqual({ version: 1, more: true })
  await expect(readJson(file, 2)).rejects.toMatchObject({ code: 'state', message: `cannot read '${file}': its version is 1, not 2` })
  writeFileSync(file, '{')
  await expect(readJson(file)).rejects.toMatchObject({ message: `cannot read '${file}': it is not JSON` })
  expect(await readTextIfPresent(join(dir, 'absent/x'))).toBeUndefined()
})

it('renames and removes', async () => {
  await writeDurable(join(dir, 'a'), 'x')
  await ensureDir(join(dir, 'sub'))
  await renameDurable(join(dir, 'a'), join(dir, 'sub/b'))
  expect(readFileSync(join(dir, 'sub/b'), 'utf8')).toBe('x')
  await removeFile(join(dir, 'sub/b'))
  await removeFile(join(dir, 'sub/b'))
  expect(readdirSync(join(dir, 'sub'))).toEqual([])
})
