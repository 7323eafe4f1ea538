/** Sessions by the whole of a person's events, the slow way. Shares nothing with src/metrics but the names of bounces. */
import type { SessionLimits } from '../../src/metrics/session-cuts.ts'
import type { SessionsShape } from '../../src/metrics/sessions.ts'
import type { PeriodOf } from './lifecycle-reference.ts'
import { type Given, sortEvents, sortGiven, type TestEvent } from './support.ts'

const DAY_MS = 86_400_000

/** What the definition gives for one person's events: one row a window and text. */
export function sessionsReference(
  shape: SessionsShape,
  windowOf: PeriodOf,
  dayOf: PeriodOf,
  events: readonly TestEvent[],
): Given[] {
  const rows = new Map<string, Given>()
  for (const session of sessionsOf(shape, dayOf, sortEvents(events))) {
    const { startMs } = windowOf(session[0]!.timeMs)
    const [text] = session
      .filter(({ timeMs }) => timeMs === session[0]!.timeMs)
      .map((event) => event.text)
      .sort()
    const name = JSON.stringify([startMs, text])
    const before = rows.get(name)
    const values = numbersOf(shape, session, before === undefined)
    rows.set(name, {
      ...{ startMs, label: '', text: text! },
      values: before === undefined ? values : values.map((value, i) => value + before.values[i]!),
    })
  }
  return sortGiven([...rows.values()])
}

/** The sessions, each with its events. */
export function sessionsOf(shape: SessionLimits, dayOf: PeriodOf, events: readonly TestEvent[]): TestEvent[][] {
  // First what pauses divide, and midnights where they do.
  const stretches: TestEvent[][] = []
  for (const event of events) {
    const before = stretches.at(-1)?.at(-1)
    const isApart =
      before === undefined ||
      event.timeMs - before.timeMs > shape.gapMs ||
      (shape.cutAtMidnight && dayOf(event.timeMs).startMs !== dayOf(before.timeMs).startMs)
    if (isApart) stretches.push([event])
    else stretches.at(-1)!.push(event)
  }
  // Then each by the greatest duration, and the midnights before which there was no pause for so long.
  const restlessMs = Math.max(DAY_MS, shape.maxDurationMs)
  return stretches.flatMap((stretch) => {
    const parts: TestEvent[][] = [[]]
    for (const event of stretch) {
      const [first] = parts.at(-1)!
      const before = parts.at(-1)!.at(-1)
      const midnightMs = dayOf(event.timeMs).startMs
      const isCut =
        first !== undefined &&
        (event.timeMs - first.timeMs > shape.maxDurationMs ||
          (before!.timeMs < midnightMs && midnightMs - stretch[0]!.timeMs > restlessMs))
      if (isCut) parts.push([event])
      else parts.at(-1)!.push(event)
    }
    return parts
  })
}

function numbersOf(shape: SessionsShape, session: readonly TestEvent[], isFirst: boolean): number[] {
  const views = session.filter(({ bits }) => (bits & 2) !== 0).length
  const isIdle = session.every(({ bits }) => (bits & 4) === 0)
  const durationMs = session.at(-1)!.timeMs - session[0]!.timeMs
  const isEngaged = durationMs >= shape.engagedAfterMs || !isIdle || views > 1
  const isBounce = {
    ga4: !isEngaged,
    posthog: views === 1 && isIdle && durationMs < shape.engagedAfterMs,
    plausible: views === 1 && isIdle,
    matomo: views === 1,
  }[shape.bounce]
  const bounds = [Number.NEGATIVE_INFINITY, ...shape.bucketsMs, Number.POSITIVE_INFINITY]
  const buckets = bounds.slice(1).map((bound, i) => Number(durationMs >= bounds[i]! && durationMs < bound))
  return [1, Number(isFirst), views, Number(isBounce), Number(isEngaged), durationMs, ...buckets]
}
