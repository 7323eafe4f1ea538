/**
 * How a job is executed: the plain data that the coordinator makes from a definition and hands to every worker thread.
 *
 * The graph of every declarative job is
 *
 *   source --(events, by key)--> window --(partials, by group)--> merge
 *
 * - `source`: reads partitions, projects events to columns, evaluates every `where` to a bit of the row's mask, drops
 *   rows that nobody wants, makes watermarks.
 * - `window`: owns the keys of its key groups. Judges lateness. Aggregates rows into tables (a table is shared by all
 *   metrics with the same dimensions and windows). Where the dimensions contain the key, its tables are the result.
 *   Else it sends what a table gained (a partial: counts, sums, …) to `merge` before every mark and at a cadence, and
 *   keeps only the member sets that exact distincts need: persons never meet on one thread for a total.
 * - `merge`: owns the groups of its key groups, adds partials up, fires results, answers queries.
 *
 * Operator ids `source`'s own id, `window` and `merge` name state in snapshots.
 */
import type { EventSchema } from '../event/schema.ts'
import type { DedupePlan } from './dedupe.ts'
import type { JobDefinition, OperatorDefinition, TriggerDefinition, WindowDefinition } from './definition.ts'
import type { MoneyColumn } from './plan-money.ts'

/** Everything a worker thread needs to run its part of a job. */
export interface JobPlan {
  readonly jobName: string
  readonly definition: JobDefinition
  /** Hash of what state depends on; recorded in checkpoints. */
  readonly definitionHash: string
  /** Subtasks of every operator; never 0 here. */
  readonly parallelism: number
  readonly keyGroups: number
  readonly schema: EventSchema
  /** Distinct `where` expressions; bit i of a row's mask is predicate i. At most 31. */
  readonly predicates: readonly Predicate[]
  readonly tables: readonly TablePlan[]
  /** Those that workers count; in the order of the definition. */
  readonly metrics: readonly MetricPlan[]
  /** Number columns behind those of the schema, made of others; absent where there are none. */
  readonly money?: readonly MoneyColumn[]
  /** Metrics that are put together of two others when they are asked for; absent: none. */
  readonly ratios?: readonly RatioPlan[]
  /** Of copies of an event only one counts; absent: all do. */
  readonly dedupe?: DedupePlan
  /** Number column of the weight of each event; absent: all are events (job/weight.ts). */
  readonly weight?: number
  /** Set for a job in TypeScript: then schema, predicates, tables and metrics are empty. */
  readonly program?: ProgramPlan
}

/** The module of a job in TypeScript, and what it said when the job was submitted. */
export interface ProgramPlan {
  /** Path on the server's disk. */
  readonly file: string
  /** Operators, as the module describes them. */
  readonly nodes: readonly OperatorDefinition[]
  /** The schemas that it was submitted with, where its messages are a registry's; else null. */
  readonly descriptorSet: Uint8Array | null
}

/** A typed, position-free expression over columns, as the CEL compiler makes it. Column indexes into EventSchema.columns. */
export type Predicate =
  | { readonly op: 'true' }
  | { readonly op: 'and'; readonly of: readonly Predicate[] }
  | { readonly op: 'or'; readonly of: readonly Predicate[] }
  | { readonly op: 'not'; readonly of: Predicate }
  /** A number column against a constant. */
  | {
      readonly op: 'compare'
      readonly column: number
      readonly relation: '==' | '!=' | '<' | '<=' | '>' | '>='
      readonly value: number
    }
  /** A number column is one of the constants. */
  | { readonly op: 'oneOf'; readonly column: number; readonly values: readonly number[] }
  /** A text column against texts: evaluated once a dictionary entry, not once a row. */
  | {
      readonly op: 'text'
      readonly column: number
      readonly relation:
        | '=='
        | '!='
        | '<'
        | '<='
        | '>'
        | '>='
        | 'in'
        | 'startsWith'
        | 'endsWith'
        | 'contains'
        | 'matches'
      readonly values: readonly string[]
    }
  /** Anything else: the CEL source, evaluated a row at a time over the named columns. */
  | { readonly op: 'cel'; readonly source: string; readonly columns: readonly number[] }

