import { describe, expect, it } from 'vitest'
import { TreeGuard } from '../../../src/container/move/archive-guard.ts'
import { ArchiveReader, type Member } from '../../../src/container/move/archive-reader.ts'
import { END_OF_ARCHIVE, fileMember, parsePax } from '../../../src/lib/tar.ts'

const member = (name: string, more: Partial<Member> = {}): Member => ({
  name,
  link: '',
  type: '0',
  size: 0,
  mode: 0o644,
  otherNames: [],
  keys: [],
  raw: Buffer.alloc(0),
  ...more,
})
const judge = (...members: Member[]): string | undefined => {
  const guard = new TreeGuard('rootfs')
  return members.map((one) => guard.check(one)).find((objection) => objection !== undefined)
}

describe('members of a tree', () => {
  it.each([
    ['a file', [member('rootfs/a')]],
    ['the top', [member('rootfs/', { type: '5' })]],
    ['a symlink to anywhere', [member('rootfs/a', { type: '2', link: '/etc/shadow' })]],
    ['a hard link to what came before', [member('rootfs/a'), member('rootfs/b', { type: '1', link: 'rootfs/a' })]],
    ['dots that are names', [member('rootfs/..a'), member('rootfs/...')]],
    ['capabilities', [member('rootfs/ping', { keys: ['SCHILY.xattr.security.capability', 'mtime'] })]],
  ])('%s may be', (_, members) => {
    expect(judge(...members)).toBeUndefined()
  })

  it.each([
    ["'..'", [member('rootfs/../a')]],
    ["'..'", [member('rootfs/a', { otherNames: ['x/../../a'] })]],
    ['absolute', [member('/a')]],
    ['malformed', [member('rootfs//a')]],
    ['NUL', [member('rootfs/a\0b')]],
    ['no directory', [member('rootfs/a', { type: '2', link: '/' }), member('rootfs/a/b')]],
    ['no directory', [member('rootfs/a'), member('rootfs/a/b/c')]],
    ['no directory', [member('rootfs', { type: '2', link: '/' })]],
    ['twice', [member('rootfs/a', { type: '5' }), member('rootfs/a/', { type: '5' })]],
    ['hard link to a directory', [member('rootfs/a', { type: '5' }), member('rootfs/b', { type: '1', link: 'rootfs/a' })]],
    ['not in the archive', [member('rootfs/b', { type: '1', link: 'rootfs/a' })]],
    ['unknown attribute', [member('rootfs/b', { keys: ['GNU.sparse.map'] })]],
    ['is no file', [member('rootfs/b', { type: '2', size: 5 })]],
    ['of the kind', [member('rootfs/b', { type: 'g' })]],
  ])('%s: refused', (reason, members) => {
    expect(judge(...members)).toContain(reason)
  })
})

describe('reading', () => {
  it('members and their content, whatever the pieces', async () => {
    const bytes = Buffer.concat([fileMember('a', Buffer.from('one')), fileMember('b', Buffer.alloc(600, 'x')), END_OF_ARCHIVE])
    const reader = new ArchiveReader(
      (async function* () {
        for (const byte of bytes) yield Buffer.from([byte])
      })(),
    )
    const first = await reader.next()
    expect(first).toMatchObject({ name: 'a', type: '0', size: 3, mode: 0o600 })
    expect((await reader.whole(first as Member, 10)).toString()).toBe('one')
    const second = await reader.next()
    expect((await reader.whole(second as Member, 1000)).length).toBe(600)
    expect(await reader.next()).toBeUndefined()
  })

  it('extended attributes are bytes; the same one twice is refused', () => {
    expect(parsePax(Buffer.from('6 a=\xff\n', 'latin1')).get('a')).toEqual(Buffer.from([0xff]).subarray(0, 1))
    expect(() => parsePax(Buffer.from('6 a=b\n6 a=c\n'))).toThrow('twice')
    expect(() => parsePax(Buffer.from('9 a=b\n'))).toThrow('malformed')
  })
})
