/**
 * Prints every skip with its reason, fails when a test that is listed in test/required.json was skipped (an entry with a `!` in
 * front takes one test out: a driver for which it has no meaning), and ends with one line:
 * `N passed, N failed, N skipped`. The counts also go to test-results/, for `npm test` to add up.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import type { Reporter, TestCase, TestModule, TestRunEndReason, Vitest } from 'vitest/node'
import { checkout } from './program.ts'

interface Counts {
  passed: number
  failed: number
  skipped: number
}

export default class LineReporter implements Reporter {
  #vitest: Vitest | undefined

  onInit(vitest: Vitest): void {
    this.#vitest = vitest
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[], reason: TestRunEndReason): void {
    // `npm test` has made what they need; a run of one file by hand has not.
    const strict = process.env.TSLXC_TEST_REQUIRED === '1'
    const required = strict ? (JSON.parse(readFileSync(join(checkout, 'test/required.json'), 'utf8')) as string[]) : []
    const counts: Counts = { passed: 0, failed: errors.length, skipped: 0 }
    for (const module of modules) {
      // A file that could not be loaded has no tests.
      if (module.errors().length > 0) counts.failed++
      // A hook that failed leaves its suite's tests skipped, or passed.
      for (const suite of module.children.allSuites()) if (suite.errors().length > 0) counts.failed++
      for (const test of module.children.allTests()) this.#count(test, nameOf(module, test), required, counts)
    }
    if (reason === 'interrupted') counts.failed++
    writeCounts(this.#vitest?.projects.map(({ name }) => name).join('-') ?? 'all', counts)
    if (counts.failed > 0) process.exitCode = 1
    console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
  }

  #count(test: TestCase, name: string, required: readonly string[], counts: Counts): void {
    const result = test.result()
    if (result.state === 'passed') counts.passed++
    else if (result.state === 'failed') counts.failed++
    else {
      const reason = 'note' in result ? result.note : undefined
      const must = !required.includes(`!${name}`) && required.some((entry) => name === entry || name.startsWith(`${entry} > `))
      console.log(`${must ? 'skip of a required test' : 'skip'}: ${name}: ${reason ?? 'no reason given'}`)
      if (must) counts.failed++
      else counts.skipped++
    }
  }
}

/** `test/system/start.test.ts > foreground > returns init's code`, as test/required.json lists them; a file stands for all its tests. */
function nameOf(module: TestModule, test: TestCase): string {
  return `${relative(checkout, module.moduleId)} > ${test.fullName}`
}

function writeCounts(project: string, counts: Counts): void {
  mkdirSync(join(checkout, 'test-results'), { recursive: true })
  writeFileSync(join(checkout, `test-results/${project}.json`), JSON.stringify(counts))
}
