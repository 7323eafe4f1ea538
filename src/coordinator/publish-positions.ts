/** Positions of a completed checkpoint, told to the broker under the group's name: for lag tools only. */
import { MillraceError } from '../core/errors.ts'
import type { JobPlan } from '../job/plan.ts'
import type { SourceEnumerator } from '../source/source.ts'
import type { CoordinatorLog } from './log.ts'

/** Commits them in the background where the source has a group. The truth is in the checkpoint, so a failure harms nobody. */
export function publishPositions(
  enumerator: SourceEnumerator | undefined,
  plan: JobPlan,
  positions: Readonly<Record<number, number>>,
  log: CoordinatorLog,
): void {
  const { input } = plan.definition.source
  if (input.kind !== 'kafka' || input.groupId === '' || enumerator === undefined) return
  const fields = { job: plan.jobName, group: input.groupId }
  enumerator.commit(input.groupId, positions).catch((thrown: unknown) => {
    log('warn', `positions were not published: ${MillraceError.from(thrown).message}`, fields)
  })
}
