/** One job in a world of its own: what most tests of the coordinator begin with. */
import { JobCoordinator } from '../../../src/coordinator/job-coordinator.ts'
import { newJobMemory } from '../../../src/coordinator/job-memory.ts'
import type { JobState } from '../../../src/coordinator/job-state.ts'
import type { JobDefinition } from '../../../src/job/definition.ts'
import { makeDefinition, makePlan, makeWorld, quickSettings, type WorldOptions } from './world.ts'

/** Records in the partitions of a world that names none. */
export const TOTAL = 3200

/** A world with a coordinator of one job, not yet submitted. */
export function setUpJob(options: WorldOptions & { definition?: Partial<JobDefinition>; jobId?: string } = {}) {
  const world = makeWorld(options)
  const states: JobState[] = []
  const job = new JobCoordinator(
    1,
    makePlan(makeDefinition(options.definition)),
    newJobMemory(options.jobId ?? 'id-1'),
    world.ports,
    {
      onState: (status) => {
        if (states.at(-1) !== status.state) states.push(status.state)
      },
      storeRecord: async () => {
        await world.store.swapJob('engagement', undefined, new Uint8Array([1]))
      },
      confirm: async (attempt) => attempt,
      onCheckpoint: () => {},
      storeFirstSplits: async () => {},
      onRedeployed: () => {},
    },
    quickSettings,
  )
  const reach = (state: JobState) =>
    world.scheduler.runUntil(() => job.status.state === state, `${state}, at ${job.status.state}`)
  return { ...world, job, states, reach }
}
