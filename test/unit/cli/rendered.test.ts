/** Man pages and completion, as the build renders them. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Definition } from '../../../scripts/definitions.mjs'
import { describeCommand } from '../../../scripts/definitions.mjs'
import { renderCompletion } from '../../../scripts/render-completion.mjs'
import { renderManPages } from '../../../scripts/render-man.mjs'
import * as commandSpec from '../../../src/cli/command-spec.ts'
import * as help from '../../../src/cli/help.ts'
import { KEYS, SETTINGS } from '../../../src/config/describe.ts'
import { commandIds, loadCommand } from '../../helpers/commands.ts'
import { needs } from '../../helpers/needs.ts'
import { checkout, run, runOk } from '../../helpers/program.ts'

let definitions: Definition[] = []
let dir = ''
beforeAll(async () => {
  const commands = await Promise.all(commandIds.map(async (id) => ({ id, command: await loadCommand(id) })))
  definitions = commands
    .filter(({ command }) => !command.hidden)
    .map(({ id, command }) => describeCommand(id, command, { help, commandSpec }))
  dir = mkdtempSync(join(tmpdir(), 'tslxc-rendered-'))
})
afterAll(() => rmSync(dir, { recursive: true }))

describe('man pages', () => {
  it('are clean roff', async (context) => {
    needs(context, existsSync('/usr/bin/mandoc'), 'mandoc is not installed')
    for (const [file, text] of renderManPages(checkout, definitions, { keys: KEYS, settings: SETTINGS })) {
      const { stdout } = await run(['mandoc', '-Tlint', '-Wwarning'], { input: text })
      expect({ file, complaints: stdout.split('\n').filter((line) => line !== '' && !line.includes('missing date')) }).toEqual({
        file,
        complaints: [],
      })
    }
  })

  it('show options and examples as they are typed', async (context) => {
    needs(context, existsSync('/usr/bin/mandoc'), 'mandoc is not installed')
    const pages = renderManPages(checkout, definitions, { keys: KEYS, settings: SETTINGS })
    const text = await runOk(['sh', '-c', 'mandoc -Tutf8 | col -b'], { input: pages.get('tslxc-attach.1') ?? '' })
    expect(text).toContain('-e, --elevated-privileges[=PRIVS]')
    expect(text).toContain('tslxc attach web -- ls -l /srv')
  })
})

describe('bash completion', () => {
  async function complete(...words: string[]): Promise<string[]> {
    const script = `source ${join(dir, 'bash')}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tslxc; printf '%s\\n' "\${COMPREPLY[@]}"`
    const text = await runOk(['bash', '-c', script, 'bash', ...words], { env: { TSLXC_ROOT: dir } })
    return text.split('\n').filter((word) => word !== '')
  }

  beforeAll(() => {
    writeFileSync(join(dir, 'bash'), renderCompletion(checkout, definitions).get('bash/tslxc') ?? '')
    for (const name of ['web', 'db']) {
      mkdirSync(join(dir, 'var/lib/tslxc', name), { recursive: true })
      writeFileSync(join(dir, 'var/lib/tslxc', name, 'config.yaml'), '')
    }
    mkdirSync(join(dir, 'elsewhere/mail'), { recursive: true })
    writeFileSync(join(dir, 'elsewhere/mail/config.yaml'), '')
  })

  it.each([
    [['tslxc', 'sta'], ['start']],
    [
      ['tslxc', 'start', ''],
      ['db', 'web'],
    ],
    [['tslxc', 'start', 'w'], ['web']],
    [['tslxc-stop', '--ki'], ['--kill']],
    [['tslxc-stop', '-n', 'd'], ['db']],
    [['tslxc', 'network', 'sh'], ['show']],
    [
      ['tslxc-create', 'x', '-t', ''],
      ['busybox', 'debian', 'ubuntu'],
    ],
    [['tslxc', 'wait', 'web', '--state', 'RU'], ['RUNNING']],
    [['tslxc', 'frobnicate', ''], []],
  ])('%j', async (words, expected) => expect(await complete(...words)).toEqual(expected))

  it('looks where -P says', async () => {
    expect(await complete('tslxc', 'stop', '-P', join(dir, 'elsewhere'), '')).toEqual(['mail'])
  })
})
