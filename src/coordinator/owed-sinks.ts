/**
 * Sinks that a changed definition leaves out, or has write elsewhere, although they are owed results: nobody else would give
 * those out, and what was made for one place (a topic, a table) is not of the form that another one takes.
 *
 * Owns: the refusal. Does not own: what is owed (outbox-coordinator.ts), which this process knows of jobs that it has run;
 * where it has not, what is left of it is told when the job starts (checkpoint/outbox-restore.ts, rule 4).
 */
import { MillraceError } from '../core/errors.ts'
import { placeOf, recordSinks } from '../job/delivery.ts'
import type { JobPlan } from '../job/plan.ts'
import { type OutboxStatus, owedText } from './outbox-status.ts'

/** What is known of a job's sinks, as far as it matters here. */
export type OwedSinks = Pick<OutboxStatus, 'owed' | 'places'>

/** The sinks of the job of `plan` that write elsewhere than they did. */
export function sinksMoved({ places }: Pick<OutboxStatus, 'places'>, { definition }: JobPlan): readonly string[] {
  const there = [...recordSinks(definition)]
  return there.flatMap(([sink, output]) => ((places.get(sink) ?? placeOf(output)) === placeOf(output) ? [] : [sink]))
}

/** The sinks that are owed something and that the job of `plan` does not have, or not where they were. */
export function sinksGone(status: OwedSinks, plan: JobPlan): readonly string[] {
  const there = recordSinks(plan.definition)
  const moved = sinksMoved(status, plan)
  const owed = new Set(status.owed.flatMap(({ sinks }) => sinks))
  return [...owed].filter((sink) => !there.has(sink) || moved.includes(sink))
}

/** STATE_INCOMPATIBLE: one of them is gone, and `dropState` does not name it. Null when results can all be given. */
export function refusalOfOwed(status: OwedSinks, plan: JobPlan, dropState: readonly string[]): MillraceError | null {
  const [sink] = sinksGone(status, plan).filter((gone) => !dropState.includes(gone))
  if (sink === undefined) return null
  const what = status.owed.filter(({ sinks }) => sinks.includes(sink)).map(owedText)
  const change = recordSinks(plan.definition).has(sink)
    ? `has sink ${sink} write elsewhere`
    : `no longer has sink ${sink}`
  return new MillraceError(
    'STATE_INCOMPATIBLE',
    `job ${plan.jobName} ${change}, which is owed ${what.join(' and ')}: those would be lost. Keep the sink as it was ` +
      `until it has them (describe says so), or name it as what may go (drop_state, --drop-state): ${sink}`,
    { retry: 'never' },
  )
}
