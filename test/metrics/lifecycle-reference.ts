/** Lifecycle by sets of periods, the slow way. Shares nothing with src/metrics. */
import { type Given, sortGiven, type TestEvent } from './support.ts'

/** The period of an instant. */
export type PeriodOf = (timeMs: number) => { readonly startMs: number; readonly endMs: number }

/** What the definition gives for one person's events. */
export function lifecycleReference(periodOf: PeriodOf, lookbackMs: number, events: readonly TestEvent[]): Given[] {
  const given: Given[] = []
  for (const text of new Set(events.map((event) => event.text))) {
    const own = events.filter((event) => event.text === text)
    const periods = new Map(own.map(({ timeMs }) => [periodOf(timeMs).startMs, periodOf(timeMs).endMs]))
    const ends = new Set(periods.values())
    for (const [startMs, endMs] of periods) {
      const seen = [...periods.keys()].some((start) => start < startMs && start >= startMs - lookbackMs)
      const label = ends.has(startMs) ? 'returning' : seen ? 'resurrecting' : 'new'
      given.push({ startMs, label, text, values: [1] })
      if (!periods.has(endMs)) given.push({ startMs: endMs, label: 'dormant', text, values: [1] })
    }
  }
  return sortGiven(given)
}
