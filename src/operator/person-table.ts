/**
 * A table about persons on the window side: their timelines, and what windows gain when one changes.
 *
 * Owns: timelines, which windows may still change, adding contributions to gains. Does not own: what metrics make of a
 * timeline (src/metrics), reading events (operator/aggregate-persons), sending gains (operator/partial-table).
 *
 * A window may change until the watermark has passed its last instant by `settleMs` and the lateness. Contributions to
 * others are left out, before and after alike, so what they have stays as it was.
 */
import { hashBytes } from '../core/hash.ts'
import { MAX_WATERMARK } from '../core/time.ts'
import type { PersonPlan, TablePlan } from '../job/plan.ts'
import { personFunction } from '../metrics/person-function.ts'
import { ContributionRows, Contributions, type PersonFunction, Timeline } from '../metrics/timeline.ts'
import { ROW_CHANGE, ROW_HEADER_F64, ROW_PAGE_MASK, ROW_PAGE_SHIFT } from '../state/keyed-table.ts'
import type { PagePool } from '../state/page-pool.ts'
import { Timelines } from '../state/timelines.ts'
import { createAssigner } from '../window/assigner.ts'
import { latenessAt } from '../window/lateness.ts'
import { createPanes, type PaneAssigner } from '../window/panes.ts'
import type { WindowAssigner } from '../window/tumbling.ts'
import type { Accumulators } from './accumulators.ts'
import { groupKeyOf } from './group-key.ts'
import { PartialTable } from './partial-table.ts'
import { PersonGroup } from './person-group.ts'

/** Rows of timelines looked at after each watermark, for those that nobody needs any more. */
const SWEEP_ROWS = 8192

/** One table about persons. */
export class PersonTable extends PartialTable {
  readonly person: PersonFunction
  /** Its own, or those of its group. */
  timelines: Timelines
  /** The tables that share the timelines, and the place among them. */
  group: PersonGroup<PersonTable> = new PersonGroup([this])
  place = 0
  /** The table of the checkpoint whose timelines these go on from; none where they begin. */
  timelinesFrom = ''
  /** Position of the events' number among a batch's numbers; -1 where they have none. */
  readonly valueAt: number
  /** Scratch of `#contribute`, one person after the other. */
  readonly #timeline: Timeline
  readonly #before: Contributions
  readonly #after: Contributions
  readonly #rows: ContributionRows
  readonly #windows: WindowAssigner
  /** Where windows overlap. */
  readonly #panes: PaneAssigner | null
  readonly #settleMs: number
  /** The table's own text of each label, behind its length where there are others. */
  readonly #labels: readonly Uint8Array[]
  #key = new Uint8Array(256)
  #openAtMs = Number.NaN
  #openFromMs = Number.NEGATIVE_INFINITY

