/** Count and sum by person in one-minute tumbling windows: many keys, much output. */
import type { BenchCase } from './case.ts'

/** Events and revenue in minor units by person and minute. */
export const tumbling: BenchCase = {
  id: 'tumbling',
  title: 'count and sum of revenue by person per minute',
  columns: ['person', 'window_start_ms', 'count', 'sum_revenue_minor'],
  flink: { api: 'datastream', heapMb: 768 },
  sizingEventsPerSecond: 5_000_000,
}
