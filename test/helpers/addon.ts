import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadAddon, type NativeAddon } from '../../src/platform/addon.ts'

export const repositoryRoot: string = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
export const helperFile = (name: string): string => join(repositoryRoot, 'test/helpers', name)
export const builtAddon = (): NativeAddon => loadAddon(repositoryRoot)
export const rootOnly: string | false = process.getuid?.() === 0 ? false : 'needs root'
