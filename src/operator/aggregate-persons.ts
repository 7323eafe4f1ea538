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

/** Rows whose persons are looked up together: their rows stay in the nearest caches meanwhile. */
const BLOCK_ROWS = 256

/**
 * Puts the events of one subtask into one table about persons. Of tables that share timelines the last one does it for
 * all of them, when each has been given the batch.
 */
export class PersonAggregator {
  /** Changes are stamped with this number; the table has it. */
  change = 1
  readonly #table: PersonTable
  readonly #builder: GroupKeyBuilder
  /** Whether events have texts; the builder's are none else. */
  readonly #texts: boolean
  readonly #predicates: readonly number[]
  readonly #wanted: number
  /** The condition under which an event has a number, as a mask; 0 where none has. */
  readonly #valued: number
  /** Of each row that is taken: the next row of its person, or -1. */
  readonly #nextRow = new Int32Array(ROWS_MAX)
  readonly #bits = new Uint32Array(ROWS_MAX)
  readonly #keptMs = new Float64Array(ROWS_MAX)
  /** Of a block: the rows that are taken, and their persons and latest events where they are known. */
  readonly #takenRow = new Uint32Array(BLOCK_ROWS)
  readonly #takenPerson = new Int32Array(BLOCK_ROWS)
  readonly #takenLatest = new Int32Array(BLOCK_ROWS)
  /** Whether one more event like the latest of its person changes nothing, and need not be counted either. */
  readonly #skipsCopies: boolean
  /** Of each person of the batch: their row, the first and the last of their rows. */
  readonly #person = new Uint32Array(ROWS_MAX)
  readonly #firstRow = new Int32Array(ROWS_MAX)
  readonly #lastRow = new Int32Array(ROWS_MAX)
  /** Of each person of the batch: the earliest of their events. */
  readonly #sinceMs = new Float64Array(ROWS_MAX)
  /** Of each person and table of the group: the windows that may change. */
  #fromMs = new Float64Array(ROWS_MAX)
  #toMs = new Float64Array(ROWS_MAX)
  /** Of each table of the group: where open windows start, from when on events are kept, and whether it remembers. */
  #openFromMs = new Float64Array(1)
  #keepFromMs = new Float64Array(1)
  #remembered = new Uint8Array(1)
  /** The person whose events `#walk` walks over. */
  #walked = 0
  readonly #walk: EventsBefore

