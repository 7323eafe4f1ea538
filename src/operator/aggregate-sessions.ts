/**
 * The hot loop of session windows: rows of an event batch into the sessions of one table.
 *
 * Owns: for each row, finding the group's latest session, growing it, judging lateness, updating the accumulators. Does
 * not own: other places than the latest session's (operator/session-rows), firing (operator/session-table).
 *
 * Cost a row: one probe of the session table, which finds the latest session of the group; nearly always the event lies
 * in it or extends it, which is two stores. No object, closure or promise a row.
 */
import { invariant } from '../core/errors.ts'
import { hashBytes } from '../core/hash.ts'
import type { EventBatch } from '../exchange/event-batch.ts'
import { ROW_CHANGE } from '../state/keyed-table.ts'
import { RECYCLED_HEADER_F64, RECYCLED_PAGE_MASK, RECYCLED_PAGE_SHIFT, ROW_FLAGS } from '../state/recycled-table.ts'
import { isClosed, latenessAt } from '../window/lateness.ts'
import {
  addCompensated,
  COUNT,
  DISTINCT_KEY,
  DISTINCT_TEXT,
  MAX,
  MIN,
  SUM,
  SUM_FLOATING,
  sumOverflow,
} from './accumulators.ts'
import type { LateRow } from './aggregate-events.ts'
import { GroupKeyBuilder } from './group-key.ts'
import { SESSION_START } from './session-chain.ts'
import { SESSION_END, SESSION_FIRED } from './session-rows.ts'
import type { SessionTable } from './session-table.ts'
import { updateSketch } from './update-sketch.ts'

/** Puts the events of one subtask into one table of sessions. */
export class SessionAggregator {
  /** Changes are stamped with this number. */
  change = 1
  readonly #table: SessionTable
  readonly #builder: GroupKeyBuilder
  /** The only dimension is the event's key: its bytes and hash are in the batch. */
  readonly #byKey: boolean

  /** `dimensions`: position of each dimension among the batch's text columns, -1 for the key. */
  constructor(table: SessionTable, dimensions: readonly number[]) {
    this.#table = table
    this.#builder = new GroupKeyBuilder(dimensions)
    this.#byKey = dimensions.length === 1 && dimensions[0]! < 0
  }

  /** Applies a batch; see EventAggregator.apply. Each row is one event. */
  apply(batch: EventBatch, watermarkMs: number, accepted: Uint8Array, onLate: LateRow, nowMs = Number.NaN): number {
    const { sessions, accumulators, plan, vanishes } = this.#table
    // An event that is taken back may split a session, or shorten it: it would have to know all of its events.
    invariant(batch.weight === null, `table '${plan.id}' cannot take events back: it has sessions`)
    const { table, gapMs } = sessions
    const { mask, timeMs, hash, keyStart, keyLength } = batch
    const rows = batch.rows
    const wanted = accumulators.mask
    const builder = this.#builder
    const byKey = this.#byKey
    const byClock = plan.window.time === 'processing'
    const lateness = latenessAt(plan.allowedLatenessMs, sessions.closedUntilMs, watermarkMs)
    if (byKey) table.touch(hash, rows)
    let applied = 0
    for (let row = 0; row < rows; row++) {
      const bits = mask[row]! & wanted
      if (bits === 0) continue
      let groupHash: number
      let bytes: Uint8Array
      let start: number
      let end: number
      if (byKey) {
        groupHash = hash[row]!
        bytes = batch.bytes
        start = keyStart[row]!
        end = start + keyLength[row]!
      } else {
        builder.build(batch, row)
        groupHash = builder.hash
        bytes = builder.bytes
        start = 0
        end = builder.length
      }
      const time = byClock ? nowMs : timeMs[row]!
      let session = table.find(groupHash, 0, bytes, start, end)
      let opens = true
      if (session >= 0) {
        const page = table.rows.pages[session >>> RECYCLED_PAGE_SHIFT]!
        const place = session & RECYCLED_PAGE_MASK
        const at = place * table.strideF64 + RECYCLED_HEADER_F64
        const endMs = page.f64[at + SESSION_END]!
        if (time >= page.f64[at + SESSION_START]! && time <= endMs) {
          if (time + gapMs > endMs) page.f64[at + SESSION_END] = time + gapMs
          // An open session has a timer that comes in time however it grows.
          opens = (page.u32[place * table.strideU32 + ROW_FLAGS]! & SESSION_FIRED) !== 0
        } else {
          const takesNew = !isClosed(time + gapMs, lateness, watermarkMs)
          session = sessions.place(session, groupHash, bytes, start, end, time, takesNew, vanishes)
        }
      } else if (!isClosed(time + gapMs, lateness, watermarkMs)) {
        session = sessions.place(-1, groupHash, bytes, start, end, time, true, vanishes)
      }
      if (session < 0) {
        onLate(row, time, time + gapMs, bits)
        continue
      }
      if (opens) this.#table.opened(session)
      accepted[row] = 1
      applied++
      this.#update(batch, row, bits, session)
    }
    return applied
  }

  #update(batch: EventBatch, row: number, bits: number, session: number): void {
    const { sessions, accumulators, plan } = this.#table
    const { count, kinds, predicates, inputs, compensations } = accumulators
    const { table } = sessions
    const page = table.rows.pages[session >>> RECYCLED_PAGE_SHIFT]!
    const place = session & RECYCLED_PAGE_MASK
    const f64 = page.f64
    const base = place * table.strideF64 + RECYCLED_HEADER_F64 + sessions.valuesAt
    page.dirty = 1
    page.u32[place * table.strideU32 + ROW_CHANGE] = this.change
    for (let i = 0; i < count; i++) {
      if ((bits & (1 << predicates[i]!)) === 0) continue
      const at = base + i
      switch (kinds[i]) {
        case COUNT:
          f64[at]!++
          break
        case SUM: {
          const total = f64[at]! + batch.numbers[inputs[i]!]![row]!
          if (total <= Number.MAX_SAFE_INTEGER && total >= Number.MIN_SAFE_INTEGER) f64[at] = total
          else if (!Number.isNaN(total)) sumOverflow(accumulators, i, plan.id)
          break
        }
        case SUM_FLOATING: {
          const value = batch.numbers[inputs[i]!]![row]!
          // NaN is no value, as SQL's NULL.
          if (!Number.isNaN(value)) addCompensated(f64, at, base + compensations[i]!, value)
          break
        }
        case MIN: {
          const value = batch.numbers[inputs[i]!]![row]!
          if (value < f64[at]!) f64[at] = value
          break
        }
        case MAX: {
          const value = batch.numbers[inputs[i]!]![row]!
          if (value > f64[at]!) f64[at] = value
          break
        }
        // The group has the key among its dimensions, so there is one.
        case DISTINCT_KEY:
          f64[at] = 1
          break
        case DISTINCT_TEXT: {
          const column = inputs[i]!
          const id = batch.texts[column]![row]!
          // The empty text is an absent field: no value, as SQL's NULL.
          if (id === 0) break
          const start = batch.entryStart[column]![id]!
          const end = start + batch.entryLength[column]![id]!
          if (sessions.addMember(i, session, hashBytes(batch.bytes, start, end), batch.bytes, start, end)) f64[at]!++
          break
        }
        default:
          updateSketch(accumulators, i, batch, row, f64, base, 1)
      }
    }
  }
}
