/** What a definition says of restarts. Plain data. */

/** When a failed job starts again: Flink's strategies, by their names. */
export type RestartDefinition =
  | {
      /** The delay grows with each failure, and is forgotten once the job has stayed healthy. */
      readonly kind: 'exponentialDelay'
      readonly initialMs: number
      readonly multiplier: number
      readonly maxMs: number
      /** Share of the delay by which it may be longer or shorter: 0.1 is 10 %. */
      readonly jitter: number
      readonly resetAfterMs: number
      /** Restarts between two resets; 0 for any number. */
      readonly attempts: number
    }
  /** `attempts` restarts in all, each after `delayMs`. */
  | { readonly kind: 'fixedDelay'; readonly attempts: number; readonly delayMs: number }
  /** Fails when there are more than `failures` within `intervalMs`. */
  | { readonly kind: 'failureRate'; readonly failures: number; readonly intervalMs: number; readonly delayMs: number }
  /** The first failure is the last. */
  | { readonly kind: 'none' }
