/** A command that dies at any of its steps: what the next one finds, and that nothing stays behind. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { helperFile, repositoryRoot } from '../../helpers/addon.ts'
import {
  allocated,
  type LifecycleBench as Bench,
  contentOf,
  emptyTrash,
  expectEntries,
  inUse,
  namesIn,
  putContent,
  remarkOf,
} from '../../helpers/lifecycle-store.ts'

type Verb = 'copy' | 'copy-sharing' | 'snapshot' | 'restore' | 'destroy' | 'rename' | 'remove'

export function crashes(current: () => Bench): void {
  const store = () => current().store
  const ok = (...words: string[]) => store().root.ok(...words)
  const bundle = mkdtempSync('/var/tmp/tslxc-test-')
  let empty: string[] = []

  beforeAll(async () => {
    await buildChild(join(bundle, 'child.mjs'))
    // Images of the store are there from now on.
    await ok('create', 'web', ...current().createArgs)
    await ok('destroy', 'web')
    await emptyTrash(store())
    empty = store().entries()
  })
  afterAll(() => rmSync(bundle, { recursive: true, force: true }))

  /** Container `web`: content and remark `old` in snap0, `new` in what it is now. */
  const makeWeb = async () => {
    if (!existsSync(join(store().root.lxcpath, 'web/config.yaml'))) {
      await ok('create', 'web', ...current().createArgs)
      await putContent(store(), 'web', 'old')
      await ok('snapshot', 'web')
    }
    await putContent(store(), 'web', 'new')
  }
  const expectNothing = async () => {
    await expectEntries(store(), empty)
    expect([allocated(store(), 'ids'), allocated(store(), 'leases'), inUse(store())]).toEqual([[], [], []])
  }
  /** How many steps it has, when it was not killed. */
  const run = (verb: Verb, killAt: number): number | undefined => {
    const result = spawnSync(process.execPath, [join(bundle, 'child.mjs'), verb, store().root.path, repositoryRoot, String(killAt)], {
      encoding: 'utf8',
    })
    if (result.signal === 'SIGKILL') return undefined
    const [, steps] = /^done (\d+)$/m.exec(result.stdout) ?? []
    if (steps === undefined) throw new Error(`${verb}: ${result.stderr}${result.stdout}`)
    return Number(steps)
  }
  /** Kills the command at steps spread over its whole length; `check` looks at what the next commands make of it. */
  const killed = async (verb: Verb, check: () => Promise<void>) => {
    const rounds = current().options.crashRounds ?? 3
    await makeWeb()
    const steps = run(verb, 0) ?? 0
    expect(steps).toBeGreaterThan(rounds)
    for (const name of ['copy', 'www', 'web']) await destroyAny(name)
    for (let round = 0; round < rounds; round++) {
      await makeWeb()
      // The last step of all is the end of the command.
      expect(run(verb, 1 + Math.floor(((round + 0.5) * (steps - 1)) / rounds))).toBeUndefined()
      await check()
      for (const name of ['copy', 'www']) await destroyAny(name)
    }
    await destroyAny('web')
    await expectNothing()
  }
  const destroyAny = async (name: string) => {
    const { code, stderr } = await store().root.tslxc('destroy', '-f', '-s', name)
    if (code !== 0) expect(stderr).toContain('Container is not defined')
  }
  /** By the door of a user where containers can run, and by that of a command. */
  const begin = async (name: string) => {
    if (current().options.startless) {
      await ok('snapshot', name, 'looked')
      await ok('snapshot', '-d', 'looked', name)
      return
    }
    await ok('start', name)
    await ok('stop', '-k', name)
  }
  const wholeOf = async (name: string): Promise<string> => {
    const content = await contentOf(store(), name)
    expect(remarkOf(store(), name)).toBe(content)
    return content
  }

  it.each(['copy', 'copy-sharing'] as const)('%s: the copy is whole or none, and can be made again', { timeout: 200_000 }, async (verb) => {
    if (verb === 'copy-sharing' && current().options.clones === false) return
    await killed(verb, async () => {
      if ((await ok('ls', '-1')).split(/\s+/).includes('copy')) await begin('copy')
      else await ok('copy', ...(verb === 'copy-sharing' ? ['-s'] : []), 'web', 'copy')
      expect(await wholeOf('copy')).toBe('new')
      await begin('web')
      expect(await wholeOf('web')).toBe('new')
      expect(await contentOf(store(), 'web', 'snap0')).toBe('old')
    })
  })

  it('snapshot: it is there whole or not at all, and can be taken again', { timeout: 200_000 }, async () => {
    await killed('snapshot', async () => {
      const listed = JSON.parse(await ok('snapshot', '-L', '--json', 'web')) as { snapshot: string }[]
      if (!listed.some(({ snapshot }) => snapshot === 'taken')) await ok('snapshot', 'web', 'taken')
      expect(await contentOf(store(), 'web', 'taken')).toBe('new')
      await ok('snapshot', '-d', 'taken', 'web')
      expect(await contentOf(store(), 'web', 'snap0')).toBe('old')
      await begin('web')
      expect(await wholeOf('web')).toBe('new')
    })
  })

  it('restore: the next start has the old or the new, files and configuration alike', { timeout: 200_000 }, async () => {
    const seen = new Set<string>()
    await killed('restore', async () => {
      await begin('web')
      seen.add(await wholeOf('web'))
      await ok('snapshot', '-r', 'snap0', 'web')
      expect(await wholeOf('web')).toBe('old')
      expect(await contentOf(store(), 'web', 'snap0')).toBe('old')
    })
    expect([...seen].sort()).toEqual(['new', 'old'])
  })

  it('rename: one name has it, with its snapshot', { timeout: 200_000 }, async () => {
    await killed('rename', async () => {
      const [name = ''] = namesIn(store().root.lxcpath).filter((entry) => existsSync(join(store().root.lxcpath, entry, 'config.yaml')))
      expect(['web', 'www']).toContain(name)
      await begin(name)
      expect(await wholeOf(name)).toBe('new')
      await ok('snapshot', '-r', 'snap0', name)
      expect(await wholeOf(name)).toBe('old')
      if (name === 'web') await ok('copy', '-R', 'web', 'www')
      expect(allocated(store(), 'ids')).toEqual(allocated(store(), 'ids').length === 0 ? [] : ['www'])
    })
  })

  it('destroy: the container is whole, or the next one finishes; its name is free', { timeout: 200_000 }, async () => {
    await killed('destroy', async () => {
      if ((await ok('ls', '-1')).split(/\s+/).includes('web')) {
        expect(await wholeOf('web')).toBe('new')
        return
      }
      await ok('create', 'web', ...current().createArgs)
      await begin('web')
      await ok('destroy', 'web')
    })
  })
}

async function buildChild(outfile: string): Promise<void> {
  await build({
    entryPoints: [helperFile('crash-child.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    banner: { js: "import { createRequire as __makeRequire } from 'node:module'; const require = __makeRequire(import.meta.url)" },
  })
}
