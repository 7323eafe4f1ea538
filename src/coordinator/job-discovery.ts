/** Partition discovery of one attempt: what is found goes to the subtasks that own it. */
import type { MillraceError } from '../core/errors.ts'
import type { JobPlan } from '../job/plan.ts'
import type { SplitStart } from '../runtime/messages.ts'
import type { SourceEnumerator } from '../source/source.ts'
import { subtaskOfPartition } from './assignment.ts'
import type { Deployment } from './deployment.ts'
import { Discovery, discoveryMsOf } from './discovery.ts'
import type { JobPorts } from './job-ports.ts'

/** The discovery of an attempt that reads `known`; undefined where nothing can be found. `onRecreated` ends the attempt. */
export function openDiscovery(
  plan: JobPlan,
  { scheduler, log }: Pick<JobPorts, 'scheduler' | 'log'>,
  enumerator: SourceEnumerator | undefined,
  known: readonly SplitStart[],
  deployment: Deployment,
  onRecreated: (error: MillraceError) => void,
): Discovery | undefined {
  const { source } = plan.definition
  const everyMs = discoveryMsOf(source.input)
  if (source.bounded || everyMs === 0 || enumerator === undefined) return undefined
  const fields = { job: plan.jobName, source: source.id }
  return new Discovery({
    enumerator,
    scheduler,
    everyMs,
    known,
    onAdded: (splits) => {
      const partitions = splits.map((split) => split.partition)
      log('info', `source ${source.id} gained partitions`, { ...fields, partitions })
      for (const split of splits) {
        const subtask = subtaskOfPartition(split.partition, plan.parallelism)
        deployment.sendTo(subtask, { type: 'assign', subtask, splits: [split] })
      }
    },
    onRecreated,
    onFailed: (error) => log('warn', `partitions of source ${source.id}: ${error.message}`, fields),
  })
}