/** An accumulator of a table: what a row's contribution does to it. */
export type AccumulatorKind =
  | 'count'
  | 'sum'
  | 'min'
  | 'max'
  | 'distinct'
  /** Count of the numbers of a column: NaN is none. */
  | 'values'
  /** Count, mean and squared deviations of the finite numbers of a column. */
  | 'moments'
  /** Numbers between given bounds. */
  | 'histogram'
  /** The number, or the text, of the earliest and of the latest event. */
  | 'first'
  | 'last'
  | 'firstText'
  | 'lastText'
  /** HyperLogLog of a text column, or of the event's key. */
  | 'approxDistinct'
  /** The different values of a text column, or of the event's key: exactly up to a number, then as a HyperLogLog. */
  | 'boundedDistinct'
  /** DDSketch of a number column. */
  | 'quantiles'
  /** The most frequent texts of a column. */
  | 'topK'

/** One accumulator. */
export interface AccumulatorPlan {
  readonly kind: AccumulatorKind
  /** Bit of the row mask that must be set for a row to contribute. */
  readonly predicate: number
  /** Number or text column, by kind; -1 for count, and for (approximate) distinct of the event's key. */
  readonly column: number
  /** Sum of a float or double field: compensated, in the last bits dependent on order. Else exact, SUM_OVERFLOW past 2^53. */
  readonly floating: boolean
  /** HyperLogLog: precision p, for 2^p registers. */
  readonly precision?: number
  /** Bounded distinct: how many values are counted exactly. */
  readonly exactUpTo?: number
  /** DDSketch: relative error. */
  readonly error?: number
  /** Top k: how many. */
  readonly k?: number
  /** Histogram: bounds, ascending. */
  readonly bounds?: readonly number[]
  /**
   * Absent, or 0, for one that began with its table. Accumulators of metrics that were added later have counted less, and
   * are told apart from equal ones by this number (job/state-match.ts).
   */
  readonly since?: number
  /** Ids of the metrics that read it, for messages. */
  readonly metrics?: readonly string[]
  /** What it gathers of persons, where its table is about persons: the name of a column of their contributions. */
  readonly measure?: string
}

/** The number that events have in timelines. */
export interface PersonValue {
  /** Number column. */
  readonly column: number
  /** Condition, as a bit of the row mask, under which an event has it; others have none. */
  readonly predicate: number
}

/** What a table about persons makes of each one's events (src/metrics). Conditions are bits of the row mask. */
export type PersonPlan = PersonKindPlan & {
  /** Absent: events have no number, and timelines no room for one. */
  readonly value?: PersonValue
}

/** By kind of metric. */
export type PersonKindPlan =
  | {
      readonly kind: 'funnel'
      /** Conditions of the steps, in order. */
      readonly steps: readonly number[]
      readonly order: 'sequential' | 'strict' | 'any'
      /** Strict: the condition of every event that counts as one between; -1 else. */
      readonly every: number
      readonly withinMs: number
      readonly exclude: readonly { readonly predicate: number; readonly from: number; readonly to: number }[]
      readonly attribution: 'first' | 'last' | number
      readonly bucketsMs: readonly number[]
    }
  | {
      readonly kind: 'lifecycle'
      /** Condition of activity. */
      readonly active: number
      readonly lookbackMs: number
    }
  | RetentionPlan
  | StickinessPlan
  | LifetimeValuePlan
  | SessionsPlan
  | PathsPlan
  | ActivesPlan

/** Who comes back how many periods after they began. */
export interface RetentionPlan {
  readonly kind: 'retention'
  /** Conditions of starts and of returns. */
  readonly start: number
  readonly return: number
  readonly periods: number
  readonly mode: 'on' | 'onOrAfter'
  readonly cohort: 'first' | 'recurring'
  readonly clock: 'calendar' | 'elapsed'
  readonly lookbackMs: number
}

/** On how many intervals of a window persons are active. */
export interface StickinessPlan {
  readonly kind: 'stickiness'
  /** Condition of activity. */
  readonly active: number
  readonly interval: 'hour' | 'day' | 'week'
}

/** What the persons of a cohort have brought by each age; events have their money as a number. */
export interface LifetimeValuePlan {
  readonly kind: 'lifetimeValue'
  /** Conditions of who comes, and whose amounts count. */
  readonly start: number
  readonly money: number
  readonly ages: number
  readonly lookbackMs: number
}