  /** `dimensions`: positions among the batch's text columns of those dimensions that events have. */
  constructor(table: PersonTable, dimensions: readonly number[]) {
    this.#table = table
    this.#texts = dimensions.some((column) => column >= 0)
    const own = table.plan.dimensions.includes(-2)
    this.#builder = new GroupKeyBuilder(
      dimensions.filter((column) => column >= 0),
      own || dimensions.length > 1,
    )
    this.#skipsCopies = table.plan.takesBack !== true && !table.person.copiesMatter
    this.#walk = (fromMs, toMs, visit) => table.timelines.walk(this.#walked, fromMs, toMs, visit)
    const { value } = table.plan.person!
    this.#valued = value === undefined ? 0 : 1 << value.predicate
    this.#predicates = personPredicates(table.plan.person!)
    this.#wanted = this.#predicates.reduce((mask, predicate) => mask | (1 << predicate), 0)
  }

  /** Applies a batch; see EventAggregator.apply. */
  apply(batch: EventBatch, watermarkMs: number, accepted: Uint8Array, onLate: LateRow): number {
    const { group, place, timelines } = this.#table
    group.onLate[place] = onLate
    const { tables } = group
    if (place < tables.length - 1) return 0
    if (this.#openFromMs.length < tables.length) this.#makeRoom(tables.length)
    for (let t = 0; t < tables.length; t++) {
      this.#openFromMs[t] = tables[t]!.openFromMs(watermarkMs)
      this.#keepFromMs[t] = tables[t]!.person.keepFromMs(this.#openFromMs[t]!)
    }
    let applied = 0
    let persons = 0
    for (let from = 0; from < batch.rows; from += BLOCK_ROWS) {
      const taken = this.#take(batch, from, Math.min(batch.rows, from + BLOCK_ROWS), accepted)
      // Finding persons is waiting for memory: what a block needs is asked for at once.
      timelines.findAll(batch, this.#takenRow, taken, this.#takenPerson, this.#takenLatest)
      for (let i = 0; i < taken; i++) persons = this.#place(batch, i, persons)
      applied += taken
    }
    for (let i = 0; i < persons; i++) this.#change(batch, i)
    return applied
  }

  #makeRoom(tables: number): void {
    this.#fromMs = new Float64Array(ROWS_MAX * tables)
    this.#toMs = new Float64Array(ROWS_MAX * tables)
    this.#openFromMs = new Float64Array(tables)
    this.#keepFromMs = new Float64Array(tables)
    this.#remembered = new Uint8Array(tables)
  }

  /** Notes the rows in [from, to) that a condition takes and that are not late for every table; returns how many. */
  #take(batch: EventBatch, from: number, to: number, accepted: Uint8Array): number {
    const { person, group } = this.#table
    const { mask, timeMs } = batch
    const keepFromMs = this.#keepFromMs
    let taken = 0
    for (let row = from; row < to; row++) {
      if ((mask[row]! & this.#wanted) === 0) continue
      const keptMs = person.keptTimeMs(timeMs[row]!)
      let takes = 0
      for (let t = 0; t < keepFromMs.length; t++) {
        if (keptMs < keepFromMs[t]! || this.#isTooLate(t, timeMs[row]!, mask[row]!))
          group.onLate[t]!(row, timeMs[row]!, timeMs[row]!, this.#wanted)
        else takes = 1
      }
      if (takes === 0) continue
      accepted[row] = 1
      this.#keptMs[row] = keptMs
      this.#bits[row] = this.#bitsOf(mask[row]!)
      this.#takenRow[taken++] = row
    }
    return taken
  }

  #isTooLate(t: number, timeMs: number, mask: number): boolean {
    const { person } = this.#table.group.tables[t]!
    return person.isTooLate?.(timeMs, this.#bitsOf(mask), this.#openFromMs[t]!) === true
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

  /** Notes the i-th row of the block with its person; `persons` are there already. Returns how many are there now. */
  #place(batch: EventBatch, i: number, persons: number): number {
    const row = this.#takenRow[i]!
    const known = this.#takenPerson[i]!
    const { timelines } = this.#table
    const start = batch.keyStart[row]!
    const end = start + batch.keyLength[row]!
    const hash = batch.hash[row]!
    // A person whom the block itself has brought is not known yet.
    let found = known >= 0 ? known : timelines.find(hash, batch.bytes, start, end)
    if (found < 0) found = timelines.addPerson(hash, batch.bytes, start, end)
    else if (this.#skipsCopies && batch.weight === null) {
      const { bytes, length } = this.#build(batch, row)
      const value = this.#valueOf(batch, row)
      if (timelines.isLatest(this.#takenLatest[i]!, this.#keptMs[row]!, this.#bits[row]!, bytes, length, value))
        return persons
    }
    // Between batches the field is 0: what is in a checkpoint means nothing to a batch after it.
    const at = timelines.persons.u32(found, ROW_CHANGE) - 1
    this.#nextRow[row] = -1
    if (at >= 0) {
      this.#nextRow[this.#lastRow[at]!] = row
      this.#lastRow[at] = row
      if (batch.timeMs[row]! < this.#sinceMs[at]!) this.#sinceMs[at] = batch.timeMs[row]!
      this.#widen(batch, row, at, false)
      return persons
    }
    timelines.persons.setU32(found, ROW_CHANGE, persons + 1)
    this.#person[persons] = found
    this.#firstRow[persons] = this.#lastRow[persons] = row
    this.#sinceMs[persons] = batch.timeMs[row]!
    this.#widen(batch, row, persons, true)
    return persons + 1
  }

  /** Adds the windows that a row can change to those of person number `at`. */
  #widen({ timeMs }: EventBatch, row: number, at: number, first: boolean): void {
    const { tables } = this.#table.group
    for (let t = 0; t < tables.length; t++) {
      const { person } = tables[t]!
      const place = at * tables.length + t
      const fromMs = person.changesFromMs(timeMs[row]!, this.#bits[row]!, null)
      const toMs = person.changesToMs(timeMs[row]!)
      if (first || fromMs < this.#fromMs[place]!) this.#fromMs[place] = fromMs
      if (first || toMs > this.#toMs[place]!) this.#toMs[place] = toMs
    }
  }

  #build(batch: EventBatch, row: number): GroupKeyBuilder {
    if (this.#texts) this.#builder.build(batch, row)
    return this.#builder
  }

  /** Adds the rows of person number `i`, and gains what follows. */
  #change(batch: EventBatch, i: number): void {
    const { timelines, group } = this.#table
    const { tables } = group
    const person = this.#person[i]!
    const first = this.#firstRow[i]!
    const alone = this.#nextRow[first] === -1
    this.#walked = person
    for (let t = 0; t < tables.length; t++) {
      const place = i * tables.length + t
      // One event alone: it may be known to change less.
      if (alone)
        this.#fromMs[place] = tables[t]!.person.changesFromMs(batch.timeMs[first]!, this.#bits[first]!, this.#walk)
      this.#fromMs[place] = Math.max(this.#fromMs[place]!, this.#openFromMs[t]!)
    }
    timelines.persons.setU32(person, ROW_CHANGE, 0)
    let remembered = false
    for (let row = first; row >= 0; row = this.#nextRow[row]!) {
      const copies = (batch.weight?.[row] ?? 1) * (batch.count?.[row] ?? 1)
      const timeMs = this.#keptMs[row]!
      const { bytes, length } = this.#build(batch, row)
      const value = this.#valueOf(batch, row)
      if (!remembered && !this.#sameAfter(person, timeMs, row, value, copies)) {
        for (let t = 0; t < tables.length; t++) this.#remember(t, i, person)
        remembered = true
      }
      timelines.add(person, timeMs, this.#bits[row]!, copies, bytes, length, value)
    }
    for (let t = 0; remembered && t < tables.length; t++) {
      const place = i * tables.length + t
      if (this.#remembered[t] === 1)
        tables[t]!.gain(person, this.#fromMs[place]!, this.#toMs[place]!, this.#sinceMs[i]!)
    }
    timelines.dropEmpty(person)
  }

  #remember(t: number, i: number, person: number): void {
    const { tables } = this.#table.group
    const place = i * tables.length + t
    this.#remembered[t] = 0
    if (this.#fromMs[place]! >= this.#toMs[place]!) return
    this.#remembered[t] = 1
    tables[t]!.remember(person, this.#fromMs[place]!, this.#toMs[place]!, this.#sinceMs[i]!)
  }

  /** Whether `copies` more of the event that was built change nothing: it is there, and stays, and that is all that matters. */
  #sameAfter(person: number, timeMs: number, row: number, value: number, copies: number): boolean {
    if (this.#table.person.copiesMatter) return false
    const { bytes, length } = this.#builder
    const there = this.#table.timelines.copiesOf(person, timeMs, this.#bits[row]!, bytes, length, value)
    return there > 0 === there + copies > 0
  }
}
