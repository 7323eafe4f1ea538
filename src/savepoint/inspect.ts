/**
 * What is in a savepoint, read without a server and without the job: operators, positions, tables with their keys, and
 * samples of their rows.
 *
 * Owns: what is looked at. Does not own: the shape of the answer (inspection.ts), reading rows of windows (inspect-tables.ts) and of
 * state in TypeScript (inspect-state.ts), how it is shown (cli/savepoint-view.ts). One table of one subtask is in memory at
 * a time.
 */
import { pageCount, type SubtaskSnapshot } from '../checkpoint/snapshot.ts'
import { MillraceError } from '../core/errors.ts'
import type { SavepointTable } from '../gen/millrace/v1/savepoint.ts'
import { inspectState } from './inspect-state.ts'
import { inspectTable } from './inspect-tables.ts'
import type { Inspection, InspectWish, TableInspection } from './inspection.ts'
import { type Savepoint, savepointBytes } from './savepoint.ts'
import type { SavepointReader } from './store.ts'

/** Reads a savepoint. SAVEPOINT_CORRUPT; INPUT_INVALID for a table that it does not have. */
export async function inspectSavepoint(reader: SavepointReader, wish: InspectWish): Promise<Inspection> {
  const { savepoint } = reader
  const { subtasks } = savepoint.checkpoint
  const tables: TableInspection[] = []
  for (const table of savepoint.tables) {
    if (!isWanted(wish.table, table.operatorId, table.id)) continue
    if (subtasks.every((snapshot) => bytesOf(snapshot, table) === 0)) continue
    tables.push(await inspectTable(reader, table, wish.keys))
  }
  for (const operator of savepoint.program ? savepoint.operators : []) {
    const own = subtasks.filter(({ operatorId, splits }) => operatorId === operator.id && splits.length === 0)
    if (own.length === 0 || operator.kind === 'source' || !isWanted(wish.table, operator.id, operator.id)) continue
    tables.push(await inspectState(reader, operator, wish.keys))
  }
  if (wish.table !== null && tables.length === 0) throw noTable(savepoint, wish.table)
  const positions = subtasks.flatMap(({ splits }) =>
    splits.map(({ partition, offset, stopOffset, topicId, maxTimestampMs }) => ({
      ...{ partition, offset, stopOffset, topicId, maxTimestampMs },
    })),
  )
  return {
    savepoint,
    bytes: savepointBytes(savepoint),
    operators: savepoint.operators.map(({ id, kind, parallelism }) => {
      const own = subtasks.filter(({ operatorId }) => operatorId === id)
      const watermarks = own.map(({ watermarkMs }) => watermarkMs)
      return {
        ...{ id, kind, parallelism },
        watermarkMinMs: Math.min(...watermarks),
        watermarkMaxMs: Math.max(...watermarks),
        bytes: own.reduce((sum, { pages }) => sum + pages.length.reduce((a, b) => a + b, 0), 0),
      }
    }),
    positions: positions.sort((a, b) => a.partition - b.partition),
    tables,
  }
}

function bytesOf(snapshot: SubtaskSnapshot, { operatorId, id }: SavepointTable): number {
  if (snapshot.operatorId !== operatorId) return 0
  let bytes = 0
  for (let i = 0; i < pageCount(snapshot.pages); i++) {
    if (snapshot.pages.tables[snapshot.pages.tableIndex[i]!]!.startsWith(`${id}/`)) bytes += snapshot.pages.length[i]!
  }
  return bytes
}

function isWanted(wanted: string | null, operator: string, table: string): boolean {
  return wanted === null || wanted === table || wanted === `${operator}/${table}` || wanted === operator
}

function noTable(savepoint: Savepoint, table: string): MillraceError {
  const tables = savepoint.tables.map(({ operatorId, id }) => `${operatorId}/${id}`)
  const there = savepoint.program ? savepoint.operators.map(({ id }) => id) : tables
  return new MillraceError(
    'INPUT_INVALID',
    `the savepoint has no state ${JSON.stringify(table)}; there is ${there.join(', ') || 'none'}`,
  )
}
