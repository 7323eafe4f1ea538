/**
 * Questions to a view and their answers, as they cross threads. Types only, plain data.
 */
import type { ColumnsRead, MetricDetail } from './read-metric.ts'

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
  /** Further conditions on the group, all of which must hold. */
  readonly conditions?: readonly DimensionCondition[]
  /** Conditions on the value, all of which must hold. With `keep` they are the asker's: a part of a sum has no say. */
  readonly values?: readonly ValueCondition[]
  /** Only so many rows a window, by value. With `keep` it is the asker's too. */
  readonly top?: TopRows
  /**
   * Only the last so many rows by window, then by dimension texts; with `top`, the newest windows that have so many. What
   * is left out is not `truncated`.
   */
  readonly newest?: number
  /** Dimensions to keep, by index and in this order: rows that differ only in others are added up. */
  readonly keep?: readonly number[]
  /** At most so many groups of a window, and one row for the rest; conditions on values are the asker's then. */
  readonly cap?: GroupCap
  /** Reads this of each row instead of the metric's own value. */
  readonly read?: ColumnsRead
  /** Only this window subtask answers: the one that owns a key. */
  readonly subtask?: number
  /** Of a metric about persons: what this one alone comes to. Only time and `rowsMax` narrow it. */
  readonly person?: PersonQuestion
}

/** One person. */
export interface PersonQuestion {
  /** The key, as dimensions show it. */
  readonly key: string
  /** Most events of theirs in the answer, the newest; 0 for none. */
  readonly eventsMax: number
}

/** Events of a person as a table keeps them, in columns; times ascend. */
export interface PersonEvents {
  readonly timeMs: Float64Array
  /** Which of the table's conditions each meets. */
  readonly bits: Uint32Array
  readonly copies: Float64Array
  /** The number of each, NaN for none; empty where the table asks for none. */
  readonly value: Float64Array
  readonly dimensions: readonly (readonly string[])[]
  /** There are earlier ones. */
  readonly truncated: boolean
}

/** A condition on one dimension of a group. */
export interface DimensionCondition {
  /** Index into the table's dimensions. */
  readonly dimension: number
  readonly test: 'equals' | 'prefix'
  /** One of these is enough. */
  readonly texts: readonly string[]
  /** Keeps what fails the test instead. */
  readonly not: boolean
}

/** A condition on a value. */
export interface ValueCondition {
  readonly relation: '==' | '!=' | '<' | '<=' | '>' | '>='
  readonly than: number
}

/** The greatest values of each window, or the least. Of equal values, those whose dimensions come first. */
export interface TopRows {
  readonly count: number
  readonly ascending: boolean
}

/** How the values of groups become one: of others than these it is not known from values. */
export type RestOf = 'sum' | 'min' | 'max' | 'none'

/** How many groups of a window are shown. */
export interface GroupCap {
  readonly count: number
  readonly rest: RestOf
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
  /** What each value is a share or a mean of; 0 for others. Of rows that were added up it says nothing. */
  readonly volumes?: Float64Array
  /** Events behind each value. */
  readonly events: Float64Array
  /** Firings so far: 0 while provisional, 1 for the on-time result, more after corrections. */
  readonly revision: Uint32Array
  /** Events of this metric, window and group that came too late to count. */
  readonly lateCount: Float64Array
  /** With `keep`: 1 where a row that was added up is provisional, whatever the greatest revision says. */
  readonly provisional?: Uint8Array
  /** With `cap`: of rows that stand for the rest, how many groups are in it; 0 for groups. Absent: all are groups. */
  readonly otherGroups?: Float64Array
  /** With `person`: their events, where those were asked for. */
  readonly person?: PersonEvents
  /** What values have beside their number, for metrics that have anything. */
  readonly details?: readonly (MetricDetail | null)[]
}
