import { describe, expect, it } from 'vitest'
import { linesIn, sourcesText } from '../../../src/image/clean.ts'
import { mirrorsIn, sourceLines } from '../../../src/image/mirrors.ts'

const TARGETS = `Packages bookworm main http://mirror.example/debian/
Translations bookworm main http://mirror.example/debian/
Packages bookworm contrib http://other.example/debian/
Packages bookworm-updates main http://mirror.example/debian/
Packages bookworm-security main http://security.example/debian-security/
Packages cloud-sdk main http://packages.example/apt/
`

describe('the mirrors of the host', () => {
  it('are those of its own release, without the last slash', () => {
    expect(mirrorsIn(TARGETS, 'bookworm')).toEqual({
      main: 'http://mirror.example/debian',
      security: 'http://security.example/debian-security',
    })
  })

  it('are none when its sources name another release, or lie on a disk', () => {
    expect(mirrorsIn(TARGETS, 'trixie')).toEqual({})
    expect(mirrorsIn('Packages bookworm main file:/srv/debian/\n', 'bookworm')).toEqual({})
    expect(mirrorsIn('', 'bookworm')).toEqual({})
  })
})

describe('package sources', () => {
  const mirrors = { main: 'http://m/debian', security: 'http://s/debian-security' }

  it('hold the release, its updates and its security updates', () => {
    expect(sourceLines(mirrors, 'trixie', { components: 'main contrib', updates: true })).toEqual([
      'deb http://m/debian trixie main contrib',
      'deb http://m/debian trixie-updates main contrib',
      'deb http://s/debian-security trixie-security main contrib',
    ])
    expect(sourceLines({ main: 'http://m' }, 'sid', { components: 'main', updates: false })).toEqual(['deb http://m sid main'])
  })

  it('are the ones of the tool where no mirror is known', () => {
    expect(sourceLines({}, 'trixie', { components: 'main', updates: true })).toEqual([])
    expect(
      linesIn('# made by the tool\ndeb [signed-by="/k.gpg"] http://m/debian trixie  main\ndeb-src http://m/debian trixie main\n'),
    ).toEqual(['deb http://m/debian trixie main'])
  })

  it('are bound to a key inside', () => {
    expect(sourcesText(['deb http://m/debian sid main contrib'], '/k.gpg')).toBe(
      'Types: deb\nURIs: http://m/debian\nSuites: sid\nComponents: main contrib\nSigned-By: /k.gpg\n',
    )
  })
})
