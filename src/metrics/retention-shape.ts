/** What a retention is made of, and what the bits of its events are. */

/** What a retention is made of. */
export interface RetentionShape {
  /** Periods behind the cohort's own. */
  readonly periods: number
  /** Whether a person returned in that very period, or in it or a later one. */
  readonly mode: 'on' | 'onOrAfter'
  /** Whether a person enters once, or again in each period in which they start. */
  readonly cohort: 'first' | 'recurring'
  /** `first`: who started in no period that begins within it enters. */
  readonly lookbackMs: number
  /** How long after its cohort's window the last period may end, ms. */
  readonly settleMs: number
}

/** The bit of events that start. */
export const RETENTION_START = 1
/** The bit of events that are a return. */
export const RETENTION_RETURN = 2
