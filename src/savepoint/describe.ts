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
export function describeTables({ tables, schema }: JobPlan): readonly SavepointTable[] {
  const { SAVEPOINT_TABLE_KIND_RESULTS: results, SAVEPOINT_TABLE_KIND_PARTIALS: partials } = SavepointTableKind
  const nameOf = (column: number) => (column < 0 ? 'key' : (schema.columns[column]?.field.path ?? ''))
  const inWindow = tables.map((table) => {
    if (table.window.kind === 'session') {
      return describeTable(table, 'window', SavepointTableKind.SAVEPOINT_TABLE_KIND_SESSIONS, nameOf)
    }
    return describeTable(table, 'window', table.keyed ? results : partials, nameOf)
  })
  const inMerge = tables.filter((table) => !table.keyed).map((table) => describeTable(table, 'merge', results, nameOf))
  return [...inWindow, ...inMerge]
}

function describeTable(
  table: TablePlan,
  operatorId: string,
  kind: SavepointTableKind,
  nameOf: (column: number) => string,
): SavepointTable {
  const nowhere = () => -1
  const accumulators = layOutAccumulators(table, nowhere, nowhere)
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
    rowColumns: accumulators.initial.length,
    columns: describeColumns(table, accumulators, nameOf),
    // Each set of different texts has a column that leads to its first member.
    leadColumns: sessions ? SESSION_COLUMNS + accumulators.kinds.filter((code) => code === DISTINCT_TEXT).length : 0,
  }
}

function describeColumns(
  table: TablePlan,
  { kinds, compensations }: Accumulators,
  nameOf: (column: number) => string,
): SavepointColumn[] {
  return table.accumulators.map(({ kind, metrics, column }, i) => ({
    kind,
    field: kind === 'count' ? '' : nameOf(column),
    metrics: [...(metrics ?? [])],
    position: i,
    sketch: isCell(kinds[i]!),
    compensation: compensations[i]! + 1,
  }))
}
