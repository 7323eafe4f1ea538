/**
 * What a job definition says, after parsing: every default filled in, every duration in milliseconds.
 *
 * Owns: the shape. Does not own: its YAML, JSON and Protobuf forms (job/parse.ts), whether it makes sense against the
 * event's descriptor (job/validate.ts), how it is executed (job/plan.ts). Plain data throughout.
 */
import type { DedupeDefinition } from './dedupe.ts'
import type { DetectorDefinition } from './detector-definition.ts'
import type { EventDefinition } from './event-definition.ts'
import type { CurrenciesDefinition, OfMoney } from './money-definition.ts'
import type { PersonKind } from './person-definition.ts'
import type { PresetName } from './preset-names.ts'
import type { RatioKind } from './ratio-kind.ts'
import type { RestartDefinition } from './restart-definition.ts'

/** Where reading a partition starts when no checkpoint says otherwise. */
export type StartPosition =
  | { readonly kind: 'earliest' }
  | { readonly kind: 'latest' }
  /** The first record whose timestamp is at or after `timestampMs`. */
  | { readonly kind: 'timestamp'; readonly timestampMs: number }
  /** Exact offsets by partition; a partition that is not named starts at `otherwise`. */
  | {
      readonly kind: 'offsets'
      readonly offsets: Readonly<Record<number, number>>
      readonly otherwise: 'earliest' | 'latest'
    }

/** A job as ops submit it. */
export interface JobDefinition {
  /** Lower-case DNS label, unique in a deployment. */
  readonly name: string
  readonly source: SourceDefinition
  readonly event: EventDefinition
  readonly watermark: WatermarkDefinition
  readonly checkpoint: CheckpointDefinition
  /** What follows a failure; absent: the server's own (exponential delay). */
  readonly restart?: RestartDefinition
  /** What becomes of a record on which the job's code fails again and again; absent: the job fails each time. */
  readonly poison?: PoisonDefinition
  /** Subtasks per operator; 0 means one per worker thread. */
  readonly parallelism: number
  /** Key groups of keyed state; fixed for the life of the state. */
  readonly keyGroups: number
  /** Fold events that no metric can tell apart before they cross threads; changes no result. */
  readonly preAggregation: boolean
  /** Bytes of state and buffers at which the job fails with STATE_LIMIT, over all its subtasks. */
  readonly stateLimitBytes: number
  /** What currencies are worth; absent where nothing is converted. */
  readonly currencies?: CurrenciesDefinition
  /** Absent: events with the same id are different events. */
  readonly dedupe?: DedupeDefinition
  readonly metrics: readonly MetricDefinition[]
  /** What watches the metrics for what is unusual; absent for nothing. */
  readonly detectors?: readonly DetectorDefinition[]
  /** Where their episodes go; absent for nowhere: they can be queried. */
  readonly episodes?: TopicOutput
  readonly sinks: readonly SinkDefinition[]
  /** Where events that cannot be used go, with their origin and reason; always counted, kept only if set. */
  readonly deadLetters: SideOutputDefinition | null
  /** Where events go that came after every window that wanted them was closed; always counted, kept only if set. */
  readonly late: SideOutputDefinition | null
  /** Set for a job in TypeScript: then it has no metrics, and `event` is what its module makes of it. */
  readonly program?: ProgramDefinition
}

/** A job in TypeScript: the module, and what it said of itself when the job was submitted. */
export interface ProgramDefinition {
  /** Name of the module in the server's folder of jobs. */
  readonly module: string
  readonly description: string
  readonly operators: readonly OperatorDefinition[]
  /** Subjects of the schema registry that its events are of; absent where it knows its messages itself. */
  readonly subjects?: readonly string[]
}

/** An operator of a job in TypeScript. */
export interface OperatorDefinition {
  readonly id: string
  readonly kind: string
  /** Where its records come from, by place in the list, and how they are distributed. */
  readonly inputs: readonly {
    readonly from: readonly { readonly node: number; readonly side: string }[]
    readonly route: 'forward' | 'hash' | 'broadcast'
  }[]
  /** Names and kinds of its parts of state. */
  readonly slots: readonly string[]
  /** For people. */
  readonly detail: string
}

/** Where events come from. */
export interface SourceDefinition {
  /** Operator id of the source: state is matched by it, so it stays when other things change. */
  readonly id: string
  readonly input: SourceInput
  readonly start: StartPosition
  /** Stop at the end that the topic has when the job first starts, then finish. */
  readonly bounded: boolean
}

/** The kinds of source. */
export type SourceInput =
  | SingleInput
  /** Several sources of a job in TypeScript, read as one (source/several-sources.ts). */
  | { readonly kind: 'several'; readonly parts: readonly SourcePart[] }

