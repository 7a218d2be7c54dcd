// Builds native/ by node-gyp and copies the results to dist/. Idempotent.
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, renameSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { skipCacheProbe } from './skip-cache-probe.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const nodePrefix = dirname(dirname(process.execPath))
// npm 12 no longer hands `nodedir` on: use the headers beside this Node where they are.
const headers = existsSync(join(nodePrefix, 'include/node/node_api.h')) ? [`--nodedir=${nodePrefix}`] : []
const gyp = join(root, 'node_modules/node-gyp/bin/node-gyp.js')
const verbs = existsSync(join(root, 'native/build/Makefile')) && !process.argv.includes('--clean') ? ['configure', 'build'] : ['rebuild']

for (const verb of verbs) {
  const result = spawnSync(process.execPath, [gyp, verb, '-C', join(root, 'native'), '-j', 'max', '--loglevel=warn', ...headers], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  if (result.status !== 0) process.exit(result.status ?? 1)
}
mkdirSync(join(root, 'dist'), { recursive: true })
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
