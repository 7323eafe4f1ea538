/** What a bench case is. */

/** Names of the cases. */
export type CaseId =
  | 'tumbling'
  | 'distinct'
  | 'session'
  | 'sliding'
  | 'product-actives'
  | 'product-sessions'
  | 'product-pages'

/** How the rival runs a case: its faster API, at the smallest heap that keeps 90 % of its speed (see bench/README.md). */
export interface RivalSetup {
  readonly api: 'datastream' | 'sql'
  readonly heapMb: number
}

/** One comparison. */
export interface BenchCase {
  readonly id: CaseId
  /** What is computed, in words. */
  readonly title: string
  /** Columns of a result row in canonical order: key, window start, values. */
  readonly columns: readonly string[]
  readonly flink: RivalSetup
  /** The rate that a topic is sized for, events per second: about the faster side's on the bench machine. */
  readonly sizingEventsPerSecond: number
}
