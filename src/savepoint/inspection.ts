/** What an inspection of a savepoint says. Types only; inspect.ts gives them content. */
import type { Spread } from './key-tally.ts'
import type { Savepoint } from './savepoint.ts'

/** What is asked. */
export interface InspectWish {
  /** Only this table: its id, `operator/id`, or in TypeScript the operator; null for all. */
  readonly table: string | null
  /** Sample rows of each. */
  readonly keys: number
}

/** A row of a table, or the state of a key. */
export interface SampleRow {
  /** Texts of the dimensions; in TypeScript the key. */
  readonly key: readonly string[]
  /** `open`, `fired`, `pane`, `closed`, `session`; `state` in TypeScript. */
  readonly status: string
  /** Epoch ms; null where there is no window. */
  readonly startMs: number | null
  readonly endMs: number | null
  /** By name. */
  readonly values: Readonly<Record<string, unknown>>
}

/** One table, or in TypeScript the state of one operator. */
export interface TableInspection {
  readonly operator: string
  readonly table: string
  /** `results`, `partials`, `sessions`, `state`. */
  readonly kind: string
  /** Windows for people; '' in TypeScript. */
  readonly window: string
  readonly dimensions: readonly string[]
  /** Names of columns, or of the parts of state. */
  readonly columns: readonly string[]
  /** Different keys. */
  readonly keys: number
  /** Rows of open windows (or entries), of closed ones, and members of exact distincts. */
  readonly openRows: number
  readonly closedRows: number
  readonly members: number
  readonly timers: number
  /** Pages, as stored. */
  readonly bytes: number
  /** Sketches, and the bytes of those that are in use. */
  readonly sketches: number
  readonly sketchBytes: number
  readonly spread: Spread
  readonly samples: readonly SampleRow[]
}

/** One operator. */
export interface OperatorInspection {
  readonly id: string
  readonly kind: string
  readonly parallelism: number
  /** Smallest and largest watermark of its subtasks, epoch ms; infinite at the ends. */
  readonly watermarkMinMs: number
  readonly watermarkMaxMs: number
  readonly bytes: number
}

/** The position of one partition. */
export interface PositionInspection {
  readonly partition: number
  readonly offset: number
  /** Infinity when unbounded. */
  readonly stopOffset: number
  readonly topicId: string
  /** Greatest event time seen; -Infinity before the first. */
  readonly maxTimestampMs: number
}

/** A whole savepoint. */
export interface Inspection {
  readonly savepoint: Savepoint
  readonly bytes: number
  readonly operators: readonly OperatorInspection[]
  readonly positions: readonly PositionInspection[]
  readonly tables: readonly TableInspection[]
}
