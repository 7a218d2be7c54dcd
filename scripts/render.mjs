// Renders what is made of the command classes. `--native` only the option tables, which the native build includes.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readDefinitions, readKeys } from './definitions.mjs'
import { renderCompletion } from './render-completion.mjs'
import { renderManPages } from './render-man.mjs'
import { renderNativeOptions } from './render-native.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** Leaves a file alone that is right already, so that the native build has nothing to do. */
function writeChanged(path, text) {
  try {
    if (readFileSync(path, 'utf8') === text) return
  } catch {
    mkdirSync(dirname(path), { recursive: true })
  }
  writeFileSync(path, text)
}

export async function renderNative() {
  writeChanged(join(root, 'native/applets/options.generated.inc'), renderNativeOptions(await readDefinitions(root)))
}

export async function renderAll() {
  await renderNative()
  const definitions = await readDefinitions(root)
  for (const [file, text] of renderManPages(root, definitions, readKeys(root))) writeChanged(join(root, 'man', file), text)
  for (const [file, text] of renderCompletion(root, definitions)) writeChanged(join(root, 'completion', file), text)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--native')) await renderNative()
  else await renderAll()
}
