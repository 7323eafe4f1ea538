/**
 * The open windows of one table in one subtask, each a slice of state of its own.
 *
 * Owns: which slices are open, in order of their end, and finding the one of a timestamp. Does not own: what a slice's
 * rows mean, or when it fires. A slice is created by its first row and released as a whole.
 */
import { invariant } from '../core/errors.ts'
import { KeyedTable } from '../state/keyed-table.ts'
import type { PagePool } from '../state/page-pool.ts'

const noColumns = new Float64Array(0)

/** State of one window. */
export class Slice {
  readonly startMs: number
  readonly endMs: number
  /** Rows by group key. */
  readonly groups: KeyedTable
  /** Per accumulator that counts different values: the members seen, owned by group rows. Null for the others. */
  readonly members: (KeyedTable | null)[]
  /** True once the on-time result was given out: from then on, changes are corrections. */
  fired = false
  /** Rows touched since they were last sent or corrected, in order; used where somebody must be told. */
  readonly touched: number[] = []

  constructor(startMs: number, endMs: number, groups: KeyedTable, members: (KeyedTable | null)[]) {
    this.startMs = startMs
    this.endMs = endMs
    this.groups = groups
    this.members = members
  }
}

/** Open slices, sorted by start. */
export class SliceList {
  readonly slices: Slice[] = []
  readonly #pool: PagePool
  readonly #initial: Float64Array
  /** Which accumulators have a member set. */
  readonly #withMembers: readonly boolean[]
  /** Rows and members of the slice that was closed last: the next one will be much alike. */
  #rowsExpected = 0
  readonly #membersExpected: number[]

  constructor(pool: PagePool, initial: Float64Array, withMembers: readonly boolean[]) {
    this.#pool = pool
    this.#initial = initial
    this.#withMembers = withMembers
    this.#membersExpected = withMembers.map(() => 0)
  }

  /** The slice [startMs, endMs), created if need be. */
  of(startMs: number, endMs: number): Slice {
    const slices = this.slices
    let at = slices.length
    while (at > 0 && slices[at - 1]!.startMs > startMs) at--
    const before = slices[at - 1]
    if (before !== undefined && before.startMs === startMs) {
      invariant(before.endMs === endMs, `window ${startMs} ends at ${before.endMs} and at ${endMs}`)
      return before
    }
    const slice = new Slice(
      startMs,
      endMs,
      new KeyedTable(this.#pool, this.#initial, this.#rowsExpected),
      this.#withMembers.map((has, i) =>
        has ? new KeyedTable(this.#pool, noColumns, this.#membersExpected[i]!) : null,
      ),
    )
    slices.splice(at, 0, slice)
    return slice
  }

  /** Removes the first slice and gives its memory back. */
  dropFirst(): void {
    const slice = this.slices.shift()
    if (slice === undefined) return
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
