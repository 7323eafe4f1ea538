/** Retention and stickiness by sets of periods, the slow way. Shares nothing with src/metrics. */
import { type Given, sortGiven, type TestEvent } from './support.ts'

/** A period, and how many lie between two. */
export interface Periods {
  of(timeMs: number): { readonly startMs: number; readonly endMs: number }
  /** Whole periods from one to another, by their starts. */
  between(fromMs: number, toMs: number): number
  /** Whole periods of a person's own time from one instant to another. */
  elapsed(fromMs: number, toMs: number): number
}

/** A retention, as its plan says it. */
export interface RetentionCase {
  readonly periods: number
  readonly mode: 'on' | 'onOrAfter'
  readonly cohort: 'first' | 'recurring'
  readonly clock: 'calendar' | 'elapsed'
  readonly lookbackMs: number
}

/** What the definition gives for one person's events: bit 0 is a start, bit 1 a return. */
export function retentionReference(shape: RetentionCase, periods: Periods, events: readonly TestEvent[]): Given[] {
  const starts = events.filter(({ bits }) => (bits & 1) !== 0)
  const returns = events.filter(({ bits }) => (bits & 2) !== 0)
  const startPeriods = [...new Set(starts.map(({ timeMs }) => periods.of(timeMs).startMs))]
  const given: Given[] = []
  for (const startMs of startPeriods) {
    const seen = startPeriods.some((other) => other < startMs && other >= startMs - shape.lookbackMs)
    if (shape.cohort === 'first' && seen) continue
    const own = starts.filter(({ timeMs }) => periods.of(timeMs).startMs === startMs)
    const firstMs = Math.min(...own.map(({ timeMs }) => timeMs))
    const [text] = own.flatMap((event) => (event.timeMs === firstMs ? [event.text] : [])).sort()
    const ages = returns
      .filter(({ timeMs }) => timeMs >= startMs)
      .map(({ timeMs }) =>
        shape.clock === 'calendar'
          ? periods.between(startMs, periods.of(timeMs).startMs)
          : timeMs < firstMs
            ? 0
            : periods.elapsed(firstMs, timeMs),
      )
      .filter((age) => age > 0 && age <= shape.periods)
    const returned = (age: number): boolean =>
      age === 0 || (shape.mode === 'on' ? ages.includes(age) : ages.some((other) => other >= age))
    for (let age = 0; age <= shape.periods; age++) {
      const values = [1, age === 0 || returned(age - 1) ? 1 : 0, returned(age) ? 1 : 0]
      given.push({ startMs, label: String(age), text: text!, values })
    }
  }
  return sortGiven(given)
}

/** What the definition of stickiness gives: by group, on how many intervals of each window there are events. */
export function stickinessReference(
  windowOf: Periods['of'],
  intervalOf: (timeMs: number) => unknown,
  events: readonly TestEvent[],
): Given[] {
  const groups = Map.groupBy(events, ({ timeMs, text }) => JSON.stringify([windowOf(timeMs).startMs, text]))
  return sortGiven(
    [...groups.values()].map((own): Given => {
      const intervals = new Set(own.map(({ timeMs }) => intervalOf(timeMs)))
      const [{ timeMs, text }] = own as [TestEvent]
      return { startMs: windowOf(timeMs).startMs, label: String(intervals.size), text, values: [1] }
    }),
  )
}
