/**
 * Rows of an event batch into the timelines of one table about persons.
 *
 * Owns: for each row, its condition bits, judging lateness, and whom it concerns; then, person by person, what was before,
 * the change, and what is after. Does not own: timelines (state/timelines), what follows from them (operator/person-table).
 *
 * A row costs a probe of the persons' index; a person of the batch, two walks over the events that windows look at which
 * the batch may have changed. No object, closure or promise a row.
 */
import type { EventBatch } from '../exchange/event-batch.ts'
import { ROWS_MAX } from '../exchange/event-batch.ts'
import { personPredicates } from '../metrics/person-function.ts'
import type { EventsBefore } from '../metrics/timeline.ts'
import { ROW_CHANGE } from '../state/keyed-table.ts'
import type { LateRow } from './aggregate-events.ts'
import { GroupKeyBuilder } from './group-key.ts'
import type { PersonTable } from './person-table.ts'

/** Puts the events of one subtask into one table about persons. */
export class PersonAggregator {
  /** Changes are stamped with this number; the table has it. */
  change = 1
  readonly #table: PersonTable
  readonly #builder: GroupKeyBuilder
  readonly #predicates: readonly number[]
  readonly #wanted: number
  /** The condition under which an event has a number, as a mask; 0 where none has. */
  readonly #valued: number
  /** Of each row that is taken: the next row of its person, or -1. */
  readonly #nextRow = new Int32Array(ROWS_MAX)
  readonly #bits = new Uint32Array(ROWS_MAX)
  /** Of each person of the batch: their row, the first and the last of their rows, the windows that may change, and since when. */
  readonly #person = new Uint32Array(ROWS_MAX)
  readonly #firstRow = new Int32Array(ROWS_MAX)
  readonly #lastRow = new Int32Array(ROWS_MAX)
  readonly #fromMs = new Float64Array(ROWS_MAX)
  readonly #toMs = new Float64Array(ROWS_MAX)
  readonly #sinceMs = new Float64Array(ROWS_MAX)
  /** The person whose events `#walk` walks over. */
  #walked = 0
  readonly #walk: EventsBefore

