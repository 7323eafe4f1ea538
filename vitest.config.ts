/**
 * Test projects: `unit` needs nothing but Node; `e2e`, `golden` and `chaos` need a broker, a Redis and a PostgreSQL, which their
 * global set-up starts or finds once a run. `vitest run --project unit test/window` runs one folder.
 *
 * Forks, not threads: tests start worker pools and native addons of their own.
 */
import { defineConfig } from 'vitest/config'

const withServers = ['e2e', 'golden', 'chaos']

/**
 * What `make quick` leaves out: whole jobs under faults, fuzzing, models, oracles, sketches and the guide, and single files that take
 * seconds. The inner loop stays under a minute so; `make test` runs all of it.
 */
const slow = [
  ...['testing', 'fuzz', 'model', 'oracle', 'savepoint', 'guide', 'state/sketch'].map((folder) => `test/${folder}/**`),
  'test/**/*hostile*',
  'test/coordinator/worker-pool.test.ts',
  'test/job/state-diff.test.ts',
  'test/operator/{person-table,retractions,sketches,session-table,early-results,change-numbers}.test.ts',
  'test/rpc/method-access.test.ts',
  'test/tools/job-schema.test.ts',
]
const quick = process.env.MILLRACE_TEST_QUICK === '1'

export default defineConfig({
  test: {
    pool: 'forks',
    // Modules are loaded once a worker in the inner loop: half of its time otherwise.
    isolate: !quick,
    maxWorkers: 2,
    passWithNoTests: false,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: [...withServers.map((name) => `test/${name}/**`), ...(quick ? slow : [])],
          testTimeout: 20_000,
          hookTimeout: 20_000,
        },
      },
      ...withServers.map((name) => ({
        extends: true as const,
        test: {
          name,
          include: [`test/${name}/**/*.test.ts`],
          globalSetup: ['test/support/infra-setup.ts'],
          testTimeout: 90_000,
          hookTimeout: 120_000,
          teardownTimeout: 30_000,
        },
      })),
    ],
  },
})
