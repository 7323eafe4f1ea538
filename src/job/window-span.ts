/** How long windows in a row may be together. */
import type { WindowDefinition } from './definition.ts'

const DAY_MS = 86_400_000

/** By how much clocks may have been set back in all, over any time: more only where a zone moves over the date line. */
const SET_BACK_MS_MAX = 3 * 3_600_000

/** The longest that `count` windows in a row can be, ms: months have their lengths, and clocks are set back. */
export function maxSpanMs(window: WindowDefinition, count: number): number {
  const zoneMs = window.timezone === 'UTC' ? 0 : SET_BACK_MS_MAX
  if (window.kind === 'tumbling' && window.unit === 'month') return maxMonthsMs(count) + zoneMs
  const sizeMs = 'sizeMs' in window ? window.sizeMs : 0
  // Of a zone, days have their hours; shorter windows end with the day, and so are no longer than they say.
  return count * sizeMs + (sizeMs % DAY_MS === 0 ? zoneMs : 0)
}

/** The longest of so many months in a row, in four years with a leap day. */
function maxMonthsMs(count: number): number {
  const firstOf = (month: number): number => Date.UTC(2024, month, 1)
  return Math.max(...Array.from({ length: 48 }, (_, month) => firstOf(month + count) - firstOf(month)))
}
