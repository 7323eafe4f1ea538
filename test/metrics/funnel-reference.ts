/**
 * Funnels the slow way: every way to choose events for steps, and the best of them by the definition.
 *
 * Shares nothing with src/metrics but the shape. Windows are [k * windowMs, (k + 1) * windowMs).
 */
import type { FunnelShape } from '../../src/metrics/funnel.ts'
import { type Given, sortEvents, sortGiven, type TestEvent } from './support.ts'

interface Attempt {
  /** Places of the events in the sorted list, a step each. */
  readonly chosen: readonly number[]
  readonly timesMs: readonly number[]
}

/** What the definition gives for one person's events. */
export function funnelReference(shape: FunnelShape, windowMs: number, unsorted: readonly TestEvent[]): Given[] {
  const events = sortEvents(unsorted)
  const best = new Map<number, Attempt>()
  events.forEach((event, start) => {
    if ((event.bits & (shape.order === 'any' ? 2 ** shape.steps - 1 : 1)) === 0) return
    const attempt = shape.order === 'any' ? anyOrder(shape, events, start) : inOrder(shape, events, start)
    if (excluded(shape, events, attempt)) return
    const window = Math.floor(event.timeMs / windowMs) * windowMs
    if (attempt.chosen.length > (best.get(window)?.chosen.length ?? 0)) best.set(window, attempt)
  })
  return sortGiven([...best].flatMap(([startMs, attempt]) => contributions(shape, events, startMs, attempt)))
}

/** All sequences of different events, one a step, none before the one before it. */
function inOrder(shape: FunnelShape, events: readonly TestEvent[], start: number): Attempt {
  const limitMs = events[start]!.timeMs + shape.withinMs
  let best: Attempt | null = null
  const visit = (chosen: readonly number[]): void => {
    const attempt = { chosen, timesMs: chosen.map((i) => events[i]!.timeMs) }
    if (shape.order === 'strict' && skipsSome(events, attempt)) return
    if (best === null || isBetter(attempt, best)) best = attempt
    if (chosen.length === shape.steps) return
    events.forEach(({ timeMs, bits }, i) => {
      if ((bits & (1 << chosen.length)) === 0 || chosen.includes(i)) return
      if (timeMs >= events[chosen.at(-1)!]!.timeMs && timeMs <= limitMs) visit([...chosen, i])
    })
  }
  visit([start])
  return best!
}

/** Whether an event lies between the first and the last step's times that is no step. Ties may have come before or after. */
function skipsSome(events: readonly TestEvent[], { chosen, timesMs }: Attempt): boolean {
  return events.some(({ timeMs }, i) => timeMs > timesMs[0]! && timeMs < timesMs.at(-1)! && !chosen.includes(i))
}

/** Deeper, else each step as early as can be, else the first events in order. */
function isBetter(a: Attempt, b: Attempt): boolean {
  if (a.chosen.length !== b.chosen.length) return a.chosen.length > b.chosen.length
  const at = a.timesMs.findIndex((timeMs, i) => timeMs !== b.timesMs[i])
  if (at >= 0) return a.timesMs[at]! < b.timesMs[at]!
  const other = a.chosen.findIndex((event, i) => event !== b.chosen[i])
  return other >= 0 && a.chosen[other]! < b.chosen[other]!
}

/** Event by event: which sets of steps can have been done by different events. */
function anyOrder(shape: FunnelShape, events: readonly TestEvent[], start: number): Attempt {
  const { timeMs } = events[start]!
  const inReach = events.flatMap((event, i) =>
    i !== start && event.timeMs >= timeMs && event.timeMs <= timeMs + shape.withinMs ? [i] : [],
  )
  let sets = new Set<number>([0])
  const attempt: { chosen: number[]; timesMs: number[] } = { chosen: [], timesMs: [] }
  for (const i of [start, ...inReach]) {
    const more = new Set(sets)
    for (const set of sets) {
      for (let step = 0; step < shape.steps; step++) {
        if ((events[i]!.bits & (1 << step)) !== 0) more.add(set | (1 << step))
      }
    }
    sets = more
    const most = Math.max(...[...sets].map((set) => set.toString(2).replaceAll('0', '').length))
    if (most === attempt.chosen.length) continue
    attempt.chosen.push(i)
    attempt.timesMs.push(events[i]!.timeMs)
  }
  return attempt
}

function excluded(shape: FunnelShape, events: readonly TestEvent[], { timesMs }: Attempt): boolean {
  const limitMs = timesMs[0]! + shape.withinMs
  return shape.exclude.some(({ from, to }, i) => {
    if (timesMs.length < from) return false
    return events.some(({ timeMs, bits }) => {
      if ((bits & (1 << (shape.steps + i))) === 0 || timeMs <= timesMs[from - 1]!) return false
      return timesMs.length >= to ? timeMs < timesMs[to - 1]! : timeMs <= limitMs
    })
  })
}

function contributions(
  shape: FunnelShape,
  events: readonly TestEvent[],
  startMs: number,
  { chosen, timesMs }: Attempt,
): Given[] {
  const step = shape.attribution === 'first' ? 1 : shape.attribution === 'last' ? chosen.length : shape.attribution
  const text = chosen[step - 1] === undefined ? '' : events[chosen[step - 1]!]!.text
  return Array.from({ length: shape.steps }, (_, k): Given => {
    const reached = chosen.length > k
    const timeMs = reached ? timesMs[k]! - timesMs[0]! : 0
    const bucket = shape.bucketsMs.filter((bound) => timeMs >= bound).length
    const buckets = Array.from({ length: shape.bucketsMs.length + 1 }, (_, b) => (reached && b === bucket ? 1 : 0))
    const values = [1, chosen.length >= k ? 1 : 0, reached ? 1 : 0, timeMs, ...buckets]
    return { startMs, label: String(k + 1), text, values }
  })
}