/** One of several sources. */
export interface SourcePart {
  readonly id: string
  readonly input: SingleInput
  readonly start: StartPosition
}

/** A topic, or what stands for one. */
export type SingleInput =
  | {
      readonly kind: 'kafka'
      readonly topic: string
      /** `host:port,host:port`; empty means the server's own setting. */
      readonly brokers: string
      readonly isolation: 'read_committed' | 'read_uncommitted'
      /** Group name under which positions are published for lag tools; empty for none. */
      readonly groupId: string
      /** Go on, and count, when retention has taken records away, instead of stopping with POSITION_LOST. */
      readonly skipLost: boolean
      /** Verify the CRC-32C of each record batch. */
      readonly checkCrcs: boolean
      /** How often new partitions are looked for; 0 for never. */
      readonly discoveryMs: number
    }
  | { readonly kind: 'log'; readonly path: string; readonly topic: string }
  | {
      readonly kind: 'generator'
      readonly seed: number
      /** Events a second of wall clock over all partitions; 0 means as fast as they are taken. */
      readonly eventsPerSecond: number
      readonly partitions: number
      readonly persons: number
      /** Events in all; 0 means without end. */
      readonly maxEvents: number
      readonly outOfOrdernessMs: number
      /** Event time of the first event, epoch ms. */
      readonly startMs: number
    }

/** How far event time is behind what has been seen. */
export interface WatermarkDefinition {
  readonly outOfOrdernessMs: number
  /** A partition without new records for this long stops holding others back; 0 for never. */
  readonly idlenessMs: number
  /** Partitions ahead of the slowest by more than this wait; 0 for no alignment. */
  readonly maxDriftMs: number
}

/** When state is made durable. */
export interface CheckpointDefinition {
  /** 0 switches periodic checkpoints off: with exactly-once outputs, for input that ends only. */
  readonly everyMs: number
  readonly retain: number
  readonly timeoutMs: number
  readonly tolerableFailures: number
}

/** Records that fail the job's code. */
export interface PoisonDefinition {
  /** A record on which the job has failed this often becomes a dead letter. */
  readonly afterFailures: number
}

/** One metric. */
export interface MetricDefinition {
  /** Lower-case snake_case name, unique in the job; queries ask for `job/metric`. */
  readonly id: string
  readonly description: string
  readonly kind: MetricKind
  /** Whose definitions filled in what the author left out, where some did. What it is they are is filled in below. */
  readonly preset?: PresetName
  /** CEL over the event's fields; null takes every event. */
  readonly where: string | null
  /** Paths of the dimensions, in the order in which values carry them. */
  readonly by: readonly string[]
  /** Most groups of a window in an answer, the rest of which is one value; absent for any number. */
  readonly maxGroups?: number
  readonly window: WindowDefinition
  readonly trigger: TriggerDefinition | null
  /** Provisional results of changed groups go to the sinks this often, in wall-clock time; 0 for never. */
  readonly earlyMs: number
  readonly allowedLatenessMs: number
  /** How long closed windows stay queryable, in event time behind the watermark. */
  readonly retainMs: number
}

/** Counts of different values that are exact up to a number of them, and an estimate beyond. */
export interface OfDistinct {
  /** Most values of a group and window that are counted exactly. Absent: all of activeUsers, none of approxDistinct. */
  readonly exactUpTo?: number
}

/** The kinds of metric, each with what it reads. `field` is a path; with `money` its amounts are converted first. */
export type MetricKind =
  | { readonly kind: 'count' }
  | ({ readonly kind: 'sum' | 'min' | 'max' | 'avg'; readonly field: string } & OfMoney)
  /** Exact count of different values of a field. */
  | { readonly kind: 'distinct'; readonly field: string }
  /** Count of different keys (persons): distinct of the event's key. `error` is that of what is beyond `exactUpTo`. */
  | ({ readonly kind: 'activeUsers'; readonly error?: number } & OfDistinct)
  /** Estimate of the different values of a field, '' for keys (persons), with this standard error. */
  | ({ readonly kind: 'approxDistinct'; readonly field: string; readonly error: number } & OfDistinct)
  /** The value at quantile `q`, within this relative error. */
  | ({ readonly kind: 'quantile'; readonly field: string; readonly q: number; readonly error: number } & OfMoney)
  /** The `k` most frequent texts of a field. */
  | { readonly kind: 'topK'; readonly field: string; readonly k: number }
  /** The value of the first and of the last event in event time. */
  | { readonly kind: 'first'; readonly field: string }
  | { readonly kind: 'last'; readonly field: string }
  | { readonly kind: 'variance'; readonly field: string; readonly sample: boolean }
  | { readonly kind: 'stddev'; readonly field: string; readonly sample: boolean }
  /** Values between bounds, ascending: bucket k holds bounds[k - 1] <= value < bounds[k]. */
  | { readonly kind: 'histogram'; readonly field: string; readonly bounds: readonly number[] }
  | PersonKind
  | RatioKind

