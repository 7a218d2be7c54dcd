import { defineConfig } from 'vitest/config'

const common = { pool: 'forks' as const, disableConsoleIntercept: true, environment: 'node' as const }
// They share the kernel's state, so one file at a time.
const onHost = { ...common, fileParallelism: false, globalSetup: ['test/helpers/system-setup.ts'], hookTimeout: 300_000 }

export default defineConfig({
  test: {
    reporters: ['default', './test/helpers/reporter.ts'],
    projects: [
      { test: { ...common, name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 20_000 } },
      { test: { ...onHost, name: 'system', include: ['test/system/**/*.test.ts'], testTimeout: 120_000 } },
      { test: { ...onHost, name: 'compat', include: ['test/compat/**/*.test.ts'], testTimeout: 120_000 } },
      {
        test: {
          ...common,
          name: 'vm',
          include: ['test/vm/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 1_200_000,
          hookTimeout: 1_200_000,
        },
      },
      // Builds OpenZFS on first use: `npm run test:zfs`, no part of `npm test`.
      { test: { ...common, name: 'zfs', include: ['test/zfs/**/*.test.ts'], testTimeout: 1_200_000, hookTimeout: 1_200_000 } },
    ],
  },
})
