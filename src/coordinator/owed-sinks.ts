/**
 * Sinks that a changed definition leaves out although they are owed results: nobody else would give those out.
 *
 * Owns: the refusal. Does not own: what is owed (outbox-coordinator.ts), which this process knows of jobs that it has run;
 * where it has not, what is left of it is told when the job starts (checkpoint/outbox-restore.ts, rule 4).
 */
import { MillraceError } from '../core/errors.ts'
import { recordSinks } from '../job/delivery.ts'
import type { JobPlan } from '../job/plan.ts'
import { type OwedEpoch, owedText } from './outbox-status.ts'

/** The sinks of `owed` that the job of `plan` does not have. */
export function sinksGone(owed: readonly OwedEpoch[], { definition }: JobPlan): readonly string[] {
  const there = recordSinks(definition)
  return [...new Set(owed.flatMap(({ sinks }) => sinks))].filter((sink) => !there.has(sink))
}

/** STATE_INCOMPATIBLE: one of them is gone, and `dropState` does not name it. Null when results can all be given. */
export function refusalOfOwed(
  owed: readonly OwedEpoch[],
  plan: JobPlan,
  dropState: readonly string[],
): MillraceError | null {
  const [sink] = sinksGone(owed, plan).filter((gone) => !dropState.includes(gone))
  if (sink === undefined) return null
  const what = owed.filter(({ sinks }) => sinks.includes(sink)).map(owedText)
  return new MillraceError(
    'STATE_INCOMPATIBLE',
    `job ${plan.jobName} no longer has sink ${sink}, which is owed ${what.join(' and ')}: those would be lost. Keep the ` +
      `sink until it has them (describe says so), or name it as what may go (drop_state, --drop-state): ${sink}`,
    { retry: 'never' },
  )
}