  constructor(
    plan: TablePlan,
    person: PersonPlan,
    index: number,
    accumulators: Accumulators,
    pool: PagePool,
    valueAt = -1,
  ) {
    super(plan, index, accumulators, pool, true)
    this.person = personFunction(person, plan)
    this.valueAt = valueAt
    this.timelines = new Timelines(pool, valueAt >= 0)
    this.#timeline = new Timeline(valueAt >= 0)
    this.#before = new Contributions(this.person.entryWidth)
    this.#after = new Contributions(this.person.entryWidth)
    this.#rows = new ContributionRows(this.person.width, this.person.labels.length)
    this.#panes = createPanes(plan.window)
    this.#windows = this.#panes ?? createAssigner(plan.window)
    this.#settleMs = plan.settleMs ?? 0
    const only = plan.dimensions.length === 1
    const own = plan.dimensions.filter((column) => column === -2).length
    this.#labels = this.person.labels.map((label) => {
      if (own !== 1) return new Uint8Array(0)
      const text = new TextEncoder().encode(label)
      return only ? text : groupKeyOf([text, new Uint8Array(0)]).subarray(0, -1)
    })
  }

  override get indexBytes(): number {
    return super.indexBytes + (this.place === 0 ? this.timelines.indexBytes : 0)
  }

  /** Shares `timelines` from now on, which have all that its own have. */
  joins(group: PersonGroup<PersonTable>, place: number, timelines: Timelines): void {
    this.group = group
    this.place = place
    if (timelines === this.timelines) return
    this.timelines.release()
    this.timelines = timelines
  }

  /** Start of the first window that may still change at `watermarkMs`. */
  openFromMs(watermarkMs: number): number {
    if (watermarkMs === this.#openAtMs) return this.#openFromMs
    this.#openAtMs = watermarkMs
    const passedMs = watermarkMs - this.#settleMs
    if (Number.isFinite(passedMs)) {
      // A window that ends behind this instant is open (window/lateness.ts).
      const lateness = latenessAt(this.plan.allowedLatenessMs, this.slices.closedUntilMs, passedMs)
      this.#windows.assign(passedMs + 1 - lateness)
      const { startMs } = this.#windows
      this.#openFromMs = this.#panes === null ? startMs : this.#panes.windowsOf(startMs)[0]!.startMs
    } else this.#openFromMs = passedMs
    return this.#openFromMs
  }

  /** Keeps what `person` contributes to windows that start in [fromMs, toMs) as it is before events from `sinceMs` on change. */
  remember(person: number, fromMs: number, toMs: number, sinceMs: number): void {
    this.#contribute(person, fromMs, toMs, sinceMs, this.#before)
  }

  /** Adds to gains by what the contributions of `person` have changed since `remember`. */
  gain(person: number, fromMs: number, toMs: number, sinceMs: number): void {
    this.#contribute(person, fromMs, toMs, sinceMs, this.#after)
    const before = this.#before
    const after = this.#after
    // What has changed lies together, nearly always: what is the same before and behind it is left alone.
    const most = Math.min(before.count, after.count)
    let first = 0
    while (first < most && before.same(first, after, first)) first++
    let last = 0
    while (last < most - first && before.same(before.count - 1 - last, after, after.count - 1 - last)) last++
    // Between them, what is there before and after is met where both come in order, as they mostly do.
    let b = first
    let a = first
    while (b < before.count - last || a < after.count - last) {
      const order = b === before.count - last ? 1 : a === after.count - last ? -1 : before.order(b, after, a)
      if (order === 0 && before.same(b, after, a)) {
        b++
        a++
      } else if (order <= 0) this.#add(before, b++, -1)
      else this.#add(after, a++, 1)
    }
  }

  /**
   * Tells what a person comes to in windows that start in [fromMs, toMs) and may still change at `watermarkMs`: for each
   * window and group what of its columns is theirs.
   */
  tell(
    person: number,
    fromMs: number,
    toMs: number,
    watermarkMs: number,
    take: (startMs: number, endMs: number, key: Uint8Array, f64: Float64Array) => void,
  ): void {
    const sinceMs = Math.max(fromMs, this.openFromMs(watermarkMs))
    this.#contribute(person, sinceMs, toMs, Number.NEGATIVE_INFINITY, this.#after)
    const { width, values } = this.#rows
    for (let entry = 0; entry < this.#after.count; entry++) {
      this.#rows.count = 0
      this.person.rows(this.#after, entry, this.#rows)
      for (let i = 0; i < this.#rows.count; i++) {
        const length = this.#keyOf(this.#after, entry, this.#labels[this.#rows.label[i]!]!)
        const f64 = this.accumulators.initial.slice()
        for (let k = 0; k < width; k++) f64[k]! += values[i * width + k]!
        take(this.#after.startMs[entry]!, this.#after.endMs[entry]!, this.#key.slice(0, length), f64)
      }
    }
  }

  /** The events of a person that are kept, the earliest first; valid until the next of these calls. */
  eventsOf(person: number): Timeline {
    const timeline = this.#timeline
    timeline.clear()
    this.timelines.read(person, -Infinity, Infinity, -Infinity, 0, timeline)
    timeline.reverse()
    return timeline
  }

  override close(watermarkMs: number): void {
    const openFromMs = this.openFromMs(watermarkMs)
    while (this.slices.slices.length > 0 && this.slices.slices[0]!.startMs < openFromMs) this.slices.dropFirst()
    // The end of a bounded input closes every window: no event can change one any more.
    const ends = watermarkMs === MAX_WATERMARK
    const keepMs = this.group.keepFrom(this.place, ends ? Infinity : this.person.keepFromMs(openFromMs))
    if (ends) {
      if (keepMs === Infinity) this.timelines.clear()
      return
    }
    this.timelines.forgetBefore(keepMs)
    this.timelines.sweep(SWEEP_ROWS)
  }

  #contribute(person: number, fromMs: number, toMs: number, sinceMs: number, into: Contributions): void {
    const timeline = this.#timeline
    timeline.clear()
    into.clear()
    const enoughMs = this.person.onlyLatestBefore ? fromMs : Number.NEGATIVE_INFINITY
    const keepMs = this.person.keepFromMs(fromMs)
    const enoughBits = this.person.latestBeforeBits ?? 0
    this.timelines.read(person, keepMs, this.person.looksToMs(toMs), enoughMs, enoughBits, timeline)
    timeline.reverse()
    this.person.contribute(timeline, fromMs, toMs, into, sinceMs)
  }

  #add(contributions: Contributions, entry: number, sign: number): void {
    const rows = this.#rows
    rows.count = 0
    this.person.rows(contributions, entry, rows)
    const slice = this.slices.of(contributions.startMs[entry]!, contributions.endMs[entry]!)
    const { groups } = slice
    const { width, values } = rows
    for (let i = 0; i < rows.count; i++) {
      const length = this.#keyOf(contributions, entry, this.#labels[rows.label[i]!]!)
      const row = groups.findOrInsert(hashBytes(this.#key, 0, length), 0, this.#key, 0, length)
      const page = groups.rows.pages[row >>> ROW_PAGE_SHIFT]!
      const place = row & ROW_PAGE_MASK
      const changeAt = place * groups.strideU32 + ROW_CHANGE
      if (page.u32[changeAt] !== this.change) {
        page.u32[changeAt] = this.change
        slice.touched.push(row)
      }
      const at = place * groups.strideF64 + ROW_HEADER_F64
      for (let k = 0; k < width; k++) page.f64[at + k]! += sign * values[i * width + k]!
      page.dirty = 1
    }
  }

  /** Puts the group key of an entry and one of the table's own texts into `#key`; returns its length. */
  #keyOf({ bytes, textsAt, textsLength }: Contributions, entry: number, own: Uint8Array): number {
    const texts = textsLength[entry]!
    if (this.#key.length < texts + own.length) this.#key = new Uint8Array((texts + own.length) * 2)
    const from = textsAt[entry]!
    for (let i = 0; i < texts; i++) this.#key[i] = bytes[from + i]!
    for (let i = 0; i < own.length; i++) this.#key[texts + i] = own[i]!
    return texts + own.length
  }
}
