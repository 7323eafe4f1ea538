/**
 * Retention: of those who began in a period, who comes back how many periods later.
 *
 * Owns: what a cohort is, when its periods are, and who returns in them. The definition, with its sources and edge cases,
 * is in docs/metrics.md. Pure; does not own timelines, windows' life, or adding up.
 *
 * An entry is one person in one cohort, or one period in which they returned: so what one event changes is one entry a
 * cohort, however many periods there are. Entries that follow only from what comes before `sinceMs` are left out.
 */
import type { WindowAssigner } from '../window/tumbling.ts'
import type { ElapsedPeriods } from './elapsed-periods.ts'
import { PeriodList } from './period-list.ts'
import { RetentionReach } from './retention-reach.ts'
import { RETENTION_RETURN, RETENTION_START, type RetentionShape } from './retention-shape.ts'
import type { ContributionRows, Contributions, EventsBefore, PersonFunction, Timeline } from './timeline.ts'

// Columns of a period's row.
/** Persons of the cohort. */
export const RETENTION_COHORT = 0
/** Persons who returned in the period before. */
export const RETENTION_PREVIOUS = 1
/** Persons who returned in the period. */
export const RETENTION_PERSONS = 2

/** Retention as a function of timelines. */
export class Retention implements PersonFunction {
  readonly width = 3
  /** The period; 0 for being in the cohort. */
  readonly entryWidth = 1
  readonly labels: readonly string[]
  readonly copiesMatter = false
  readonly onlyLatestBefore: boolean
  readonly latestBeforeBits = RETENTION_START
  readonly #shape: RetentionShape
  readonly #windows: WindowAssigner
  readonly #elapsed: ElapsedPeriods | null
  readonly #hasTexts: boolean
  readonly #periods: PeriodList
  readonly #reach: RetentionReach

  /** `elapsed`: where periods are counted from each person's start; null for those of the calendar. */
  constructor(shape: RetentionShape, windows: WindowAssigner, elapsed: ElapsedPeriods | null, hasTexts: boolean) {
    this.#shape = shape
    this.#windows = windows
    this.#elapsed = elapsed
    this.#hasTexts = hasTexts
    this.onlyLatestBefore = shape.cohort === 'first'
    this.labels = Array.from({ length: shape.periods + 1 }, (_, period) => String(period))
    this.#periods = new PeriodList(windows, shape.periods)
    this.#reach = new RetentionReach(shape, windows, elapsed, hasTexts)
  }

