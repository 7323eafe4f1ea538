/** Count and sum by person in windows of a minute that start every five seconds: each event is in twelve results. */
import type { BenchCase } from './case.ts'

/** Events and revenue in minor units by person and sliding minute. */
export const sliding: BenchCase = {
  id: 'sliding',
  title: 'count and sum of revenue by person in a minute, every 5 s',
  columns: ['person', 'window_start_ms', 'count', 'sum_revenue_minor'],
  flink: { api: 'sql', heapMb: 1024 },
  sizingEventsPerSecond: 2_000_000,
}
