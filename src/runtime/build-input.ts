/** The input of a window subtask, as its plan wants it. */
import type { EventBatchLayout } from '../exchange/event-batch.ts'
import type { ExchangedColumns } from '../exchange/keyed-output.ts'
import type { JobPlan } from '../job/plan.ts'
import { Deduplicator } from '../operator/deduplicate.ts'
import type { SnapshotTable } from '../operator/table-snapshot.ts'
import type { SubtaskWriter } from '../sink/sink.ts'
import { EventInput } from './event-input.ts'
import { textsOfEvents, topicOf } from './plan-facts.ts'

/** What finds copies of events in one of `parallelism` subtasks; null where the plan does not ask for it. */
export function buildDeduplicator(
  { dedupe }: JobPlan,
  { texts }: ExchangedColumns,
  parallelism: number,
  counters: Readonly<Record<string, number>>,
): Deduplicator | null {
  if (dedupe === undefined) return null
  return new Deduplicator(dedupe, texts.indexOf(dedupe.column), 1 / parallelism, counters.dedupeForgotten ?? 0)
}

/** What takes event batches; `tables` by index in the plan. */
export function buildEventInput(
  plan: JobPlan,
  layout: EventBatchLayout,
  { texts }: ExchangedColumns,
  tables: readonly SnapshotTable[],
  late: SubtaskWriter | null,
  counters: Readonly<Record<string, number>>,
  dedupe: Deduplicator | null,
): EventInput {
  const dimensions = plan.tables.map((table) =>
    textsOfEvents(table).map((column) => (column < 0 ? column : texts.indexOf(column))),
  )
  const origin = { job: plan.jobName, topic: topicOf(plan) }
  return new EventInput(layout, tables, dimensions, plan.metrics, late, origin, counters, dedupe)
}