  keptTimeMs(timeMs: number): number {
    // Whose texts count is a matter of instants, and so are periods of each person's own.
    if (this.#hasTexts || this.#elapsed !== null) return timeMs
    this.#windows.assign(timeMs)
    return this.#windows.startMs
  }

  keepFromMs(openFromMs: number): number {
    return this.#shape.cohort === 'first' ? openFromMs - this.#shape.lookbackMs : openFromMs
  }

  /** A start matters as far as it is looked back to, by whole periods; a return counts in cohorts before it only. */
  isTooLate(timeMs: number, bits: number, openFromMs: number): boolean {
    if ((bits & RETENTION_START) === 0) return timeMs < openFromMs
    this.#windows.assign(timeMs)
    return this.#windows.startMs < this.keepFromMs(openFromMs)
  }

  changesFromMs(timeMs: number, bits: number, before: EventsBefore | null): number {
    return this.#reach.fromMs(timeMs, this.keptTimeMs(timeMs), bits, before)
  }

  changesToMs(timeMs: number): number {
    // Who starts earlier than they were known to enters no later cohort.
    if (this.#shape.cohort === 'first') return Infinity
    this.#windows.assign(timeMs)
    return this.#windows.endMs
  }

  looksToMs(toMs: number): number {
    return toMs + this.#shape.settleMs
  }

  contribute(
    timeline: Timeline,
    fromMs: number,
    toMs: number,
    into: Contributions,
    sinceMs = Number.NEGATIVE_INFINITY,
  ): void {
    const periods = this.#periods
    periods.fill(timeline, RETENTION_START, RETENTION_RETURN, sinceMs)
    const { cohort, lookbackMs } = this.#shape
    let startedMs = Number.NEGATIVE_INFINITY
    for (let i = 0; i < periods.count; i++) {
      if (periods.startRow[i]! < 0) continue
      const startMs = periods.startMs[i]!
      const enters = cohort === 'recurring' || startedMs < startMs - lookbackMs
      startedMs = startMs
      if (!enters || startMs < fromMs) continue
      if (startMs >= toMs) return
      if (i >= periods.sinceIndex) this.#give(timeline, i, 0, into)
      if (this.#elapsed === null) this.#byCalendar(timeline, i, into)
      else this.#byElapsed(timeline, i, this.#elapsed, into, sinceMs)
    }
  }

  rows(from: Contributions, entry: number, into: ContributionRows): void {
    const { periods } = this.#shape
    const period = from.values[entry]!
    if (period === 0) {
      // Each period is shown of each cohort, and says how large that is.
      for (let label = 0; label <= periods; label++) into.values[into.add(label) + RETENTION_COHORT] = 1
      into.values[RETENTION_PREVIOUS] = 1
      into.values[RETENTION_PERSONS] = 1
      into.values[into.width + RETENTION_PREVIOUS] = 1
      return
    }
    into.values[into.add(period) + RETENTION_PERSONS] = 1
    if (period < periods) into.values[into.add(period + 1) + RETENTION_PREVIOUS] = 1
  }

  /** Returns of the cohort of period `at` of the list, by whole periods of the calendar. */
  #byCalendar(timeline: Timeline, at: number, into: Contributions): void {
    const { ordinal, returns, count, sinceIndex, lastReturn } = this.#periods
    const own = ordinal[at]!
    const most = this.#shape.periods
    const first = Math.max(at + 1, sinceIndex)
    let given = this.#shape.mode === 'on' || at >= sinceIndex ? 0 : Math.max(0, lastReturn - own)
    for (let i = first; i < count; i++) {
      const period = ordinal[i]! - own
      if (period > most) return
      if (returns[i] === 0) continue
      if (this.#shape.mode === 'onOrAfter') while (++given < period) this.#give(timeline, at, given, into)
      this.#give(timeline, at, period, into)
      given = period
    }
  }

  /** Returns of that cohort by the time that has passed since the person's start. */
  #byElapsed(timeline: Timeline, at: number, elapsed: ElapsedPeriods, into: Contributions, sinceMs: number): void {
    const startMs = timeline.timeMs[this.#periods.startRow[at]!]!
    const most = this.#shape.periods
    const fresh = at >= this.#periods.sinceIndex
    const first = fresh || sinceMs < startMs ? 1 : Math.max(1, elapsed.indexOf(startMs, sinceMs))
    if (first > most) return
    let row = timeline.firstFrom(elapsed.startMs(startMs, first))
    let given = 0
    if (this.#shape.mode === 'onOrAfter' && first > 1) given = lastReturnBefore(timeline, row, startMs, elapsed)
    const { timeMs, bits, count } = timeline
    for (; row < count; row++) {
      if ((bits[row]! & RETENTION_RETURN) === 0) continue
      const period = elapsed.indexOf(startMs, timeMs[row]!)
      if (period > most) return
      if (period === given) continue
      if (this.#shape.mode === 'onOrAfter') while (++given < period) this.#give(timeline, at, given, into)
      this.#give(timeline, at, period, into)
      given = period
    }
  }

  #give(timeline: Timeline, at: number, period: number, into: Contributions): void {
    const { startMs, endMs, startRow } = this.#periods
    const entry = into.add(startMs[at]!, endMs[at]!, timeline, startRow[at]!, 0)
    into.values[entry] = period
  }
}

/** The period of the last return before `row`; 0 for none. */
function lastReturnBefore(timeline: Timeline, row: number, startMs: number, elapsed: ElapsedPeriods): number {
  for (let before = row - 1; before >= 0 && timeline.timeMs[before]! > startMs; before--) {
    if ((timeline.bits[before]! & RETENTION_RETURN) !== 0) return elapsed.indexOf(startMs, timeline.timeMs[before]!)
  }
  return 0
}
