/**
 * The plan of a job in TypeScript: what the coordinator and worker threads need beside its module.
 *
 * Pure. The graph itself is made in each thread, from the module; what is here is for people, and for the check that
 * all threads run the same.
 */
import type { JobDefinition } from './definition.ts'
import type { JobPlan } from './plan.ts'

/** Plans a definition that has a program. `fileOf` gives the path of a module by its name. */
export function planProgram(
  definition: JobDefinition,
  context: {
    readonly threads: number
    readonly fileOf: (module: string) => string
    readonly descriptorSet?: Uint8Array | null
  },
): JobPlan {
  const { module = '', operators = [] } = definition.program ?? {}
  const nowhere = { path: '', steps: [], type: 'string' } as const
  return {
    jobName: definition.name,
    definition,
    // State is found by operators and the names of its parts: nothing else in a module binds it.
    definitionHash: 'program/1',
    parallelism: Math.max(1, Math.min(definition.parallelism || context.threads, definition.keyGroups)),
    keyGroups: definition.keyGroups,
    schema: { message: '', time: nowhere, timeUnitMs: 1, key: nowhere, columns: [] },
    predicates: [],
    tables: [],
    metrics: [],
    program: { file: context.fileOf(module), nodes: operators, descriptorSet: context.descriptorSet ?? null },
  }
}
