/** Asking what is known of one key: plain data, as in query/api.ts. */
import type { MetricResult } from './metric-info.ts'

/** One key of a job, and what is asked about it. */
export interface KeyQuery {
  readonly job: string
  /** The key as dimensions show it: a text, or a number in decimal. */
  readonly key: string
  /** Only these metrics; none names all whose dimensions contain the key, and all that are about persons. */
  readonly metrics: readonly string[]
  readonly fromMs: number
  readonly toMs: number
  /** Most values of each metric, the newest windows. */
  readonly limit: number
  /** Most events of each timeline, the newest; 0 for no timelines. */
  readonly events: number
}

/** Values of one metric for one key. */
export interface KeyMetric extends MetricResult {
  /**
   * The metric is about persons: the values are what this one alone comes to, in windows that can still change. Of closed
   * ones nobody knows who was in them.
   */
  readonly ofPerson: boolean
}

/** What is known of one key. */
export interface KeyResult {
  /** One for each metric, in the order of the definition; those that have nothing of the key too. */
  readonly results: readonly KeyMetric[]
  /** Of metrics about persons; those that share one are named together. Empty where none were asked for. */
  readonly timelines: readonly PersonTimeline[]
  /** The subtask that owns the key, the only one that was asked. */
  readonly subtask: number
  readonly watermarkMs: number
}

/** A person's events, as metrics about persons keep them: those that some condition takes, for as long as a window needs them. */
export interface PersonTimeline {
  readonly metrics: readonly string[]
  /** What events can be, as `step 1: name == 'cart'`. */
  readonly conditions: readonly string[]
  /** Names of the texts of each event. */
  readonly dimensions: readonly string[]
  /** The earliest first. */
  readonly events: readonly TimelineEvent[]
  /** There are earlier ones. */
  readonly truncated: boolean
}

/** One event, and how many equal ones there are. */
export interface TimelineEvent {
  /** Its time; of metrics about periods, the start of its period. */
  readonly timeMs: number
  /** Indexes of the timeline's conditions. */
  readonly conditions: readonly number[]
  readonly dimensions: readonly string[]
  readonly copies: number
  /** The number that the metrics ask of it; NaN for none. */
  readonly value: number
}
