/** From plans of retention and stickiness to their functions: what a period is, and what an interval. */

import type { WindowDefinition } from '../job/definition.ts'
import { intervalWindow, mostIntervals } from '../job/person/stickiness.ts'
import type { RetentionPlan, StickinessPlan, TablePlan } from '../job/plan.ts'
import { createAssigner } from '../window/assigner.ts'
import { KnownWindows } from '../window/known-windows.ts'
import { TimeZone } from '../window/time-zone.ts'
import type { WindowAssigner } from '../window/tumbling.ts'
import { ElapsedLengths, ElapsedMonths, type ElapsedPeriods } from './elapsed-periods.ts'
import { Retention } from './retention.ts'
import { Stickiness } from './stickiness.ts'

/** The function of a retention. */
export function retentionFunction(person: RetentionPlan, table: TablePlan, windows: WindowAssigner): Retention {
  const { window, settleMs = 0, dimensions } = table
  const elapsed = person.clock === 'elapsed' ? elapsedPeriods(window) : null
  return new Retention({ ...person, settleMs }, windows, elapsed, dimensions.length > 1)
}

/** Periods of the length of a table's windows from any instant on. */
export function elapsedPeriods(window: WindowDefinition): ElapsedPeriods {
  if (window.kind === 'tumbling' && window.unit === 'month') return new ElapsedMonths(new TimeZone(window.timezone))
  return new ElapsedLengths('sizeMs' in window ? window.sizeMs : 1)
}

/** The function of a stickiness. */
export function stickinessFunction(
  { interval }: StickinessPlan,
  window: WindowDefinition,
  windows: WindowAssigner,
): Stickiness {
  const intervals = new KnownWindows(createAssigner(intervalWindow(interval, window)))
  return new Stickiness(mostIntervals(interval, window), windows, intervals)
}
