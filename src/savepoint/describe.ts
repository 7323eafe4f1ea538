/**
 * What a savepoint says of a job's operators and tables, so that its state can be read without the job.
 *
 * Owns: which tables each operator has, and where the numbers of their rows are. Does not own: the rows themselves
 * (operator/table-snapshot.ts). Pure.
 */
import type { CheckpointManifest } from '../checkpoint/manifest.ts'
import {
  type SavepointColumn,
  type SavepointOperator,
  type SavepointTable,
  SavepointTableKind,
} from '../gen/millrace/v1/savepoint.ts'
import type { JobPlan, TablePlan } from '../job/plan.ts'
import { describeWindow } from '../job/window-text.ts'
import { type Accumulators, DISTINCT_TEXT, isCell, layOutAccumulators } from '../operator/accumulators.ts'

/** Numbers that a session has before its accumulators: start, end, timer. */
const SESSION_COLUMNS = 3

/** The operators of a job that a checkpoint has state or positions of, in the order of the plan. */
export function describeOperators(plan: JobPlan, checkpoint: CheckpointManifest): readonly SavepointOperator[] {
  const parallelism = new Map(checkpoint.subtasks.map((snapshot) => [snapshot.operatorId, snapshot.parallelism]))
  return operatorsOf(plan).flatMap(({ id, kind, slots }) => {
    const subtasks = parallelism.get(id)
    return subtasks === undefined ? [] : [{ id, kind, parallelism: subtasks, slots: [...slots] }]
  })
}

function operatorsOf(plan: JobPlan): readonly { id: string; kind: string; slots: readonly string[] }[] {
  const source = { id: plan.definition.source.id, kind: 'source', slots: [] }
  if (plan.program === undefined) {
    return [source, { id: 'window', kind: 'window', slots: [] }, { id: 'merge', kind: 'merge', slots: [] }]
  }
  return [source, ...plan.program.nodes.filter((node) => node.id !== source.id)]
}

/** The tables of a job, those of `window` before those of `merge`; none for a job in TypeScript. */
export function describeTables({ tables, schema, metrics }: JobPlan): readonly SavepointTable[] {
  const { SAVEPOINT_TABLE_KIND_RESULTS: results, SAVEPOINT_TABLE_KIND_PARTIALS: partials } = SavepointTableKind
  const columnsOf = (table: TablePlan, accumulators: Accumulators): SavepointColumn[] => {
    const own = metrics.filter((metric) => tables[metric.table] === table)
    return table.accumulators.map(({ kind, column, measure, metrics: readers = [] }, i) => ({
      kind,
      field: measure ?? (kind === 'count' ? '' : column < 0 ? 'key' : (schema.columns[column]?.field.path ?? 'money')),
      // Counts of events are there for every metric, whether or not it is a count.
      metrics:
        kind === 'count' && measure === undefined
          ? own.filter(({ events }) => events === i).map(({ id }) => id)
          : [...readers],
      position: i,
      sketch: isCell(accumulators.kinds[i]!),
      compensation: accumulators.compensations[i]! + 1,
    }))
  }
  const describe = (table: TablePlan, operatorId: string, kind: SavepointTableKind): SavepointTable => {
    const nowhere = () => -1
    const accumulators = layOutAccumulators(table, nowhere, nowhere)
    return describeTable(table, operatorId, kind, accumulators, columnsOf(table, accumulators))
  }
  const inWindow = tables.map((table) => {
    if (table.window.kind === 'session') {
      return describe(table, 'window', SavepointTableKind.SAVEPOINT_TABLE_KIND_SESSIONS)
    }
    return describe(table, 'window', table.keyed ? results : partials)
  })
  return [...inWindow, ...tables.filter((table) => !table.keyed).map((table) => describe(table, 'merge', results))]
}

function describeTable(
  table: TablePlan,
  operatorId: string,
  kind: SavepointTableKind,
  { initial, kinds }: Accumulators,
  columns: SavepointColumn[],
): SavepointTable {
  const sessions = kind === SavepointTableKind.SAVEPOINT_TABLE_KIND_SESSIONS
  return {
    operatorId,
    id: table.id,
    kind,
    window: describeWindow(table.window),
    dimensions: [...table.dimensionNames],
    keyDimension: table.keyed ? table.dimensions.indexOf(-1) : -1,
    allowedLatenessMs: table.allowedLatenessMs,
    retainMs: table.retainMs,
    rowColumns: initial.length,
    columns,
    // Each set of different texts has a column that leads to its first member.
    leadColumns: sessions ? SESSION_COLUMNS + kinds.filter((code) => code === DISTINCT_TEXT).length : 0,
  }
}
