import { defineConfig } from 'vitest/config'

/** In the virtual machine, 50 times slower: one process, and a bundle, so that nothing is left to translate there. */
export default defineConfig({
  test: {
    include: [`test-results/guest/${process.env.TSLXC_GUEST_TESTS ?? '*.test'}.mjs`],
    pool: 'threads',
    maxWorkers: 1,
    isolate: false,
    testTimeout: 600_000,
    hookTimeout: 600_000,
    disableConsoleIntercept: true,
    reporters: ['verbose', 'json'],
    outputFile: { json: process.env.REPORT },
    cache: false,
  },
})
