/**
 * The open windows of one table in one subtask, each a slice of state of its own.
 *
 * Owns: which slices are open, in order of their end, and finding the one of a timestamp. Does not own: what a slice's
 * rows mean, or when it fires. A slice is created by its first row and released as a whole.
 */
import type { TablePlan } from '../job/plan.ts'
import { KeyedTable } from '../state/keyed-table.ts'
import type { PagePool } from '../state/page-pool.ts'
import { createPanes, type PaneAssigner, type Span } from '../window/panes.ts'

const noColumns = new Float64Array(0)
const noWindows: readonly Span[] = []

/** The panes of a table's windows; null where a slice is a window, as in all tables about persons. */
export function panesOfTable({ window, person }: TablePlan): PaneAssigner | null {
  return person === undefined ? createPanes(window) : null
}

/** State of one window, or of one pane that several windows share. */
export class Slice {
  readonly startMs: number
  readonly endMs: number
  /** The windows that a pane is part of, in order; none where the slice is a window itself. */
  readonly windows: readonly Span[]
  /** End of the last window that this is part of. */
  readonly lastEndMs: number
  /** Rows by group key. */
  readonly groups: KeyedTable
  /** Per accumulator that counts different values: the members seen, owned by group rows. Null for the others. */
  readonly members: (KeyedTable | null)[]
  /** True once the on-time result (of a pane: of its first window) was given out: from then on, changes are corrections. */
  fired = false
  /** Rows touched since they were last sent or corrected, in order; used where somebody must be told. */
  readonly touched: number[] = []
  /** The columns of each touched row as they were, one row after the other; null where nobody asks for them. */
  before: number[] | null = null
  /** By accumulator: members with a weight that is still to be sent; only where members have counts. */
  readonly owed: number[][] = []

  /** Of each member set of a pane: how many members its fired windows have got. */
  readonly membersSeen: Int32Array

  constructor(
    startMs: number,
    endMs: number,
    windows: readonly Span[],
    groups: KeyedTable,
    members: (KeyedTable | null)[],
  ) {
    this.startMs = startMs
    this.endMs = endMs
    this.windows = windows
    this.lastEndMs = windows.at(-1)?.endMs ?? endMs
    this.membersSeen = new Int32Array(members.length)
    this.groups = groups
    this.members = members
  }

  /** Keeps the columns `f64[at ..]` of a row that is about to change; call with each that is `touched`. */
  keepBefore(f64: Float64Array, at: number): void {
    for (let i = 0; i < this.groups.columns; i++) this.before!.push(f64[at + i]!)
  }

  /** Forgets what was touched. */
  settle(): void {
    this.touched.length = 0
    if (this.before !== null) this.before.length = 0
  }
}

/** Open slices, sorted by start, then end. */
export class SliceList {
  readonly slices: Slice[] = []
  /** Windows whose last instant is at or before this are closed, whatever the lateness; see window/lateness. */
  closedUntilMs = Number.NEGATIVE_INFINITY
  /** Told of each slice that is opened. */
  onOpen: ((slice: Slice) => void) | null = null
  /** Told of each slice whose rows are about to go. */
  onDrop: ((slice: Slice) => void) | null = null
  /** Whether slices keep what touched rows were before. */
  keepsBefore = false
  readonly #pool: PagePool
  readonly #initial: Float64Array
  /** Which accumulators have a member set. */
  readonly #withMembers: readonly boolean[]
  readonly #panes: PaneAssigner | null
  readonly #memberColumns: Float64Array
  /** Rows and members of the slice that was closed last: the next one will be much alike. */
  #rowsExpected = 0
  readonly #membersExpected: number[]

  /**
   * `panes`: what says which windows a slice is part of; null where slices are windows. `memberColumns`: what the number
   * columns of members start at.
   */
  constructor(
    pool: PagePool,
    initial: Float64Array,
    withMembers: readonly boolean[],
    panes: PaneAssigner | null = null,
    memberColumns: Float64Array = noColumns,
  ) {
    this.#panes = panes
    this.#memberColumns = memberColumns
    this.#pool = pool
    this.#initial = initial
    this.#withMembers = withMembers
    this.#membersExpected = withMembers.map(() => 0)
  }

  /** The slice [startMs, endMs), created if need be. */
  of(startMs: number, endMs: number): Slice {
    const slices = this.slices
    let at = slices.length
    while (at > 0 && isAfter(slices[at - 1]!, startMs, endMs)) at--
    const before = slices[at - 1]
    if (before !== undefined && before.startMs === startMs && before.endMs === endMs) return before
    const slice = new Slice(
      startMs,
      endMs,
      this.#panes?.windowsOf(startMs) ?? noWindows,
      new KeyedTable(this.#pool, this.#initial, this.#rowsExpected),
      this.#withMembers.map((has, i) =>
        has ? new KeyedTable(this.#pool, this.#memberColumns, this.#membersExpected[i]!) : null,
      ),
    )
    if (this.keepsBefore) slice.before = []
    slices.splice(at, 0, slice)
    this.onOpen?.(slice)
    return slice
  }

  /** Removes the first slice and gives its memory back. */
  dropFirst(): void {
    const slice = this.slices.shift()
    if (slice === undefined) return
    this.onDrop?.(slice)
    this.#rowsExpected = slice.groups.count
    slice.groups.release()
    slice.members.forEach((members, i) => {
      this.#membersExpected[i] = members?.count ?? 0
      members?.release()
    })
  }

  /** Bytes of the indexes, which the page pool does not count. */
  get indexBytes(): number {
    let bytes = 0
    for (const slice of this.slices) {
      bytes += slice.groups.indexBytes
      for (const members of slice.members) bytes += members?.indexBytes ?? 0
    }
    return bytes
  }
}

function isAfter(slice: Slice, startMs: number, endMs: number): boolean {
  return slice.startMs > startMs || (slice.startMs === startMs && slice.endMs > endMs)
}
