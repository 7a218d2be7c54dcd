import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parseSource } from '../../../src/image/index.ts'
import { listTemplates, loadTemplate, parseTemplate } from '../../../src/template/load.ts'
import { optionValues, templateData } from '../../../src/template/options.ts'
import { quoteShell, renderFile, renderText, renderTree } from '../../../src/template/render.ts'

const installRoot = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '')
const paths = { installRoot, confDirs: ['/nonexistent'] }
const facts = { arch: 'amd64', lxcArch: 'x86_64', locale: 'de_DE.UTF-8' }

function sourceOf(name: string, given: Record<string, unknown> = {}) {
  const template = loadTemplate(paths, name)
  const data = templateData(optionValues(template, given, facts), facts)
  const tree = renderTree(template.source, data, `${template.dir}/template.yaml`) as { kind: string }
  return parseSource(tree, `${template.dir}/template.yaml`).options as Record<string, unknown>
}

describe('the templates that come with the program', () => {
  it('are found', () => {
    expect(listTemplates(paths)).toEqual(['busybox', 'debian', 'ubuntu'])
  })

  it.each(['busybox', 'debian', 'ubuntu'])('%s yields a source its kind accepts', (name) => {
    expect(sourceOf(name)).toMatchSnapshot()
  })

  it.each(['debian', 'ubuntu'])('%s renders a setup script that sh accepts', (name) => {
    const template = loadTemplate(paths, name)
    const data = templateData(optionValues(template, {}, facts), facts)
    expect(renderFile(template.setupFile ?? '', data)).toMatchSnapshot()
  })

  it('leave security updates out where the release has none, and where nobody wants them', () => {
    expect(sourceOf('debian', { release: 'sid' })).toMatchObject({ updates: 'false', securityMirror: 'none' })
    expect(sourceOf('debian', { 'security-mirror': 'none' })).toMatchObject({ securityMirror: 'none' })
  })

  it('take packages as lists with commas, several times', () => {
    expect(sourceOf('debian', { packages: ['vim,git', 'tmux'] }).packages).toEqual(expect.arrayContaining(['vim', 'git', 'tmux']))
  })

  it.each([
    ['release', '--help'],
    ['mirror', 'ftp://x'],
    ['packages', '-x'],
    ['arch', 'amd64;id'],
  ])('refuse a --%s of %s', (option, value) => {
    expect(() => sourceOf('debian', { [option]: value })).toThrow(`cannot use '${value}' for --${option}`)
  })
})

describe('loading', () => {
  const load = (text: string) => () => parseTemplate(text, '/t/x', 'x')

  it('names the file, line and column of what is wrong', () => {
    expect(load('summary: x\nsource: {kind: busybox}\nguest: {network: dhcp, init: systemd}\nconfig: c.yaml.ejs\n')).toThrow(
      '/t/x/template.yaml:3:18: guest.network:',
    )
    expect(load('summary: x\ncolour: red\nsource: {kind: a}\nguest: {network: none, init: sysv}\nconfig: c.yaml.ejs\n')).toThrow(
      '/t/x/template.yaml:2:9: colour: is not a known key',
    )
    expect(load('summary: [\n')).toThrow('/t/x/template.yaml:')
  })

  it('answers an unknown name with those that exist', () => {
    expect(() => loadTemplate(paths, 'debain')).toThrow("cannot find template 'debain'")
    expect(() => loadTemplate(paths, '../debian')).toThrow('by its name, not by a path')
  })
})

describe('rendering', () => {
  const nasty = `a'b"$(id)\`x\`\n: [`

  it('quotes for the language of the file', () => {
    expect(renderText('<%= x %>', { x: "it's" }, 'shell', 'f')).toBe("'it'\\''s'")
    expect(renderText('<%= x %>', { x: ['a', 'b c'] }, 'shell', 'f')).toBe("'a' 'b c'")
    expect(JSON.parse(renderText('<%= x %>', { x: nasty }, 'yaml', 'f'))).toBe(nasty)
    expect(renderText('<%= x %>', { x: nasty }, 'verbatim', 'f')).toBe(nasty)
    expect(quoteShell(nasty)).not.toContain('\\n')
  })

  it('names file and line of an error', () => {
    expect(() => renderText('a\n<%= missing %>', {}, 'yaml', '/t/c.yaml.ejs')).toThrow(
      '/t/c.yaml.ejs:2: cannot render: missing is not defined',
    )
  })
})
