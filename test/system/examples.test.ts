/** The examples of `--help` and of the man pages, run as they stand. */
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { exampleText } from '../../src/cli/help.ts'
import { type BtrfsPool, makeBtrfsPool } from '../helpers/btrfs-pool.ts'
import { commandIds, loadCommand } from '../helpers/commands.ts'
import { expectNoLeaks } from '../helpers/leaks.ts'
import { needs } from '../helpers/needs.ts'
import { checkout, type Outcome, run, runOk } from '../helpers/program.ts'
import { makeRoot, type TestRoot } from '../helpers/root.ts'

expectNoLeaks()

const examples = [
  ...new Set((await Promise.all(commandIds.map(loadCommand))).flatMap((command) => (command.examples ?? []).map(exampleText))),
]
const imageCache = process.env.TSLXC_TEST_CACHE
const debianIsCached = imageCache !== undefined && existsSync(join(imageCache, 'images'))

let root: TestRoot
let pool: BtrfsPool
beforeAll(async () => {
  root = makeRoot()
  // A store that can do everything: snapshots, limits, streams.
  pool = makeBtrfsPool()
  for (const dir of ['root', 'srv']) mkdirSync(join(pool.dir, dir))
  await runOk(['mount', '--bind', join(pool.dir, 'root'), root.path])
  chmodSync(root.path, 0o700)
  mkdirSync(join(root.path, 'etc/tslxc'), { recursive: true })
  writeFileSync(join(root.path, 'etc/tslxc/tslxc.yaml'), 'storage: { default: btrfs }\n')
  // The examples share /srv/www: in this mount namespace it is ours.
  await runOk(['mount', '--bind', join(pool.dir, 'srv'), '/srv'])
  mkdirSync('/srv/www')
  for (const dir of ['.ssh', 'backup']) mkdirSync(join(root.path, dir))
  writeFileSync(join(root.path, '.ssh/id_ed25519.pub'), 'ssh-ed25519 AAAA test\n')
  await root.ok('network', 'up')
})
afterAll(async () => {
  await root.tslxc('umount', 'web')
  for (const name of containers()) await root.tslxc('destroy', '-f', '-s', name)
  for (const bridge of ['tslxcbr0', 'lan1']) await root.tslxc('network', 'down', bridge)
  for (const dir of ['/srv', root.path]) await runOk(['umount', dir])
  await root.remove()
  pool.remove()
})

const exists = (name: string): boolean => existsSync(join(root.lxcpath, name, 'config.yaml'))
const containers = (): string[] => readdirSync(root.lxcpath).filter((name) => !name.startsWith('.') && exists(name))

async function haveContainers(names: readonly string[], state: 'RUNNING' | 'STOPPED'): Promise<void> {
  for (const name of names) {
    if (!exists(name)) await root.ok('create', name, '-t', 'busybox', '--ip', 'auto', '--share', '/srv/www:/srv/www')
    await root.tslxc('unfreeze', name)
    const now = (await root.ok('info', '-sH', name)).trim()
    if (state === 'RUNNING' && now !== 'RUNNING') await root.ok('start', name)
    if (state === 'STOPPED' && now !== 'STOPPED') await root.ok('stop', '-k', name)
  }
}

/** Of these names, or beginnings of names. */
const haveNone = async (...names: string[]): Promise<void> => {
  for (const name of containers()) {
    if (names.some((wanted) => name === wanted || (wanted.endsWith('*') && name.startsWith(wanted.slice(0, -1))))) {
      await root.ok('destroy', '-f', '-s', name)
    }
  }
}

async function haveSnapshots(...snapshots: string[]): Promise<void> {
  await haveContainers(['web'], 'STOPPED')
  await root.tslxc('snapshot', '-d', 'ALL', 'web')
  for (const snapshot of snapshots) await root.ok('snapshot', 'web', snapshot)
}

async function haveMounted(...place: string[]): Promise<void> {
  await haveContainers(['web'], 'STOPPED')
  await root.ok('mount', 'web', ...place)
}