/** Sessions; conditions of all their events, of views, and of interactions (-1 for none). */
export interface SessionsPlan {
  readonly kind: 'sessions'
  readonly every: number
  readonly views: number
  readonly interactions: number
  readonly gapMs: number
  readonly maxDurationMs: number
  readonly cutAtMidnight: boolean
  readonly engagedAfterMs: number
  readonly bounce: 'ga4' | 'posthog' | 'plausible' | 'matomo'
  readonly bucketsMs: readonly number[]
}

/** From what to what persons go in each session. */
export interface PathsPlan {
  readonly kind: 'paths'
  /** Condition of all their events. */
  readonly every: number
  /** Text column whose values they are of: events have it in timelines, behind the dimensions. */
  readonly of: number
  readonly gapMs: number
  readonly maxDurationMs: number
  readonly steps: number
  readonly collapse: boolean
}

/** Active persons of windows that overlap. */
export interface ActivesPlan {
  readonly kind: 'actives'
  /** Condition of activity. */
  readonly active: number
}

/** One table: all metrics with the same dimensions, windows and lateness. */
export interface TablePlan {
  /** Stable across edits of other metrics: made of dimensions and windows. Names state in snapshots. */
  readonly id: string
  /** Text columns of the dimensions, in order; -1 stands for the event's key, -2 for each that the table itself makes. */
  readonly dimensions: readonly number[]
  /** Names of the dimensions, in the same order. */
  readonly dimensionNames: readonly string[]
  /** True when the dimensions contain the key: the table lives whole in `window`, and `merge` never sees it. */
  readonly keyed: boolean
  readonly window: WindowDefinition
  readonly trigger: TriggerDefinition | null
  /** Cadence of provisional results, wall-clock ms; 0 for none. */
  readonly earlyMs: number
  readonly allowedLatenessMs: number
  readonly retainMs: number
  /** Whether events may be taken back (weight -1): then exact distincts count each member. Absent: never. */
  readonly takesBack?: boolean
  /** Set for a table about persons: then rows are what persons contribute, not events. */
  readonly person?: PersonPlan
  /** Tables about persons with the same text keep the same rows of them, and so may share timelines. */
  readonly shares?: string
  /** How long after its end a window may still change in time; absent: not at all. It is due, and closes, so much later. */
  readonly settleMs?: number
  /** Whether a correction comes with what it corrects: some sink retracts that. Absent: no. */
  readonly retracts?: boolean
  /** Deduplicated: metrics share what is the same. The first accumulators are the `count`s of each predicate in use. */
  readonly accumulators: readonly AccumulatorPlan[]
}

/** How a metric's value is read out of its table. */
export interface MetricPlan {
  readonly id: string
  /** Index into JobPlan.tables. */
  readonly table: number
  /** Bit of the metric's predicate in the row mask. */
  readonly predicate: number
  /** Index of the accumulator that counts the metric's events in a group: a value exists where it is above 0. */
  readonly events: number
  readonly read: MetricRead
  /** Whether values are whole numbers. */
  readonly integer: boolean
}

/** A ratio of metrics of several tables, by their ids. */
export interface RatioPlan {
  readonly id: string
  readonly of: string
  readonly to: string
  readonly scale: number
}

/** How a value is read out of accumulators. */
export type MetricRead =
  | { readonly kind: 'value'; readonly of: number }
  /** First divided by second, times `scale` (absent: 1): avg, ratios within a table. By 0 there is none. */
  | { readonly kind: 'ratio'; readonly of: number; readonly by: number; readonly scale?: number }
  | { readonly kind: 'quantile'; readonly of: number; readonly q: number }
  /** Variance by n, or of a sample by n - 1; `root` is its square root. */
  | { readonly kind: 'variance'; readonly of: number; readonly sample: boolean; readonly root: boolean }
  /** A text and no number: first and last of a text. */
  | { readonly kind: 'text'; readonly of: number }
  /** A list of labels and numbers: top k and histogram. The value is the greatest, and the sum, of them. */
  | { readonly kind: 'topK'; readonly of: number }
  | { readonly kind: 'histogram'; readonly of: number }
