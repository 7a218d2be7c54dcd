// Writes dist/cli.cache: V8's code for dist/cli.cjs after a warm run, so that lazily compiled functions are in it.
const { spawnSync } = require('node:child_process')
const { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')

const GET = ['config', 'get', 'warm', 'uts.name']
const dist = join(__dirname, '../dist')
rmSync(join(dist, 'cli.cache'), { force: true })
const { load } = require('../bin/run.cjs')

async function main() {
  const root = mkdtempSync(join(tmpdir(), 'tslxc-code-'))
  process.env.TSLXC_ROOT = root
  mkdirSync(join(root, 'var/lib/tslxc/warm'), { recursive: true, mode: 0o700 })
  writeFileSync(join(root, 'var/lib/tslxc/warm/config.yaml'), 'uts: { name: warm }\nnet:\n  - { type: veth, link: tslxcbr0 }\n')
  const { script, bundle } = load()
  Object.assign(bundle.terminal, { out() {}, err() {} })
  try {
    // Only what a frequent verb needs: what else the cache holds costs each verb its reading. Reading tslxc.yaml is not in it.
    spawnSync(process.execPath, [join(__dirname, '../bin/run.cjs'), ...GET])
    await bundle.main(GET, bundle.loaders)
    if (process.exitCode) throw new Error('the warm run failed')
  } finally {
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
