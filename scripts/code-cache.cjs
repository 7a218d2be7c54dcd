// code-cache.cjs cli|storage: writes dist/NAME.cache, V8's code for dist/cli.cjs after a warm run, so that lazily compiled
// functions are in it.
const { spawnSync } = require('node:child_process')
const { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')

const GET = ['config', 'get', 'warm', 'uts.name']
// As `copy`, `destroy` and so on go through most often. Not every host can do all of it: what fails is compiled up to there.
const STORAGE = [
  'create made -t busybox -B overlay',
  'create other -t busybox',
  'copy -s made clone',
  'copy made full',
  'copy -s made many{1..3}',
  'snapshot clone',
  'snapshot -r snap0 clone',
  'snapshot -d snap0 clone',
  'snapshot --all',
  'destroy full',
  'destroy -s many*',
].map((line) => line.split(' '))

const name = process.argv[2]
const dist = join(__dirname, '../dist')
const run = join(__dirname, '../bin/run.cjs')
const cache = join(dist, `${name}.cache`)
rmSync(cache, { force: true })
const { load } = require(run)

async function warm({ bundle }) {
  // Reading tslxc.yaml is not in it.
  spawnSync(process.execPath, [run, ...GET])
  await bundle.main(GET, bundle.loaders)
  if (process.exitCode) throw new Error('the warm run failed')
  if (name !== 'storage') return
  for (const words of STORAGE) await bundle.main(words, bundle.loaders)
  process.exitCode = 0
}

async function main() {
  const root = mkdtempSync(join(tmpdir(), 'tslxc-code-'))
  Object.assign(process.env, { TSLXC_ROOT: root, TSLXC_CACHE: join(root, 'images') })
  mkdirSync(join(root, 'var/lib/tslxc/warm'), { recursive: true, mode: 0o700 })
  writeFileSync(join(root, 'var/lib/tslxc/warm/config.yaml'), 'uts: { name: warm }\nnet:\n  - { type: veth, link: tslxcbr0 }\n')
  const loaded = load(name === 'storage' ? 'copy' : undefined)
  Object.assign(loaded.bundle.terminal, { out() {}, err() {} })
  try {
    await warm(loaded)
  } finally {
    // What deletes behind us would come too late.
    process.removeAllListeners('exit')
    rmSync(root, { recursive: true, force: true })
  }
  writeFileSync(`${cache}.new`, loaded.script.createCachedData())
  renameSync(`${cache}.new`, cache)
  process.exit(0)
}

main().catch((error) => {
  process.stdout.write(`${error.stack}\n`)
  process.exit(1)
})
