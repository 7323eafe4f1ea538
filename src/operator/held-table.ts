/**
 * A table as a checkpoint has it, beside the table that goes on with it.
 *
 * Owns: how rows of the one are laid out, and where each of their columns goes in rows of the other. Does not own: which
 * accumulators go on in which (job/state-match.ts), reading rows (operator/table-restore, operator/session-snapshot).
 */
import { invariant } from '../core/errors.ts'
import type { AccumulatorPlan, TablePlan } from '../job/plan.ts'
import type { AccumulatorDescriptor, TableDescriptor } from '../job/state-identity.ts'
import type { TableSource } from '../job/state-match.ts'
import type { CellStore } from '../state/cell-store.ts'
import { type Accumulators, COUNT, furtherColumnsOf, isCell, layOutAccumulators, SUM } from './accumulators.ts'
import { takeCell } from './cells.ts'

/** What a restore must know of a table that goes on. */
interface OwnTable {
  readonly plan: TablePlan
  readonly accumulators: Accumulators
}

/** A table of a checkpoint, and its place in a table of now. */
export interface HeldTable {
  /** Names its pages. */
  readonly id: string
  readonly allowedLatenessMs: number
  /** As its rows have them. */
  readonly accumulators: Accumulators
  /** By accumulator: the one that goes on with it; -1 for none. */
  readonly places: readonly number[]
  /** By column of its rows: the column of rows now; -1 for none. */
  readonly columns: Int32Array
  /** Whether its pages can be taken as they are. */
  readonly same: boolean
  /** Columns of the counts of which a row must have one, to have anything that goes on; null where all goes on. */
  readonly counts: readonly number[] | null
}

/** The place of a checkpoint's table in one of now. */
export function heldTable({ held, accumulators: places }: TableSource, own: OwnTable): HeldTable {
  const plan = planOf(held)
  const nowhere = (): number => -1
  const accumulators = layOutAccumulators(plan, nowhere, nowhere)
  const columns = columnsOf(accumulators, places, own.accumulators)
  const inPlace = places.length === own.accumulators.count && places.every((into, i) => into === i)
  const same =
    inPlace &&
    columns.length === own.accumulators.initial.length &&
    accumulators.kinds.every((kind, i) => kind === own.accumulators.kinds[i]) &&
    accumulators.memberCounts === own.accumulators.memberCounts
  const all = places.every((into) => into >= 0)
  const counts = places.flatMap((into, i) => (into >= 0 && accumulators.kinds[i] === COUNT ? [i] : []))
  return {
    ...{ id: held.id, allowedLatenessMs: held.allowedLatenessMs, accumulators, places, columns, same },
    counts: all ? null : counts,
  }
}

/** A table as it is itself: for what was not described. */
export function itself({ plan, accumulators }: OwnTable): HeldTable {
  const places = Array.from(accumulators.kinds, (_, i) => i)
  const columns = Int32Array.from(accumulators.initial, (_, i) => i)
  const { id, allowedLatenessMs } = plan
  return {
    id,
    allowedLatenessMs,
    accumulators: { ...accumulators, cells: null },
    places,
    columns,
    same: true,
    counts: null,
  }
}

/** Whether a row of a checkpoint has anything that goes on. */
export function goesOn({ counts }: HeldTable, f64: Float64Array, at: number): boolean {
  if (counts === null) return true
  for (let i = 0; i < counts.length; i++) if (f64[at + counts[i]!] !== 0) return true
  return false
}

/** Copies the columns of a row of a checkpoint to where they are now; `cells` holds its sketches, null where none are kept. */
export function moveColumns(
  { columns, places, accumulators }: HeldTable,
  own: Accumulators,
  from: Float64Array,
  fromAt: number,
  into: Float64Array,
  at: number,
  cells: CellStore | null,
): void {
  for (let i = 0; i < columns.length; i++) if (columns[i]! >= 0) into[at + columns[i]!] = from[fromAt + i]!
  if (cells === null) return
  for (let i = 0; i < places.length; i++) {
    if (places[i]! >= 0 && isCell(accumulators.kinds[i]!)) takeCell(own, cells, into, at, places[i]!)
  }
}

/** Counts by accumulator, as late events have them, where they are now. */
export function moveCounts({ places }: HeldTable, counts: readonly number[], own: Accumulators): Float64Array {
  const moved = new Float64Array(own.count)
  places.forEach((into, i) => {
    if (into >= 0) moved[into] = counts[i]!
  })
  return moved
}

function columnsOf(held: Accumulators, places: readonly number[], own: Accumulators): Int32Array {
  const columns = new Int32Array(held.initial.length).fill(-1)
  places.forEach((into, i) => {
    if (into < 0) return
    const widened = held.kinds[i] === SUM && held.compensations[i]! < 0 && own.compensations[into]! >= 0
    invariant(widened || held.kinds[i] === own.kinds[into], 'an accumulator goes on as one of another kind')
    columns[i] = into
    if (held.compensations[i]! >= 0) columns[held.compensations[i]!] = own.compensations[into]!
    const further = furtherColumnsOf(held, i)
    for (let k = 0; k < further; k++) columns[held.extras[i]! + k] = own.extras[into]! + k
  })
  return columns
}

function planOf(held: TableDescriptor): TablePlan {
  const dimensions = held.dimensions.map((dimension) => (dimension.class === 'key' ? -1 : 0))
  return {
    id: held.id,
    dimensions,
    dimensionNames: held.dimensions.map(({ path }) => path),
    keyed: dimensions.includes(-1),
    window: held.window,
    trigger: held.trigger,
    earlyMs: held.earlyMs,
    allowedLatenessMs: held.allowedLatenessMs,
    retainMs: held.retainMs,
    takesBack: held.takesBack,
    accumulators: held.accumulators.map(accumulatorOf),
  }
}

function accumulatorOf({ kind, field, floating, parameters }: AccumulatorDescriptor): AccumulatorPlan {
  const [parameter = 0, exactUpTo = 0] = parameters
  const of = { kind, predicate: 0, column: field === '' ? -1 : 0, floating }
  switch (kind) {
    case 'approxDistinct':
      return { ...of, precision: parameter }
    case 'boundedDistinct':
      return { ...of, precision: parameter, exactUpTo }
    case 'quantiles':
      return { ...of, error: parameter }
    case 'topK':
      return { ...of, k: parameter }
    case 'histogram':
      return { ...of, bounds: parameters }
    default:
      return of
  }
}