/** What windows count time by: the events' own, or the clock of the machine when they are taken in. */
export type TimeDomain = 'event' | 'processing'

/** Windows that follow a calendar. */
export interface CalendarWindows {
  /** Shift of every boundary, shorter than the window (sliding: than the slide). */
  readonly offsetMs: number
  /**
   * IANA zone whose midnights the windows follow; `UTC` by default. In a zone, whole days are calendar days (23 to 25
   * hours), and shorter windows restart at each local midnight.
   */
  readonly timezone: string
  readonly time: TimeDomain
}

/** Windows of one length, side by side. */
export interface TumblingWindow extends CalendarWindows {
  readonly kind: 'tumbling'
  readonly sizeMs: number
  /** Calendar months, whatever their length; `sizeMs` is that of the longest. */
  readonly unit?: 'month'
}

/** Windows of one length that start every `slideMs`: an event is in several. Flink's sliding or hopping windows. */
export interface SlidingWindow extends CalendarWindows {
  readonly kind: 'sliding'
  readonly sizeMs: number
  readonly slideMs: number
}

/** Windows with one start that grow by a step up to `sizeMs`, then start anew: a day so far, hour by hour. Flink's CUMULATE. */
export interface CumulateWindow extends CalendarWindows {
  readonly kind: 'cumulate'
  readonly sizeMs: number
  readonly stepMs: number
}

/** A group's events that follow each other within a gap. */
export interface SessionWindow {
  readonly kind: 'session'
  /** An event opens [t, t + gapMs); what touches merges. */
  readonly gapMs: number
  /** Only how times are shown. */
  readonly timezone: string
  readonly time: TimeDomain
}

/** One window without end. */
export interface GlobalWindow {
  readonly kind: 'global'
  /** Only how times are shown. */
  readonly timezone: string
  readonly time: TimeDomain
}

/** The windows of a metric. */
export type WindowDefinition = TumblingWindow | SlidingWindow | CumulateWindow | SessionWindow | GlobalWindow

/** Results before, or instead of, the end of a window. */
export interface TriggerDefinition {
  /** Fires a group whenever this many events more have reached it in the window; 0 for never. */
  readonly count: number
  /** Forget what was counted with each firing. */
  readonly purge: boolean
}

/** Where results go. */
export interface SinkDefinition {
  readonly id: string
  readonly output: SinkOutput
  /** Form of results in records; absent: `protobuf`. */
  readonly format?: ResultFormat
  /** What a value is that takes the place of another; absent: `upsert`. */
  readonly corrections?: Corrections
  /** Absent: `at-least-once`, also in what was stored before there was a choice. */
  readonly delivery?: Delivery
}

/** The kinds of output. */
export type SinkOutput =
  | { readonly kind: 'kafka'; readonly topic: string; readonly brokers: string }
  | { readonly kind: 'log'; readonly path: string; readonly topic: string }
  /** Rows as hashes; records in the stream of a name, if there is one. Which server it is, the operator says. */
  | { readonly kind: 'redis'; readonly prefix: string; readonly stream: string; readonly ttlMs: number }
  /** Rows of a table: `name` or `schema.name`. Which server it is, the operator says. */
  | { readonly kind: 'postgres'; readonly table: string }
  | {
      readonly kind: 'http'
      /** Its host is one that the operator allows. */
      readonly url: string
      /** A JSON array a request, or a document a line. */
      readonly encoding: 'json' | 'ndjson'
      readonly timeoutMs: number
      /** How long a request is repeated before the sink has failed. */
      readonly retryMs: number
    }
  /** Counts rows and sums an order-free checksum: for benches. */
  | { readonly kind: 'discard' }

/** `protobuf`: `millrace.v1.MetricValue`; `json`: its ProtoJSON. */
export type ResultFormat = 'protobuf' | 'json'

/** `upsert`: the new value alone, under the same key; `retract`: before it the old one, as a retraction. */
export type Corrections = 'upsert' | 'retract'

/** Topics. */
export type TopicOutput = Extract<SinkOutput, { kind: 'kafka' | 'log' }>

/** Outputs that take records. */
export type RecordOutput = Exclude<SinkOutput, { kind: 'discard' }>

/** Where dead letters or late events go. */
export interface SideOutputDefinition {
  readonly output: RecordOutput
  /** As a sink's. */
  readonly delivery?: Delivery
}

/**
 * `exactly-once`: records are part of the checkpoint, and applied when it exists. `at-least-once`: they are written at
 * once, and perhaps again after a failure.
 */
export type Delivery = 'exactly-once' | 'at-least-once'
