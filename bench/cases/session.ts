/** Count and sum by person in sessions with a gap of ten seconds: one result for every four events, and rows that go. */
import type { BenchCase } from './case.ts'

/** Events and revenue in minor units by person and session. */
export const session: BenchCase = {
  id: 'session',
  title: 'count and sum of revenue by person and session, gap 10 s',
  columns: ['person', 'session_start_ms', 'count', 'sum_revenue_minor'],
  flink: { api: 'datastream', heapMb: 1024 },
  sizingEventsPerSecond: 1_500_000,
}
