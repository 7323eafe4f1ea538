/**
 * Questions to a view and their answers, as they cross threads. Types only, plain data.
 */

/** What is asked of the views of one metric on one thread. */
export interface ViewQuery {
  /** Index into JobPlan.metrics. */
  readonly metric: number
  /** Windows that overlap [fromMs, toMs). */
  readonly fromMs: number
  readonly toMs: number
  /** Only groups whose dimension texts equal these; null entries match anything. Same order as the table's dimensions. */
  readonly filter: readonly (string | null)[]
  /** Only rows changed after this change number of the answering subtask; -1 for all. One number per subtask. */
  readonly sinceChange: readonly number[]
  /** Most rows in an answer; the answer says when it was cut. */
  readonly rowsMax: number
}

/** Rows of one subtask's view, in columns. */
export interface ViewRows {
  readonly operator: 'window' | 'merge'
  readonly subtask: number
  /** The subtask's watermark when it answered. */
  readonly watermarkMs: number
  /** The subtask's change number when it answered: ask again with it to learn what changed since. */
  readonly change: number
  readonly truncated: boolean
  readonly count: number
  readonly windowStartMs: Float64Array
  readonly windowEndMs: Float64Array
  /** One array of dimension texts a row. */
  readonly dimensions: readonly (readonly string[])[]
  readonly values: Float64Array
  /** Events behind each value. */
  readonly events: Float64Array
  /** Firings so far: 0 while provisional, 1 for the on-time result, more after corrections. */
  readonly revision: Uint32Array
  /** Events of this metric, window and group that came too late to count. */
  readonly lateCount: Float64Array
}
