/** Historic lifetime value by sums over all events, the slow way. Shares nothing with src/metrics. */
import type { Periods } from './retention-reference.ts'
import { type Given, sortGiven, type TestEvent } from './support.ts'

/** A lifetime value, as its plan says it. */
export interface CohortValueCase {
  readonly ages: number
  readonly lookbackMs: number
}

/** What the definition gives for one person's events: bit 0 puts into a cohort, bit 1 has money. */
export function cohortValueReference(
  { ages, lookbackMs }: CohortValueCase,
  periods: Pick<Periods, 'of' | 'between'>,
  events: readonly (TestEvent & { readonly value?: number })[],
): Given[] {
  const comes = events.filter(({ bits }) => (bits & 1) !== 0)
  const startPeriods = [...new Set(comes.map(({ timeMs }) => periods.of(timeMs).startMs))]
  const cohorts = startPeriods.filter(
    (startMs) => !startPeriods.some((other) => other < startMs && other >= startMs - lookbackMs),
  )
  const given = cohorts.flatMap((startMs) => {
    const own = comes.filter(({ timeMs }) => periods.of(timeMs).startMs === startMs)
    const firstMs = Math.min(...own.map(({ timeMs }) => timeMs))
    const [text] = own.flatMap((event) => (event.timeMs === firstMs ? [event.text] : [])).sort()
    return Array.from({ length: ages + 1 }, (_, age): Given => {
      const money = events
        .filter(({ bits, value = Number.NaN }) => (bits & 2) !== 0 && !Number.isNaN(value))
        .filter(({ timeMs }) => {
          const of = periods.of(timeMs).startMs
          return of >= startMs && periods.between(startMs, of) <= age
        })
        .reduce((sum, { value }) => sum + value!, 0)
      return { startMs, label: String(age), text: text!, values: [1, money] }
    })
  })
  return sortGiven(given)
}