  /** `dimensions`: positions among the batch's text columns of those dimensions that events have. */
  constructor(table: PersonTable, dimensions: readonly number[]) {
    this.#table = table
    this.#builder = new GroupKeyBuilder(
      dimensions.filter((column) => column >= 0),
      true,
    )
    this.#walk = (fromMs, toMs, visit) => table.timelines.walk(this.#walked, fromMs, toMs, visit)
    const { value } = table.plan.person!
    this.#valued = value === undefined ? 0 : 1 << value.predicate
    this.#predicates = personPredicates(table.plan.person!)
    this.#wanted = this.#predicates.reduce((mask, predicate) => mask | (1 << predicate), 0)
  }

  /** Applies a batch; see EventAggregator.apply. */
  apply(batch: EventBatch, watermarkMs: number, accepted: Uint8Array, onLate: LateRow): number {
    const table = this.#table
    const openFromMs = table.openFromMs(watermarkMs)
    const keepFromMs = table.person.keepFromMs(openFromMs)
    let applied = 0
    let persons = 0
    for (let row = 0; row < batch.rows; row++) {
      if ((batch.mask[row]! & this.#wanted) === 0) continue
      const timeMs = batch.timeMs[row]!
      const bits = this.#bitsOf(batch.mask[row]!)
      const { person } = table
      if (person.keptTimeMs(timeMs) < keepFromMs || person.isTooLate?.(timeMs, bits, openFromMs) === true) {
        onLate(row, timeMs, timeMs, this.#wanted)
        continue
      }
      accepted[row] = 1
      applied++
      this.#bits[row] = bits
      persons = this.#place(batch, row, persons)
    }
    for (let i = 0; i < persons; i++) this.#change(batch, i, openFromMs)
    return applied
  }

  /** The conditions that a row meets, as bits of the table's own. */
  #bitsOf(mask: number): number {
    const predicates = this.#predicates
    let bits = 0
    for (let i = 0; i < predicates.length; i++) if ((mask & (1 << predicates[i]!)) !== 0) bits |= 1 << i
    return bits >>> 0
  }

  #valueOf(batch: EventBatch, row: number): number {
    return (batch.mask[row]! & this.#valued) === 0 ? Number.NaN : batch.numbers[this.#table.valueAt]![row]!
  }

  /** Notes a row with its person; `persons` are there already. Returns how many are there now. */
  #place(batch: EventBatch, row: number, persons: number): number {
    const { person, timelines } = this.#table
    const start = batch.keyStart[row]!
    const end = start + batch.keyLength[row]!
    const hash = batch.hash[row]!
    let found = timelines.find(hash, batch.bytes, start, end)
    if (found < 0) found = timelines.addPerson(hash, batch.bytes, start, end)
    // Between batches the field is 0: what is in a checkpoint means nothing to a batch after it.
    let at = timelines.persons.u32(found, ROW_CHANGE) - 1
    const timeMs = batch.timeMs[row]!
    const fromMs = person.changesFromMs(timeMs, this.#bits[row]!, null)
    const toMs = person.changesToMs(timeMs)
    this.#nextRow[row] = -1
    if (at < 0) {
      at = persons
      timelines.persons.setU32(found, ROW_CHANGE, at + 1)
      this.#person[at] = found
      this.#firstRow[at] = row
      this.#fromMs[at] = fromMs
      this.#toMs[at] = toMs
      this.#sinceMs[at] = timeMs
    } else {
      this.#nextRow[this.#lastRow[at]!] = row
      if (timeMs < this.#sinceMs[at]!) this.#sinceMs[at] = timeMs
      if (fromMs < this.#fromMs[at]!) this.#fromMs[at] = fromMs
      if (toMs > this.#toMs[at]!) this.#toMs[at] = toMs
    }
    this.#lastRow[at] = row
    return Math.max(persons, at + 1)
  }

  /** Adds the rows of person number `i`, and gains what follows. */
  #change(batch: EventBatch, i: number, openFromMs: number): void {
    const table = this.#table
    const { timelines } = table
    const person = this.#person[i]!
    const first = this.#firstRow[i]!
    let fromMs = this.#fromMs[i]!
    if (this.#nextRow[first] === -1) {
      // One event alone: it may be known to change less.
      this.#walked = person
      fromMs = table.person.changesFromMs(batch.timeMs[first]!, this.#bits[first]!, this.#walk)
    }
    fromMs = Math.max(fromMs, openFromMs)
    const toMs = this.#toMs[i]!
    const sinceMs = this.#sinceMs[i]!
    timelines.persons.setU32(person, ROW_CHANGE, 0)
    let remembered = false
    for (let row = first; row >= 0; row = this.#nextRow[row]!) {
      const copies = (batch.weight?.[row] ?? 1) * (batch.count?.[row] ?? 1)
      const timeMs = table.person.keptTimeMs(batch.timeMs[row]!)
      this.#builder.build(batch, row)
      const { bytes, length } = this.#builder
      const value = this.#valueOf(batch, row)
      if (!remembered && fromMs < toMs && !this.#sameAfter(person, timeMs, row, value, copies)) {
        table.remember(person, fromMs, toMs, sinceMs)
        remembered = true
      }
      timelines.add(person, timeMs, this.#bits[row]!, copies, bytes, length, value)
    }
    if (remembered) table.gain(person, fromMs, toMs, sinceMs)
    timelines.dropEmpty(person)
  }

  /** Whether `copies` more of the event that was built change nothing: it is there, and stays, and that is all that matters. */
  #sameAfter(person: number, timeMs: number, row: number, value: number, copies: number): boolean {
    if (this.#table.person.copiesMatter) return false
    const { bytes, length } = this.#builder
    const there = this.#table.timelines.copiesOf(person, timeMs, this.#bits[row]!, bytes, length, value)
    return there > 0 === there + copies > 0
  }
}
