// Checks the format of native/; `--write` sets it right.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const files = readdirSync(join(root, 'native'), { recursive: true })
  .filter((file) => /\.(cpp|hpp)$/.test(file) && !file.startsWith('build/'))
  .map((file) => join('native', file))
const mode = process.argv.includes('--write') ? ['-i'] : ['--dry-run', '--Werror']
const { status } = spawnSync(join(root, 'node_modules/.bin/clang-format'), [...mode, ...files], { cwd: root, stdio: 'inherit' })
process.exit(status ?? 1)