async function haveNoVolume(): Promise<void> {
  await root.tslxc('volume', 'snapshot', '-d', 'before', 'web-data')
  await root.tslxc('volume', 'destroy', 'web-data')
}

async function haveVolume(...snapshots: string[]): Promise<void> {
  await haveNoVolume()
  await root.ok('volume', 'create', 'web-data')
  for (const snapshot of snapshots) await root.ok('volume', 'snapshot', 'web-data', snapshot)
}

async function haveNoArchive(): Promise<void> {
  rmSync(join(root.path, 'web.tar.zst'), { force: true })
}

async function haveArchive(): Promise<void> {
  await haveNoArchive()
  await haveContainers(['web'], 'STOPPED')
  await root.ok('export', 'web', join(root.path, 'web.tar.zst'))
}

interface Condition {
  readonly prepare?: () => Promise<unknown>
  /** Typed at a terminal. */
  readonly typed?: string
  readonly skip?: string
  readonly codes?: readonly number[]
  readonly cleanUp?: () => Promise<unknown>
  readonly usesImageCache?: boolean
}

const running = (...names: string[]) => ({ prepare: () => haveContainers(names, 'RUNNING') })
const stopped = (...names: string[]) => ({ prepare: () => haveContainers(names, 'STOPPED') })

// Either prefix of the examples, then q.
const CONSOLE_END = '\x01q\x02q'

