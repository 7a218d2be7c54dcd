// Builds everything into dist/, man/ and completion/. Idempotent; what runs meanwhile keeps its old files.
import { createHash } from 'node:crypto'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundle, keepCode } from './bundle.mjs'
import { renderAll } from './render.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const dist = join(root, 'dist')

/** Specs compiled by another compiler are stale: its id is in their stamps. */
function writeBuildId() {
  const hash = createHash('sha256')
  for (const file of ['cli.cjs', 'addon.node']) hash.update(readFileSync(join(dist, file)))
  writeByRename('build-id', `${hash.digest('hex').slice(0, 16)}\n`)
}

function writeByRename(name, text) {
  writeFileSync(join(dist, `${name}.new`), text)
  renameSync(join(dist, `${name}.new`), join(dist, name))
}

await bundle(root)
await renderAll()
// After the option tables, which it compiles in.
if (!process.argv.includes('--js')) await import('./build-native.mjs')
writeBuildId()
writeByRename('node-path', `${process.execPath}\n`)
keepCode(root)
