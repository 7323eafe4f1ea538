/**
 * Historic lifetime value: what the persons of a cohort have brought by each age, in periods since they came.
 *
 * Owns: who is of a cohort, and which money counts at which age. The definition, with its source and edge cases, is in
 * docs/metrics.md. Pure; does not own timelines, windows' life, or adding up.
 *
 * An entry is one person in one cohort (age -1), or their money of one age; a row of an age adds up those up to it. So what
 * one event changes is one entry a cohort, however many ages there are.
 */
import type { WindowAssigner } from '../window/tumbling.ts'
import { PeriodList } from './period-list.ts'
import type { ContributionRows, Contributions, PersonFunction, Timeline } from './timeline.ts'

/** What of the plan it needs. */
export interface CohortValueShape {
  /** Periods behind the cohort's own. */
  readonly ages: number
  /** Who came in no period that begins within so long before is of a cohort. */
  readonly lookbackMs: number
  /** How long after its window a cohort's last period may end. */
  readonly settleMs: number
}

// Columns of an age's row.
/** Persons of the cohort. */
export const COHORT_PERSONS = 0
/** Their money up to the age, in units. */
export const COHORT_MONEY = 1

const START = 1
const MONEY = 2
const MEMBER = -1

/** Historic lifetime value as a function of timelines. */
export class CohortValue implements PersonFunction {
  readonly width = 2
  /** The age, and the money of it. */
  readonly entryWidth = 2
  readonly labels: readonly string[]
  readonly copiesMatter = true
  readonly onlyLatestBefore = true
  readonly latestBeforeBits = START
  readonly #shape: CohortValueShape
  readonly #windows: WindowAssigner
  readonly #hasTexts: boolean
  readonly #periods: PeriodList

  constructor(shape: CohortValueShape, windows: WindowAssigner, hasTexts: boolean) {
    this.#shape = shape
    this.#windows = windows
    this.#hasTexts = hasTexts
    this.labels = Array.from({ length: shape.ages + 1 }, (_, age) => String(age))
    this.#periods = new PeriodList(windows, shape.ages)
  }

  keptTimeMs(timeMs: number): number {
    // Whose texts count is a matter of instants; ages are of periods.
    return this.#hasTexts ? timeMs : this.#periodOf(timeMs)
  }

  keepFromMs(openFromMs: number): number {
    return openFromMs - this.#shape.lookbackMs
  }

  /** Whoever came matters as far as it is looked back to, by whole periods; money counts in cohorts before it only. */
  isTooLate(timeMs: number, bits: number, openFromMs: number): boolean {
    if ((bits & START) === 0) return timeMs < openFromMs
    return this.#periodOf(timeMs) < this.keepFromMs(openFromMs)
  }

  changesFromMs(timeMs: number, bits: number): number {
    let fromMs = this.#periodOf(timeMs)
    if ((bits & MONEY) === 0) return fromMs
    for (let age = 0; age < this.#shape.ages; age++) fromMs = this.#periodOf(fromMs - 1)
    return fromMs
  }

  changesToMs(): number {
    // Who came earlier than they were known to is of no later cohort.
    return Number.POSITIVE_INFINITY
  }

  looksToMs(toMs: number): number {
    return toMs + this.#shape.settleMs
  }

  contribute(timeline: Timeline, fromMs: number, toMs: number, into: Contributions): void {
    const periods = this.#periods
    periods.fill(timeline, START, MONEY, Number.NEGATIVE_INFINITY)
    let cameMs = Number.NEGATIVE_INFINITY
    for (let i = 0; i < periods.count; i++) {
      if (periods.startRow[i]! < 0) continue
      const startMs = periods.startMs[i]!
      const isFirst = cameMs < startMs - this.#shape.lookbackMs
      cameMs = startMs
      if (!isFirst || startMs < fromMs) continue
      if (startMs >= toMs) return
      this.#give(timeline, i, MEMBER, 0, into)
      this.#money(timeline, i, into)
    }
  }

  rows(from: Contributions, entry: number, into: ContributionRows): void {
    const age = from.values[entry * from.width]!
    const money = from.values[entry * from.width + 1]!
    for (let label = Math.max(0, age); label <= this.#shape.ages; label++) {
      const at = into.add(label)
      // Each age is shown of each cohort, and says how large that is.
      if (age === MEMBER) into.values[at + COHORT_PERSONS] = 1
      else into.values[at + COHORT_MONEY] = money
    }
  }

  /** The money of the cohort of period `at` of the list, by age. */
  #money(timeline: Timeline, at: number, into: Contributions): void {
    const { count, ordinal, startMs, endMs, returns } = this.#periods
    const { bits, copies, value, timeMs } = timeline
    let row = timeline.firstFrom(startMs[at]!)
    for (let i = at; i < count && ordinal[i]! - ordinal[at]! <= this.#shape.ages; i++) {
      let sum = 0
      for (; row < timeline.count && timeMs[row]! < endMs[i]!; row++) {
        if (returns[i] === 0 || (bits[row]! & MONEY) === 0 || Number.isNaN(value[row]!)) continue
        sum += value[row]! * copies[row]!
      }
      if (sum !== 0) this.#give(timeline, at, ordinal[i]! - ordinal[at]!, sum, into)
    }
  }

  #give(timeline: Timeline, at: number, age: number, money: number, into: Contributions): void {
    const { startMs, endMs, startRow } = this.#periods
    const entry = into.add(startMs[at]!, endMs[at]!, timeline, startRow[at]!, 0)
    into.values[entry] = age
    into.values[entry + 1] = money
  }

  #periodOf(timeMs: number): number {
    this.#windows.assign(timeMs)
    return this.#windows.startMs
  }
}
