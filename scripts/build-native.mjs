// Builds native/ by node-gyp and copies the results to dist/. Idempotent. Shows what the compiler says when it fails, or with `--verbose`.
import { spawnSync } from 'node:child_process'
import { closeSync, copyFileSync, existsSync, mkdirSync, openSync, readFileSync, renameSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { skipCacheProbe } from './skip-cache-probe.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const nodePrefix = dirname(dirname(process.execPath))
// npm 12 no longer hands `nodedir` on: use the headers beside this Node where they are.
const headers = existsSync(join(nodePrefix, 'include/node/node_api.h')) ? [`--nodedir=${nodePrefix}`] : []
const gyp = join(root, 'node_modules/node-gyp/bin/node-gyp.js')
const verbs = existsSync(join(root, 'native/build/Makefile')) && !process.argv.includes('--clean') ? ['configure', 'build'] : ['rebuild']

const verbose = process.argv.includes('--verbose') || process.env.CI !== undefined
mkdirSync(join(root, 'dist'), { recursive: true })
const logFile = join(root, 'dist/native-build.log')
const log = verbose ? 'inherit' : openSync(logFile, 'w')
if (!verbose) process.stdout.write(`compiling the native part${verbs[0] === 'rebuild' ? '; the first time takes minutes' : ''}\n`)

for (const verb of verbs) {
  const result = spawnSync(process.execPath, [gyp, verb, '-C', join(root, 'native'), '-j', 'max', '--loglevel=warn', ...headers], {
    stdio: ['ignore', log, log],
  })
  if (result.status === 0) continue
  if (!verbose)
    process.stderr.write(`${readFileSync(logFile, 'utf8')}\nthe native part does not build: the output above is in ${logFile}\n`)
  process.exit(result.status ?? 1)
}
if (!verbose) closeSync(log)
for (const name of ['tslxc', 'addon.node']) {
  const fresh = join(root, 'dist', `${name}.new`)
  copyFileSync(join(root, 'native/build/Release', name), fresh)
  if (name === 'tslxc') {
    skipCacheProbe(fresh)
    const strip = spawnSync('strip', ['-s', fresh], { stdio: ['ignore', 'inherit', 'inherit'] })
    if (strip.status !== 0) process.exit(strip.status ?? 1)
  }
  // By rename: a running program keeps its old file.
  renameSync(fresh, join(root, 'dist', name))
}
