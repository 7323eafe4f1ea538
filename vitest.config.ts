/**
 * Test projects: `unit` needs nothing but Node; `e2e`, `golden` and `chaos` need a broker, a Redis and a PostgreSQL, which their
 * global set-up starts or finds once a run. `vitest run --project unit test/window` runs one folder.
 *
 * Forks, not threads: tests start worker pools and native addons of their own.
 */
import { defineConfig } from 'vitest/config'

const withServers = ['e2e', 'golden', 'chaos']

/** `make quick` leaves out what takes a minute by itself. */
const quick = process.env.MILLRACE_TEST_QUICK === '1'

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    passWithNoTests: false,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: [...withServers.map((name) => `test/${name}/**`), ...(quick ? ['test/testing/fault-seeds-*'] : [])],
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
