#!/usr/bin/env node
// Runs dist/cli.cjs with the V8 code that the build kept for it: a third of the start-up time.
'use strict'
const { readFileSync } = require('node:fs')
const { createRequire, wrap } = require('node:module')
const { dirname, join } = require('node:path')
const { Script } = require('node:vm')

const OLDEST = [20, 11]

function fail(message, hint) {
  process.stderr.write(`tslxc: ${message}\n  hint: ${hint}\n`)
  process.exit(1)
}

function read(file, encoding) {
  try {
    return readFileSync(file, encoding)
  } catch (error) {
    if (error.code === 'ENOENT') return undefined
    throw error
  }
}

// What else a cache holds costs each verb its reading: those that need much more have one of their own.
const STORAGE_VERBS = new Set(['copy', 'create', 'destroy', 'restore', 'snapshot'])
const cacheOf = (verb) => (STORAGE_VERBS.has(verb) ? 'storage.cache' : 'cli.cache')

/** The exports of the bundle, and its script for whoever wants to keep the compiled code. */
function load(verb) {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
    fail(
      `cannot run on Node ${process.versions.node}: ${OLDEST.join('.')} or newer is needed`,
      'install a newer Node, or set TSLXC_NODE to one',
    )
  }
  const file = join(__dirname, '../dist/cli.cjs')
  // The bundle is ASCII: no decoding.
  const source = read(file, 'latin1')
  if (source === undefined) fail('not built', 'run npm ci && npm run build')
  const script = new Script(wrap(source), { filename: file, cachedData: read(join(__dirname, '../dist', cacheOf(verb))) })
  const module = { exports: {} }
  script.runInThisContext().call(module.exports, module.exports, createRequire(file), module, file, dirname(file))
  return { script, bundle: module.exports }
}

if (require.main === module) {
  const { bundle } = load(process.argv[2])
  bundle.main(process.argv.slice(2), bundle.loaders)
} else module.exports = { load }
