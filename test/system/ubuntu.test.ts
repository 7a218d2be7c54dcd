/** Ubuntu's default suite, from a repository on loopback that is named as it and made of Debian's packages, signed with a key of its own. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type AptRepository, serveRepository } from '../helpers/apt-repository.ts'
import { expectNoLeaks } from '../helpers/leaks.ts'
import { needs } from '../helpers/needs.ts'
import { checkout, runOk } from '../helpers/program.ts'
import { makeRoot, type TestRoot } from '../helpers/root.ts'

const debs = join(process.env.TSLXC_TEST_DEBS ?? '', 'archives')
const FETCH_MS = 600_000
const PACKAGES = ['--packages', 'tslxc-probe']

/** A package whose maintainer script writes down how it runs: the map of its user namespace, and which processes it sees. */
async function probePackage(dir: string): Promise<string> {
  mkdirSync(join(dir, 'DEBIAN'), { recursive: true, mode: 0o755 })
  const control =
    'Package: tslxc-probe\nVersion: 1\nArchitecture: all\nMaintainer: Tests <tests@example.org>\nPriority: optional\nDescription: probe\n'
  writeFileSync(join(dir, 'DEBIAN/control'), control)
  writeFileSync(join(dir, 'DEBIAN/postinst'), '#!/bin/sh\nset -e\n{ cat /proc/self/uid_map; ls /proc | grep -c "^[0-9]"; } >/probe\n', {
    mode: 0o755,
  })
  await runOk(['dpkg-deb', '--root-owner-group', '--build', dir, `${dir}.deb`])
  return `${dir}.deb`
}

let root: TestRoot
let mirror: AptRepository

expectNoLeaks()

describe('the ubuntu template', () => {
  beforeEach((context) => needs(context, existsSync(debs), "no packages for a repository: 'npm run test:system' downloads them"))
  beforeAll(async () => {
    if (!existsSync(debs)) return
    root = makeRoot()
    mkdirSync(join(root.path, 'repository'))
    const more = [await probePackage(join(root.path, 'probe'))]
    mirror = await serveRepository({ debs, more, dir: join(root.path, 'repository'), suite: 'noble', components: ['main', 'universe'] })
  })
  afterAll(async () => {
    mirror?.[Symbol.dispose]()
    await root?.remove()
  })

  const env = () => ({ TSLXC_CACHE: join(root.path, 'cache'), http_proxy: undefined, HTTP_PROXY: undefined, no_proxy: '127.0.0.1' })
  /** Lines that the maintainer script of our own package left in the image. */
  const probe = (): string[] => {
    const [entry = ''] = entries()
    const rootfs = readdirSync(join(imagesDir(), entry)).find((name) => name.startsWith('rootfs-')) ?? ''
    return readFileSync(join(imagesDir(), entry, rootfs, 'probe'), 'utf8').split('\n')
  }
  const fetch = (template: string, ...options: string[]) =>
    root.tslxcWith(
      { env: env(), timeoutMs: FETCH_MS },
      ...['image', 'fetch', template, '--mirror', mirror.url, '--security-mirror', mirror.url, '--locale', 'C.UTF-8', ...options],
    )
  const imagesDir = () => join(root.path, 'cache/images')
  const entries = () => (existsSync(imagesDir()) ? readdirSync(imagesDir()).filter((name) => /^[0-9a-f]{32}$/.test(name)) : [])

  it('refuses what is not signed with its keys, says so, and leaves nothing but the log', { timeout: FETCH_MS }, async () => {
    const { code, stderr } = await fetch('ubuntu')
    expect(code).toBe(1)
    expect(stderr).toContain("cannot fetch image 'ubuntu noble amd64': mmdebstrap failed")
    expect(stderr).toMatch(/ {2}log: .*\.log\n/)
    expect(stderr).toContain('hint: pass the keyring of that mirror with --keyring FILE')
    expect(entries()).toEqual([])
  })

  it('names a release that the mirror does not have', { timeout: FETCH_MS }, async () => {
    const { stderr } = await fetch('ubuntu', '--keyring', mirror.keyring, '-r', 'nightly')
    expect(stderr).toContain(`hint: check that ${mirror.url} has this release (-r), or pass --mirror URL`)
    expect(entries()).toEqual([])
  })

  it('fetches noble by mmdebstrap', { timeout: FETCH_MS }, async () => {
    const { code, stdout, stderr } = await fetch('ubuntu', '--keyring', mirror.keyring, ...PACKAGES)
    if (code !== 0) throw new Error(stderr)
    expect(stdout).toMatch(/^ubuntu noble amd64: fetched, /)
    const [entry = ''] = entries()
    const rootfs = readdirSync(join(imagesDir(), entry)).find((name) => name.startsWith('rootfs-')) ?? ''
    const sources = readFileSync(join(imagesDir(), entry, rootfs, 'etc/apt/sources.list.d/ubuntu.sources'), 'utf8')
    expect(sources).toContain('Suites: noble-security\nComponents: main universe\nSigned-By: /etc/apt/keyrings/test-archive-keyring.gpg')
    expect(existsSync(join(imagesDir(), entry, rootfs, 'etc/apt/keyrings/test-archive-keyring.gpg'))).toBe(true)
    const [map = '', processes] = probe()
    expect(map).toMatch(/^ +0 +[1-9]\d{6,} +65536$/)
    expect(Number(processes)).toBeLessThan(20)
  })

  it('fetches it by debootstrap too, which has no script for it', { timeout: FETCH_MS }, async () => {
    const own = join(root.path, 'etc/tslxc/templates')
    cpSync(join(checkout, 'templates/ubuntu'), join(own, 'slow'), { recursive: true })
    cpSync(join(checkout, 'templates/_common'), join(own, '_common'), { recursive: true })
    const text = readFileSync(join(own, 'slow/template.yaml'), 'utf8')
    writeFileSync(join(own, 'slow/template.yaml'), text.replace('kind: bootstrap', 'kind: bootstrap\n  tool: debootstrap'))
    const refused = await fetch('slow')
    expect(refused.code).toBe(1)
    expect(refused.stderr).toContain('--keyring FILE')
    const { code, stderr } = await fetch('slow', '--keyring', mirror.keyring, '-F', ...PACKAGES)
    if (code !== 0) throw new Error(stderr)
    expect(stderr).toContain('ubuntu noble amd64: configuring the base system')
    expect(Number(probe()[1])).toBeLessThan(20)
  })
})
