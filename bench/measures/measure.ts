/** What a measure is: a figure of Millrace alone, without a rival. */

/** Names of the measures. */
export type MeasureId =
  | 'checkpoints'
  | 'pre-aggregation'
  | 'typescript'
  | 'product'
  | 'cel'
  | 'latency'
  | 'memory'
  | 'cold-start'
  | 'recovery'
  | 'state-memory'

/** What a measure is given. */
export interface MeasureContext {
  readonly brokers: string
  /** The topic that the cases read, written when it is first asked for. */
  readonly topic: () => Promise<string>
  /** A topic for what is many times slower. */
  readonly smallTopic: () => Promise<string>
  /** Events in it at most; measures that write their own may take fewer. */
  readonly events: number
  readonly warmupSeconds: number
  /** The span to measure, after the warm-up. */
  readonly durationSeconds: number
  readonly rounds: number
  /** Events per second of a steady load. */
  readonly rate: number
  /** Prints a line of detail. */
  readonly detail: (text: string) => void
}

/** What came out. */
export interface MeasureReport {
  /** Follows `bench ID `. */
  readonly figures: string
  /** Why it is not a full measurement; empty when it is. */
  readonly remarks: readonly string[]
}

/** One measure. */
export interface Measure {
  readonly id: MeasureId
  run(context: MeasureContext): Promise<MeasureReport>
}

/** The smallest of the values that at least the share `p` (0 to 1) of them does not exceed; NaN of none. */
export function quantile(values: readonly number[], p: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)] ?? Number.NaN
}
