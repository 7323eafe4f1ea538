/** What a ratio says, after parsing. Plain data. */

/** One metric by another: a rate, an average by person, a share. */
export interface RatioKind {
  readonly kind: 'ratio'
  /** Id of the metric above the line. */
  readonly of: string
  /** Id of the metric below the line. */
  readonly to: string
  /** What the quotient is multiplied by: 100 for percent. */
  readonly scale: number
  /** The author knows that sinks are not given it: it is put together of two tables when it is asked for. */
  readonly queriesOnly: boolean
}
