/** Programs of the tests that run as processes of their own, in one file each. */
import { build } from 'esbuild'
import { helperFile } from './addon.ts'

export const bundleHelper = (name: string, outfile: string) =>
  build({
    entryPoints: [helperFile(name)],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    banner: { js: "import { createRequire as __makeRequire } from 'node:module'; const require = __makeRequire(import.meta.url)" },
  })
