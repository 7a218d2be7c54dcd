// Bundles all commands into dist/cli.cjs, and keeps V8's code for it in dist/cli.cache and dist/storage.cache.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs'
import { join, relative } from 'node:path'
import { build } from 'esbuild'

/** `config:get` → src/commands/config/get.ts; `index` stands for its directory. */
export function listCommands(root) {
  const dir = join(root, 'src/commands')
  const files = readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(dir, join(entry.parentPath ?? entry.path, entry.name)))
  const id = (file) =>
    file
      .replace(/\.ts$/, '')
      .replace(/(^|\/)index$/, '')
      .replaceAll('/', ':')
  return new Map(files.map((file) => [id(file), `./src/commands/${file}`]).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/**
 * Parts of oclif that its Command class pulls in and that no command of ours reaches: its start-up (config, plugins), its help, its
 * spinners, its debug log. cli/main.ts, cli/help.ts and cli/progress.ts stand for them. They cost 10 ms at each start.
 */
const OCLIF_PARTS = {
  'config/index.js': 'exports.Config = class {}',
  'help/index.js': '',
  'help/util.js': '',
  'ux/index.js': 'exports.ux = {}',
  'ux/theme.js': 'exports.colorize = (color, text) => text',
  'logger.js': 'exports.makeDebug = () => () => {}; exports.getLogger = () => ({ debug() {} })',
  'errors/handle.js': '',
  // They look at standard output, which makes Node load its streams: 2 ms.
  'screen.js': 'exports.stdtermwidth = exports.errtermwidth = 80',
}
// The Command class does so too, against EPIPE: cli/terminal.ts stands for it.
const STDOUT_HANDLER = /process\.stdout\.on\('error'[\s\S]*?\n\}\);\n/

// How oclif would lay out its errors: cli/errors.ts does that.
const OCLIF_TEXT = /^(wrap-ansi|string-width|strip-ansi|indent-string|clean-stack|ansis|widest-line)$/

const withoutOclifParts = {
  name: 'without-oclif-parts',
  setup(builder) {
    builder.onResolve({ filter: OCLIF_TEXT }, ({ path, importer }) =>
      importer.includes('/@oclif/core/') ? { path, namespace: 'plain-text' } : undefined,
    )
    builder.onLoad({ filter: /.*/, namespace: 'plain-text' }, () => ({ contents: 'module.exports = (text) => text', loader: 'js' }))
    builder.onLoad({ filter: /@oclif\/core\/lib\/.*\.js$/ }, ({ path }) => {
      if (path.endsWith('/core/lib/command.js')) return { contents: withoutStdoutHandler(readFileSync(path, 'utf8')), loader: 'js' }
      const part = OCLIF_PARTS[path.split('@oclif/core/lib/')[1]]
      return part === undefined
        ? undefined
        : { contents: `Object.defineProperty(exports, '__esModule', { value: true }); ${part}`, loader: 'js' }
    })
  },
}

function withoutStdoutHandler(source) {
  if (!STDOUT_HANDLER.test(source)) throw new Error('oclif has changed: look for its handler of standard output again')
  return source.replace(STDOUT_HANDLER, '')
}

// Node's own modules that oclif names at the top and that are rarely used: loaded at their first use.
const lateBuiltins = {
  name: 'late-builtins',
  setup(builder) {
    builder.onResolve({ filter: /^node:(readline|fs\/promises|os|perf_hooks)$/ }, ({ path, importer }) =>
      importer.includes('/@oclif/core/') ? { path, namespace: 'late-builtin' } : undefined,
    )
    builder.onLoad({ filter: /.*/, namespace: 'late-builtin' }, ({ path }) => ({
      contents: `module.exports = new Proxy({}, { get: (_, name) => require('${path}')[name] })`,
      loader: 'js',
    }))
  },
}

export async function bundle(root) {
  const loaders = [...listCommands(root)].map(([id, file]) => `  ${JSON.stringify(id)}: () => import(${JSON.stringify(file)}),`)
  const contents = [
    "export { main } from './src/cli/main.ts'",
    "export * as help from './src/cli/help.ts'",
    "export * as commandSpec from './src/cli/command-spec.ts'",
    "export { terminal } from './src/cli/terminal.ts'",
    "export * as keys from './src/config/describe.ts'",
    `export const loaders = {\n${loaders.join('\n')}\n}`,
  ].join('\n')
  mkdirSync(join(root, 'dist'), { recursive: true })
  await build({
    stdin: { contents, resolveDir: root, sourcefile: 'commands.ts', loader: 'ts' },
    outfile: join(root, 'dist/cli.cjs.new'),
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20.11',
    // Everything is inside: what is left of `import()` are Node's own modules.
    plugins: [withoutOclifParts, lateBuiltins],
    supported: { 'dynamic-import': false },
    define: { 'import.meta.url': 'importMetaUrl' },
    banner: { js: "const importMetaUrl = require('node:url').pathToFileURL(__filename).href;" },
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    logLevel: 'warning',
  })
  renameSync(join(root, 'dist/cli.cjs.new'), join(root, 'dist/cli.cjs'))
}

/** In processes of their own, after a run that has compiled what most verbs need, or those of the storage. */
export function keepCode(root) {
  for (const name of ['cli', 'storage']) {
    const argv = [join(root, 'scripts/code-cache.cjs'), name]
    const { status } = spawnSync(process.execPath, argv, { stdio: ['ignore', 'inherit', 'ignore'] })
    if (status !== 0) throw new Error(`cannot make dist/${name}.cache`)
  }
}
