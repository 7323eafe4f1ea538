/**
 * When those whom a value is about have had their time: a person who entered a funnel, or a cohort, may still get further
 * when its window is over.
 *
 * Owns: that instant, by the definitions of docs/metrics.md. Pure.
 */
import type { MetricKind, WindowDefinition } from '../job/definition.ts'
import { sessionsSettleMs } from '../job/person/sessions.ts'
import { createAssigner } from '../window/assigner.ts'
import { KnownWindows } from '../window/known-windows.ts'
import type { WindowAssigner } from '../window/tumbling.ts'
import { elapsedPeriods } from './period-functions.ts'

/** The first instant that a value no longer depends on; `own` is the text of the metric's own dimension. */
export type MatureFrom = (windowEndMs: number, own: string) => number

/** When the values of a metric are mature; null where that is when their window ends. */
export function maturityOf(kind: MetricKind, window: WindowDefinition): MatureFrom | null {
  // Both ends of the time that an attempt has are in it.
  if (kind.kind === 'funnel') return (windowEndMs) => windowEndMs + kind.withinMs
  if (kind.kind === 'lifetimeValue') {
    const windows = new KnownWindows(createAssigner(window))
    return (windowEndMs, own) => endOf(windows, windowEndMs, Number(own))
  }
  if (kind.kind === 'sessions') {
    const settleMs = sessionsSettleMs(kind, window)
    return settleMs === 0 ? null : (windowEndMs) => windowEndMs + settleMs
  }
  if (kind.kind === 'paths') return (windowEndMs) => windowEndMs + kind.maxDurationMs
  if (kind.kind !== 'retention') return null
  const periodOf = (own: string): number => {
    const period = Number(own)
    return kind.mode === 'onOrAfter' && period > 0 ? kind.periods : period
  }
  if (kind.clock === 'elapsed') {
    const elapsed = elapsedPeriods(window)
    return (windowEndMs, own) => {
      const period = periodOf(own)
      return period === 0 ? windowEndMs : elapsed.startMs(windowEndMs, period + 1)
    }
  }
  const windows = new KnownWindows(createAssigner(window))
  return (windowEndMs, own) => endOf(windows, windowEndMs, periodOf(own))
}

/** The end of the window that is so many behind the one that ends at `windowEndMs`. */
function endOf(windows: WindowAssigner, windowEndMs: number, behind: number): number {
  let endMs = windowEndMs
  for (let i = 0; i < behind; i++) {
    windows.assign(endMs)
    endMs = windows.endMs
  }
  return endMs
}
