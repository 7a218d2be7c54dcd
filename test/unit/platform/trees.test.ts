import { execFileSync } from 'node:child_process'
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { copyTree, removeTree, shiftTree } from '../../../src/platform/trees.ts'
import { helperFile, repositoryRoot, rootOnly } from '../../helpers/addon.ts'

const paths = { installRoot: repositoryRoot }
let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tslxc-trees-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const manifest = (tree: string): Record<string, unknown>[] =>
  execFileSync('python3', [helperFile('manifest.py'), tree], { encoding: 'utf8', maxBuffer: 64 << 20 })
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
const makeOddTree = (tree: string) => execFileSync('python3', [helperFile('oddtree.py'), tree])

describe.skipIf(rootOnly)('copyTree', () => {
  it('copies everything a root file system can hold', async () => {
    makeOddTree(join(dir, 'from'))
    const result = await copyTree(paths, join(dir, 'from'), join(dir, 'to'))
    const [from, to] = [manifest(join(dir, 'from')), manifest(join(dir, 'to'))]
    expect(to).toEqual(from)
    expect(result.entries).toBe(from.length)
    expect(from.find(({ path }) => path === 'sparse')).toMatchObject({ sparse: true })
    expect(from.filter(({ same }) => same !== undefined)).toHaveLength(5)
  })

  it('shifts owners, ids in ACLs and the root of capabilities', async () => {
    makeOddTree(join(dir, 'from'))
    await copyTree(paths, join(dir, 'from'), join(dir, 'up'), { shift: 100_000 })
    const at = (tree: string, name: string) => manifest(join(dir, tree)).find(({ path }) => path === name)
    expect(at('up', 'suid')).toMatchObject({ owner: [100_012, 100_034], mode: '0o106755' })
    // 101234 as a little-endian word in the stored form of the ACL
    expect(JSON.stringify(at('up', 'empty'))).toContain('728b0100')
    await copyTree(paths, join(dir, 'up'), join(dir, 'back'), { shift: -100_000 })
    expect(manifest(join(dir, 'back'))).toEqual(manifest(join(dir, 'from')))
  })

  it('makes a capability of the host one of a guest, and back', async () => {
    makeOddTree(join(dir, 'from'))
    writeFileSync(join(dir, 'from/ping'), 'x')
    execFileSync('setcap', ['cap_net_raw+ep', join(dir, 'from/ping')])
    const capability = (tree: string) =>
      execFileSync('getcap', ['-n', join(dir, tree, 'ping')], { encoding: 'utf8' })
        .split(' ')
        .slice(1)
        .join(' ')
    await copyTree(paths, join(dir, 'from'), join(dir, 'up'), { shift: 100_000 })
    expect(capability('up')).toBe('cap_net_raw=ep [rootid=100000]\n')
    await shiftTree(paths, join(dir, 'up'), -100_000)
    expect(capability('up')).toBe('cap_net_raw=ep\n')
  })

  it('stays on its mount: a mount point is copied empty', async () => {
    makeOddTree(join(dir, 'from'))
    writeFileSync(join(dir, 'secret'), 'secret')
    const script = `mount --bind ${dir}/from/dir ${dir}/from/setgid && mount --bind ${dir}/secret ${dir}/from/empty &&
      exec "${process.execPath}" -e "require('${repositoryRoot}/dist/addon.node').copyTree('${dir}/from','${dir}/to',{}).then(() => 0, (e) => { console.error(e); process.exit(1) })"`
    execFileSync('unshare', ['-m', 'sh', '-c', script])
    expect(readdirSync(join(dir, 'to/setgid'))).toEqual([])
    expect(readFileSync(join(dir, 'to/empty'), 'utf8')).toBe('')
  })

  it('stops when it is aborted, and says so; refuses a target that is not empty', async () => {
    mkdirSync(join(dir, 'from'))
    for (let i = 0; i < 2000; i++) writeFileSync(join(dir, `from/${i}`), 'x'.repeat(5000))
    const abort = new AbortController()
    const copying = copyTree(paths, join(dir, 'from'), join(dir, 'to'), { signal: abort.signal })
    abort.abort()
    await expect(copying).rejects.toMatchObject({ code: 'aborted' })
    writeFileSync(join(dir, 'file'), '')
    await expect(copyTree(paths, join(dir, 'from'), dir)).rejects.toThrow(`cannot copy to '${dir}': it is not empty`)
    await expect(copyTree(paths, join(dir, 'absent'), join(dir, 'x'))).rejects.toThrow(/No such file/)
  })

  it('reports a full disk and which file met it', async () => {
    const script = `mkdir ${dir}/small && mount -t tmpfs -o size=1M none ${dir}/small && mkdir ${dir}/from && head -c 3000000 /dev/urandom > ${dir}/from/big &&
      exec "${process.execPath}" -e "require('${repositoryRoot}/dist/addon.node').copyTree('${dir}/from','${dir}/small/to',{}).catch((e) => console.log(e.code, e.message))"`
    const said = execFileSync('unshare', ['-m', 'sh', '-c', script], { encoding: 'utf8' })
    expect(said).toBe(`no-space cannot copy '${dir}/from/big': No space left on device\n`)
  })
})

