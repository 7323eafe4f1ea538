/** Windows by hand. */
import type { Observation } from '../../src/alert/detector.ts'
import { HOUR_MS, START_MS } from './traffic.ts'

/** Hourly windows with these values, from a Monday on. */
export function hours(values: readonly number[], volume = 1): Observation[] {
  return values.map((value, i) => windowAt(i, value, volume))
}

/** The window of one hour. */
export function windowAt(hour: number, value: number, volume = 1, final = true): Observation {
  return { startMs: START_MS + hour * HOUR_MS, endMs: START_MS + (hour + 1) * HOUR_MS, value, volume, final }
}
