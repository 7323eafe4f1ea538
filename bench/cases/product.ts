/** What every product asks, against Flink SQL: who is there now, their sessions, the pages that they look at. */
import type { BenchCase } from './case.ts'

/** Exact distinct persons of the last five minutes, every half minute. */
export const productActives: BenchCase = {
  id: 'product-actives',
  title: 'exact distinct persons of five minutes, every 30 s',
  columns: ['', 'window_start_ms', 'persons'],
  flink: { api: 'sql', heapMb: 2048 },
  // The rival puts each event into ten windows, and its case must end within a quarter of an hour.
  sizingEventsPerSecond: 600_000,
}

/** Events and revenue by person and session, of about twenty events each. */
export const productSessions: BenchCase = {
  id: 'product-sessions',
  title: 'events and revenue by person and session, gap 30 s',
  columns: ['person', 'window_start_ms', 'count', 'sum_revenue_minor'],
  flink: { api: 'sql', heapMb: 1024 },
  sizingEventsPerSecond: 1_500_000,
}

/** Views by screen and minute: what the top pages are taken from, all fifty of them. */
export const productPages: BenchCase = {
  id: 'product-pages',
  title: 'views by screen per minute',
  columns: ['screen', 'window_start_ms', 'count'],
  flink: { api: 'sql', heapMb: 768 },
  sizingEventsPerSecond: 5_000_000,
}
