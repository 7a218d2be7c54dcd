/** A signed package repository on loopback, made of .deb files: what a mirror is, with a key of its own. */
import { createHash } from 'node:crypto'
import { createReadStream, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { basename, join, normalize } from 'node:path'
import { gzipSync } from 'node:zlib'
import { runOk } from './program.ts'

export interface AptRepository extends Disposable {
  readonly url: string
  /** The public key that signs it. */
  readonly keyring: string
}

export interface RepositoryOptions {
  /** Holds .deb files and priorities.json; stays as it is. */
  readonly debs: string
  /** Paths of more .deb files. */
  readonly more?: readonly string[]
  /** An empty directory of the caller's. */
  readonly dir: string
  readonly suite: string
  readonly components: readonly string[]
}

/** SUITE holds all packages in its first component; SUITE-updates and SUITE-security hold none. */
export async function serveRepository(options: RepositoryOptions): Promise<AptRepository> {
  const { debs, dir, suite, components } = options
  const files = [
    ...readdirSync(debs)
      .filter((name) => name.endsWith('.deb'))
      .map((name) => join(debs, name)),
    ...(options.more ?? []),
  ]
  const gnupg = join(dir, 'gnupg')
  mkdirSync(gnupg, { mode: 0o700 })
  const gpg = (...words: string[]) =>
    runOk(['gpg', '--homedir', gnupg, '--batch', '--quiet', '--yes', '--pinentry-mode', 'loopback', '--passphrase', '', ...words])
  await gpg('--quick-generate-key', 'Archive of the tests <archive@example.org>', 'rsa2048', 'sign', 'never')
  const keyring = join(dir, 'test-archive-keyring.gpg')
  await gpg('--output', keyring, '--export')
  const packages = await packagesText(files, JSON.parse(readFileSync(join(debs, 'priorities.json'), 'utf8')) as Record<string, string>)
  const arch = (await runOk(['dpkg', '--print-architecture'])).trim()
  for (const name of [suite, `${suite}-updates`, `${suite}-security`]) {
    const dists = join(dir, 'www/dists', name)
    const hashes = components.flatMap((component, index) =>
      writeIndex(dists, `${component}/binary-${arch}`, name === suite && index === 0 ? packages : ''),
    )
    writeFileSync(join(dists, 'Release'), releaseText({ suite: name, arch, components, hashes }))
    await gpg('--output', join(dists, 'InRelease'), '--clearsign', join(dists, 'Release'))
    await gpg('--output', join(dists, 'Release.gpg'), '--detach-sign', '--armor', join(dists, 'Release'))
  }
  await runOk(['gpgconf', '--homedir', gnupg, '--kill', 'all'])
  const server = await serve(join(dir, 'www'), files)
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    keyring,
    [Symbol.dispose]: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

const digest = (algorithm: string, content: string | Buffer): string => createHash(algorithm).update(content).digest('hex')

/** apt names files with an escaped epoch; mirrors leave it out, and debootstrap relies on that. */
const plainName = (file: string): string => file.replace(/_\d+%3a/i, '_')

async function packagesText(files: readonly string[], priorities: Readonly<Record<string, string>>): Promise<string> {
  const stanzas: string[] = []
  for (const file of files) {
    const content = readFileSync(file)
    const own = (await runOk(['dpkg-deb', '--field', file])).trimEnd()
    const name = /^Package: (.*)$/m.exec(own)?.[1] ?? ''
    const control = own.replace(/^Priority: .*$/m, `Priority: ${priorities[name] ?? 'optional'}`)
    const hashes = `SHA256: ${digest('sha256', content)}\nMD5sum: ${digest('md5', content)}`
    stanzas.push(`${control}\nFilename: pool/${plainName(basename(file))}\nSize: ${content.length}\n${hashes}\n`)
  }
  // debootstrap reads a stanza when the empty line behind it comes.
  return stanzas.map((stanza) => `${stanza}\n`).join('')
}

interface IndexHash {
  readonly path: string
  readonly sha256: string
  readonly size: number
}

function writeIndex(dists: string, path: string, text: string): IndexHash[] {
  mkdirSync(join(dists, path), { recursive: true })
  const files = [
    { path: `${path}/Packages`, content: Buffer.from(text) },
    { path: `${path}/Packages.gz`, content: gzipSync(text) },
  ]
  return files.map((file) => {
    writeFileSync(join(dists, file.path), file.content)
    return { path: file.path, sha256: digest('sha256', file.content), size: file.content.length }
  })
}

function releaseText(release: { suite: string; arch: string; components: readonly string[]; hashes: readonly IndexHash[] }): string {
  const { suite, arch, components, hashes } = release
  return [
    'Origin: Tests',
    'Label: Tests',
    `Suite: ${suite}`,
    `Codename: ${suite}`,
    `Date: ${new Date(Date.now() - 60_000).toUTCString().replace('GMT', 'UTC')}`,
    `Architectures: ${arch}`,
    `Components: ${components.join(' ')}`,
    'SHA256:',
    ...hashes.map(({ path, sha256, size }) => ` ${sha256} ${size} ${path}`),
    '',
  ].join('\n')
}

async function serve(www: string, files: readonly string[]): Promise<Server> {
  const byName = new Map(files.map((file) => [plainName(basename(file)), file]))
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(request.url ?? '/'))
    const file = path.startsWith('/pool/') ? byName.get(path.slice('/pool/'.length)) : join(www, path)
    if (file === undefined || !existsSync(file) || !statSync(file).isFile()) {
      response.writeHead(404).end()
      return
    }
    response.writeHead(200, { 'content-length': statSync(file).size })
    if (request.method === 'HEAD') response.end()
    else createReadStream(file).pipe(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}