// The first that matches counts.
const CONDITIONS: readonly (readonly [RegExp, Condition])[] = [
  [/ssh host/, { skip: 'needs another host' }],
  [/trixie/, { skip: 'needs a package mirror' }],
  [/EDITOR=nano/, { skip: 'needs a person at the editor' }],
  [/^tslxc create -t debian --help/, {}],
  [/^tslxc create web -t debian/, { prepare: () => haveNone('web'), cleanUp: () => haveNone('web'), usesImageCache: true }],
  [/^tslxc create ci -t debian/, { cleanUp: () => haveNone('ci'), usesImageCache: true }],
  [/^tslxc create -n box/, { prepare: () => haveNone('box') }],
  [/^tslxc copy -a/, { ...running('web'), cleanUp: () => root.ok('destroy', '-P', '/srv/lxc', 'web-backup') }],
  [/^tslxc copy .* web2$/, { ...stopped('web'), cleanUp: () => haveNone('web2') }],
  [/^tslxc copy -s web/, { ...stopped('web'), cleanUp: () => root.ok('destroy', 'web[1-9]*') }],
  [/^tslxc copy -R/, { ...stopped('web'), cleanUp: () => root.ok('copy', '-R', 'www', 'web') }],
  [/^tslxc copy -e/, { ...stopped('web'), cleanUp: () => haveNone('web_*') }],
  [/^tslxc snapshot -r before-upgrade -N/, { prepare: () => haveSnapshots('before-upgrade'), cleanUp: () => haveNone('web2') }],
  [/^tslxc snapshot (-r before-upgrade|-L|-d)/, { prepare: () => haveSnapshots('before-upgrade') }],
  [/^tslxc snapshot/, { prepare: () => haveSnapshots() }],
  [/^tslxc mount .*--snapshot/, { prepare: () => haveSnapshots('before-upgrade'), cleanUp: () => root.ok('umount', 'web') }],
  [/^tslxc mount/, { ...stopped('web'), cleanUp: () => root.ok('umount', 'web') }],
  [/^tslxc umount \/mnt/, { prepare: () => haveMounted(join(root.path, 'mnt')) }],
  [/^tslxc umount web/, { prepare: () => haveMounted() }],
  [/^tslxc export/, { ...stopped('web'), cleanUp: haveNoArchive }],
  [/^tslxc import web.tar.zst$/, { prepare: () => haveArchive().then(() => haveNone('web')), cleanUp: haveNoArchive }],
  [/^tslxc import/, { prepare: haveArchive, cleanUp: () => haveNoArchive().then(() => haveNone('web2')) }],
  [/^tslxc volume create/, { prepare: haveNoVolume, cleanUp: haveNoVolume }],
  [/^tslxc volume (restore|snapshot -d)/, { prepare: () => haveVolume('before') }],
  [/^tslxc volume/, { prepare: () => haveVolume() }],
  [/^tslxc destroy -s 'test-\*'/, stopped('test-1', 'test-2')],
  [/^tslxc image fetch debian/, { usesImageCache: true }],
  [/^tslxc image rm --all/, { prepare: () => haveContainers(['web'], 'STOPPED') }],
  [/^tslxc network down/, { prepare: () => haveContainers(['web', 'db', 'mail'], 'STOPPED'), cleanUp: () => root.ok('network', 'up') }],
  [/^tslxc doctor/, { ...running('web'), codes: [0, 1] }],
  [/^tslxc attach web$/, { ...running('web'), typed: 'exit\n' }],
  [/^tslxc attach/, running('web')],
  [/^tslxc console/, { ...running('web'), typed: CONSOLE_END }],
  [/^tslxc start -F/, { ...stopped('web'), typed: '', codes: [137] }],
  [/^tslxc start/, stopped('web', 'db', 'mail')],
  [/^tslxc stop/, running('web', 'db')],
  [/^tslxc wait web -s 'STOPPED/, stopped('web')],
  [/^tslxc unfreeze/, { prepare: () => haveContainers(['web'], 'RUNNING').then(() => root.ok('freeze', 'web')) }],
  [/^tslxc destroy (-f )?web/, { prepare: () => haveSnapshots() }],
  [
    /^tslxc config (get|unset) web limits/,
    { prepare: () => haveContainers(['web'], 'STOPPED').then(() => root.ok('config', 'set', 'web', 'limits.memory', '1G')) },
  ],
  [/^tslxc/, running('web')],
]

const conditionOf = (example: string): Condition => CONDITIONS.find(([pattern]) => pattern.test(example))?.[1] ?? {}

/** `script` gives the command a terminal. */
async function runExample(example: string, condition: Condition): Promise<Outcome> {
  const env = {
    TSLXC_ROOT: root.path,
    TSLXC_CACHE: condition.usesImageCache ? imageCache : undefined,
    HOME: root.path,
    EDITOR: 'true',
    PATH: `${join(checkout, 'bin')}:${process.env.PATH}`,
  }
  // Somebody may keep things in the /mnt of this host.
  const ours = example.replace(' 3f2a', ` ${await firstImage()}`).replace(/ \/(mnt|backup)/, ` ${root.path}/$1`)
  const command = /^tslxc (export|import)/.test(ours) ? `cd ${root.path} && ${ours}` : ours
  if (condition.typed === undefined) return run(['sh', '-c', command], { env, timeoutMs: 90_000 })
  if (command.startsWith('tslxc start -F')) setTimeout(() => void root.tslxc('stop', '-k', 'web'), 3000)
  return run(['script', '-qec', command, '/dev/null'], { env, input: condition.typed, timeoutMs: 30_000 })
}

async function firstImage(): Promise<string> {
  const images = JSON.parse((await root.tslxc('image', 'ls', '--json')).stdout || '[]') as { fingerprint?: string }[]
  return images[0]?.fingerprint?.slice(0, 8) ?? ''
}

describe('examples', () => {
  it.for(examples)('%s', async (example, context) => {
    const condition = conditionOf(example)
    needs(context, condition.skip === undefined, condition.skip ?? '')
    needs(context, !condition.usesImageCache || debianIsCached, "no cached Debian image: 'npm test' fetches it")
    await condition.prepare?.()
    const { code, stdout, stderr } = await runExample(example, condition)
    expect({ example, code, printed: (condition.codes ?? [0]).includes(code) ? '' : stdout + stderr }).toEqual({
      example,
      code: (condition.codes ?? [0]).includes(code) ? code : 0,
      printed: '',
    })
    await condition.cleanUp?.()
  })
})
