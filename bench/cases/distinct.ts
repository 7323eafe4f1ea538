/** Exact distinct persons by screen in one-minute tumbling windows: few keys, large sets. */
import type { BenchCase } from './case.ts'

/** Distinct persons by screen and minute, exactly. */
export const distinct: BenchCase = {
  id: 'distinct',
  title: 'exact distinct persons by screen per minute',
  columns: ['screen', 'window_start_ms', 'distinct_persons'],
  flink: { api: 'datastream', heapMb: 1024 },
  sizingEventsPerSecond: 5_000_000,
}
