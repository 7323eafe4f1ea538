/**
 * Global set-up of the vitest projects that need a broker, a Redis and a PostgreSQL: starts or finds them once, before the first file.
 *
 * The addresses travel in the environment, which forked workers inherit, so that child processes of a test see the same.
 * A run that was given all (tools/test.ts starts them once for all suites) starts nothing here.
 */
import { randomBytes } from 'node:crypto'
import type { TestProject } from 'vitest/node'
import { startInfra } from './infra.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Differs between runs: for the names of topics and keys, so that a server that outlives a run stays usable. */
    runId: string
  }
}

/** Called by vitest before the first test file of a run. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  project.provide('runId', randomBytes(4).toString('hex'))
  const infra = await startInfra()
  const before = new Map(Object.keys(infra.env).map((name) => [name, process.env[name]]))
  Object.assign(process.env, infra.env)
  return async () => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
    await infra.stop()
  }
}
