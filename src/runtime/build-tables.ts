/** The tables of a plan, as the operators of its graph have them: which kind of table each kind of window needs. */
import type { TablePlan } from '../job/plan.ts'
import type { Accumulators } from '../operator/accumulators.ts'
import { layOutAccumulators } from '../operator/accumulators.ts'
import { EventAggregator } from '../operator/aggregate-events.ts'
import { PersonAggregator } from '../operator/aggregate-persons.ts'
import { SessionAggregator } from '../operator/aggregate-sessions.ts'
import { GlobalTable } from '../operator/global-table.ts'
import { openResultTable } from '../operator/pane-table.ts'
import { PartialTable } from '../operator/partial-table.ts'
import { PersonTable } from '../operator/person-table.ts'
import type { ResultSink } from '../operator/result-sink.ts'
import { membersOfEvents, membersOfPartials, type ResultTable } from '../operator/result-table.ts'
import { SessionTable } from '../operator/session-table.ts'
import type { SnapshotTable } from '../operator/table-snapshot.ts'
import type { PagePool } from '../state/page-pool.ts'

/**
 * Table `index` of a plan in the window operator: of results where it is keyed, else of partials. `numberAt`: positions of
 * columns among the batch's numbers.
 */
export function buildWindowTable(
  plan: TablePlan,
  index: number,
  accumulators: Accumulators,
  pool: PagePool,
  sinks: readonly ResultSink[],
  numberAt: (column: number) => number,
): SnapshotTable {
  const { window, person } = plan
  if (person !== undefined) {
    const valueAt = person.value === undefined ? -1 : numberAt(person.value.column)
    return new PersonTable(plan, person, index, accumulators, pool, valueAt)
  }
  if (window.kind === 'session') return new SessionTable(plan, window.gapMs, index, accumulators, pool, sinks)
  return plan.keyed
    ? openResultTable(plan, index, accumulators, pool, membersOfEvents, sinks)
    : new PartialTable(plan, index, accumulators, pool)
}

/** Table `index` of a plan in the merge operator; null where it is keyed, and so lives in the window operator. */
export function buildMergeTable(
  plan: TablePlan,
  index: number,
  pool: PagePool,
  sinks: readonly ResultSink[],
): ResultTable | null {
  if (plan.keyed) return null
  const nowhere = () => -1
  return openResultTable(plan, index, layOutAccumulators(plan, nowhere, nowhere, pool), pool, membersOfPartials, sinks)
}

/** What puts events into a table of the window operator. `dimensions`: positions among the batch's texts, -1 the key. */
export function buildAggregator(
  table: SnapshotTable,
  dimensions: readonly number[],
): EventAggregator | SessionAggregator | PersonAggregator {
  if (table instanceof PersonTable) return new PersonAggregator(table, dimensions)
  if ('sessions' in table) return new SessionAggregator(table, dimensions)
  const trigger = table instanceof GlobalTable && table.triggered ? table : null
  return new EventAggregator(table.plan, dimensions, table.accumulators, table.slices, 'durable' in table, trigger)
}
