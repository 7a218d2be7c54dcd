// Writes dist/cli.cache: V8's code for dist/cli.cjs after a warm run, so that lazily compiled functions are in it.
const { mkdtempSync, renameSync, rmSync, writeFileSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')

const dist = join(__dirname, '../dist')
rmSync(join(dist, 'cli.cache'), { force: true })
const { load } = require('../bin/run.cjs')

async function main() {
  const root = mkdtempSync(join(tmpdir(), 'tslxc-code-'))
  process.env.TSLXC_ROOT = root
  const { script, bundle } = load()
  const quiet = () => true
  const { write } = process.stdout
  process.stdout.write = quiet
  process.stderr.write = quiet
  try {
    for (const argv of [['config', '-l'], ['config', 'get', 'warm', 'uts.name'], ['config', 'get', '--help'], ['--version']]) {
      await bundle.main(argv, bundle.loaders)
    }
  } finally {
    process.stdout.write = write
    rmSync(root, { recursive: true, force: true })
  }
  writeFileSync(join(dist, 'cli.cache.new'), script.createCachedData())
  renameSync(join(dist, 'cli.cache.new'), join(dist, 'cli.cache'))
  process.exit(0)
}

main().catch((error) => {
  process.stdout.write(`${error.stack}\n`)
  process.exit(1)
})
