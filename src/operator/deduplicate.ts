/**
 * Deduplication: of the copies of an event, the first that counts is the only one.
 *
 * Owns: judging the rows of a batch before any table sees them, and which ids are remembered then. Does not own: ids
 * (state/id-table), what tables make of rows, or the accounting (runtime/event-input).
 *
 * A copy is an event with the id and the key of one that was counted, while that is remembered. Only what a table took
 * is remembered. So a batch is judged in rounds: where a row turns out late, those that were taken for its copies are
 * judged again; nearly always there is one round.
 *
 * An event without an id is no copy of anything. One so old that its id may be forgotten cannot be judged: it is late.
 */
import { MillraceError } from '../core/errors.ts'
import { type EventBatch, ROWS_MAX } from '../exchange/event-batch.ts'
import type { DedupePlan } from '../job/dedupe.ts'
import { ID_MINUS, ID_PLUS } from '../state/id-slices.ts'
import { IdTable } from '../state/id-table.ts'

/** No row of the table. */
const NONE = -1
/** The event has no id. */
const NO_ID = -2

/** A subtask has room for so much at least: below, a page of ids would not fit. */
const SHARE_MIN = 256 * 1024

/** Told of each row that is too old to be judged. */
export type UnjudgedRow = (row: number, mask: number) => void

/** Judges the events of one subtask. */
export class Deduplicator {
  readonly plan: DedupePlan
  readonly ids: IdTable
  /** Ids that were forgotten before their time, for want of memory. */
  forgotten: number
  readonly #column: number
  readonly #limitBytes: number
  /** Of each row of the batch: the id that it brought, if it did. */
  readonly #brought = new Int32Array(ROWS_MAX)
  /** Rows that are copies: the id that they are copies of, and the mask that they came with. */
  readonly #copies: number[] = []
  readonly #copyOf = new Int32Array(ROWS_MAX)
  readonly #maskOf = new Uint32Array(ROWS_MAX)
  /** Rows with a later time than that by which their id is remembered. */
  readonly #later: number[] = []

  /** `column`: place of the id among the batch's text columns; `share`: part of the job's memory that is this subtask's. */
  constructor(plan: DedupePlan, column: number, share: number, forgotten: number) {
    this.plan = plan
    this.ids = new IdTable(plan.withinMs)
    this.forgotten = forgotten
    this.#column = column
    this.#limitBytes = plan.memoryBytes === 0 ? Infinity : Math.max(SHARE_MIN, Math.floor(plan.memoryBytes * share))
  }

  /** Bytes held. */
  get byteLength(): number {
    return this.ids.byteLength
  }

  /**
   * Judges a batch: takes copies, and rows too old to be judged, out of the masks. `settle` must follow. Throws
   * STATE_LIMIT where ids are beyond their memory and that is not to be.
   */
  judge(batch: EventBatch, watermarkMs: number, onUnjudged: UnjudgedRow): void {
    this.#makeRoom(watermarkMs)
    this.#copies.length = 0
    this.#later.length = 0
    this.#brought.fill(NONE, 0, batch.rows)
    for (let row = 0; row < batch.rows; row++)
      if (batch.mask[row] !== 0) this.#judge(batch, row, watermarkMs, onUnjudged)
  }

  /**
   * Takes back what rows have brought that no table accepted. False where rows were taken for copies of those: they have
   * their masks again, all others have none, and tables are to see the batch once more, `settle` after them.
   */
  settle(batch: EventBatch, accepted: Uint8Array, watermarkMs: number, onUnjudged: UnjudgedRow): boolean {
    const brought = this.#brought
    let gone = 0
    for (let row = 0; row < batch.rows; row++) {
      if (brought[row]! === NONE || accepted[row] === 1) continue
      this.ids.takeSign(brought[row]!, signOf(batch, row))
      brought[row] = NONE
      gone++
    }
    if (gone === 0 || this.#copies.length === 0) return true
    const again = this.#copies.filter((row) => !this.ids.hasSign(this.#copyOf[row]!, signOf(batch, row)))
    if (again.length === 0) return true
    const rest = this.#copies.filter((row) => !again.includes(row))
    this.#copies.splice(0, this.#copies.length, ...rest)
    batch.mask.fill(0, 0, batch.rows)
    for (const row of again) {
      batch.mask[row] = this.#maskOf[row]!
      this.#judge(batch, row, watermarkMs, onUnjudged)
    }
    return false
  }

  /** After the last `settle`: lets ids be remembered as long as the latest of their copies asks. Returns how many copies there were. */
  finish(batch: EventBatch): number {
    const { ids } = this
    for (const row of this.#later) {
      const found = this.#look(batch, row)
      if (found < 0 || !ids.hasSign(found, signOf(batch, row))) continue
      if (batch.timeMs[row]! > ids.timeOf(found)) ids.keepUntil(found, batch.timeMs[row]!)
    }
    return this.#copies.length
  }

  #judge(batch: EventBatch, row: number, watermarkMs: number, onUnjudged: UnjudgedRow): void {
    const { ids } = this
    const found = this.#look(batch, row)
    if (found === NO_ID) return
    const timeMs = batch.timeMs[row]!
    const sign = signOf(batch, row)
    const { withinMs } = ids
    const keptMs = found >= 0 ? ids.timeOf(found) : Number.NEGATIVE_INFINITY
    if (keptMs + withinMs > watermarkMs) {
      if (timeMs > keptMs) this.#later.push(row)
      if (ids.hasSign(found, sign)) {
        this.#copies.push(row)
        this.#copyOf[row] = found
        this.#maskOf[row] = batch.mask[row]!
        batch.mask[row] = 0
      } else {
        ids.addSign(found, sign)
        this.#brought[row] = found
      }
      return
    }
    if (timeMs + withinMs <= watermarkMs) {
      onUnjudged(row, batch.mask[row]!)
      batch.mask[row] = 0
      return
    }
    if (found >= 0) ids.remove(found)
    this.#brought[row] = ids.insert(timeMs, sign)
  }

  #look(batch: EventBatch, row: number): number {
    const column = this.#column
    const entry = batch.texts[column]![row]!
    const length = batch.entryLength[column]![entry]!
    if (length === 0) return NO_ID
    const at = batch.entryStart[column]![entry]!
    return this.ids.look(batch.hash[row]!, batch.bytes, batch.keyStart[row]!, batch.keyLength[row]!, at, length)
  }

  #makeRoom(watermarkMs: number): void {
    const { ids } = this
    ids.advance(watermarkMs)
    if (ids.bytesNeeded < this.#limitBytes) return
    if (this.plan.beyond === 'oldest') {
      this.forgotten += ids.makeRoom(this.#limitBytes, watermarkMs)
      return
    }
    throw new MillraceError(
      'STATE_LIMIT',
      `${ids.count} ids of events take ${ids.bytesNeeded} bytes in one subtask, its share of dedupe.memory ` +
        `(${this.#limitBytes}): raise it, shorten dedupe.within, or let the oldest go (beyond: oldest)`,
    )
  }
}

function signOf({ weight }: EventBatch, row: number): number {
  return weight !== null && weight[row]! < 0 ? ID_MINUS : ID_PLUS
}
