/** Paths by the whole of a person's events, the slow way. Shares nothing with src/metrics. */
import type { PeriodOf } from './lifecycle-reference.ts'
import { sessionsOf } from './sessions-reference.ts'
import type { TestEvent } from './support.ts'

/** An event with the value that paths are of. */
export interface PathEvent extends TestEvent {
  readonly of: string
}

/** What paths are by. */
export interface PathsRule {
  readonly gapMs: number
  readonly maxDurationMs: number
  readonly steps: number
  readonly collapse: boolean
}

/** One transition: of which window, by which dimension, from what to what. */
export interface Transition {
  readonly startMs: number
  readonly text: string
  readonly step: string
  readonly from: string
  readonly to: string
}

/** The transitions of one person, one for each time. */
export function pathsReference(
  rule: PathsRule,
  windowOf: PeriodOf,
  dayOf: PeriodOf,
  events: readonly PathEvent[],
): Transition[] {
  const inOrder = [...events].sort((a, b) => a.timeMs - b.timeMs || order(a.of, b.of) || order(a.text, b.text))
  const sessions = sessionsOf({ ...rule, cutAtMidnight: false }, dayOf, inOrder) as PathEvent[][]
  return sessions.flatMap((session) => {
    const values = session.map((event) => event.of)
    const path = rule.collapse ? values.filter((value, i) => i === 0 || value !== values[i - 1]) : values
    const [{ timeMs, text }] = session as [PathEvent]
    return path.slice(1, rule.steps + 1).map((to, i) => {
      return { startMs: windowOf(timeMs).startMs, text, step: String(i + 1), from: path[i]!, to }
    })
  })
}

function order(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