describe.skipIf(rootOnly)('shiftTree', () => {
  it('does in place what a shifted copy does, and back', async () => {
    makeOddTree(join(dir, 'from'))
    await copyTree(paths, join(dir, 'from'), join(dir, 'up'), { shift: 100_000 })
    await copyTree(paths, join(dir, 'from'), join(dir, 'own'))
    await shiftTree(paths, join(dir, 'own'), 100_000)
    expect(manifest(join(dir, 'own'))).toEqual(manifest(join(dir, 'up')))
    await shiftTree(paths, join(dir, 'own'), -100_000)
    expect(manifest(join(dir, 'own'))).toEqual(manifest(join(dir, 'from')))
  })

  it('stops when it is aborted', async () => {
    makeOddTree(join(dir, 'tree'))
    await expect(shiftTree(paths, join(dir, 'tree'), 1, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'aborted' })
    await expect(shiftTree(paths, join(dir, 'absent'), 1)).rejects.toThrow(/No such file/)
  })
})

describe.skipIf(rootOnly)('removeTree', () => {
  it('removes all of it, follows no symlink, and finds absence fine', async () => {
    makeOddTree(join(dir, 'tree'))
    mkdirSync(join(dir, 'outside'))
    writeFileSync(join(dir, 'outside/precious'), 'x')
    symlinkSync(join(dir, 'outside'), join(dir, 'tree/dir/out'))
    await removeTree(paths, join(dir, 'tree'))
    await removeTree(paths, join(dir, 'tree'))
    expect(readdirSync(dir)).toEqual(['outside'])
    expect(existsSync(join(dir, 'outside/precious'))).toBe(true)
    symlinkSync(join(dir, 'outside'), join(dir, 'link'))
    await removeTree(paths, join(dir, 'link'))
    expect(readdirSync(dir)).toEqual(['outside'])
    await removeTree(paths, join(dir, 'no/such/thing'))
  })

  it('copes with a tree deeper than any path or limit of descriptors', async () => {
    execFileSync('python3', ['-c', "import os, sys; os.chdir(sys.argv[1])\nfor i in range(1500): os.mkdir('d'); os.chdir('d')", dir])
    await removeTree(paths, join(dir, 'd'))
    expect(readdirSync(dir)).toEqual([])
  })

  it('removes immutable files', async () => {
    mkdirSync(join(dir, 'tree/sub'), { recursive: true })
    writeFileSync(join(dir, 'tree/sub/file'), 'x')
    try {
      execFileSync('chattr', ['+i', join(dir, 'tree/sub/file'), join(dir, 'tree/sub')], { stdio: 'ignore' })
    } catch {
      return // this file system knows no such flag
    }
    await removeTree(paths, join(dir, 'tree'))
    expect(readdirSync(dir)).toEqual([])
  })

  it('does not cross a mount: the other side stays whole', async () => {
    mkdirSync(join(dir, 'tree/point'), { recursive: true })
    mkdirSync(join(dir, 'outside'))
    writeFileSync(join(dir, 'outside/precious'), 'x')
    const script = `mount --bind ${dir}/outside ${dir}/tree/point &&
      exec "${process.execPath}" -e "require('${repositoryRoot}/dist/addon.node').removeTree('${dir}/tree').catch((e) => console.log(e.message))"`
    const said = execFileSync('unshare', ['-m', 'sh', '-c', script], { encoding: 'utf8' })
    expect(said).toContain(`cannot remove '${dir}/tree/point': something is mounted there`)
    expect(lstatSync(join(dir, 'outside/precious')).isFile()).toBe(true)
  })
})
