/**
 * What a job definition means where it says nothing. One table, by the habits of Flink and Kubernetes.
 *
 * These are part of the meaning of stored definitions: a parsed definition carries them filled in, so a change here
 * concerns only jobs that are submitted later.
 */

const SECOND = 1000
const MINUTE = 60 * SECOND
const DAY = 24 * 60 * MINUTE

/** Defaults by section of a job definition; durations in ms, sizes in bytes. */
export const jobDefaults = {
  source: {
    id: 'events',
    /** As Flink's setStartingOffsets: everything that is still there. */
    start: { kind: 'earliest' },
    bounded: false,
    isolation: 'read_committed',
    skipLost: false,
    checkCrcs: true,
    discoveryMs: 30 * SECOND,
  },
  generator: {
    seed: 1,
    eventsPerSecond: 1000,
    partitions: 4,
    persons: 10_000,
    maxEvents: 0,
    outOfOrdernessMs: 2 * SECOND,
    /** 2024-01-01T00:00:00Z: a fixed day, so that two runs of one seed agree. */
    startMs: 1_704_067_200_000,
  },
  event: { message: 'millrace.v1.Event', time: 'occurred_at', timeUnit: 'ms', key: 'person', maxFutureMs: 5 * MINUTE },
  watermark: { outOfOrdernessMs: 5 * SECOND, idlenessMs: 30 * SECOND, maxDriftMs: 0 },
  /** Flink's: ten minutes for a checkpoint, no failure tolerated. Every second is what makes exactly-once output live. */
  checkpoint: { everyMs: SECOND, retain: 3, timeoutMs: 10 * MINUTE, tolerableFailures: 0 },
  /** Flink's of each strategy: exponential delay of 1 s, x 1.5, at most 1 min, 10 % jitter, reset after 1 h of health. */
  restart: {
    exponentialDelay: {
      initialMs: SECOND,
      multiplier: 1.5,
      maxMs: MINUTE,
      jitter: 0.1,
      resetAfterMs: 60 * MINUTE,
      attempts: 0,
    },
    fixedDelay: { attempts: 1, delayMs: SECOND },
    failureRate: { failures: 1, intervalMs: MINUTE, delayMs: SECOND },
  },
  parallelism: 0,
  keyGroups: 128,
  preAggregation: true,
  stateLimitBytes: 1024 ** 3,
  metric: { allowedLatenessMs: 0, retainMs: 90 * DAY, timezone: 'UTC', distinctError: 0.02, quantileError: 0.01 },
  /** PostHog's and Amplitude's habit: two weeks to convert. */
  funnel: {
    withinMs: 14 * DAY,
    bucketsMs: [MINUTE, 5 * MINUTE, 15 * MINUTE, 60 * MINUTE, 6 * 60 * MINUTE, DAY, 3 * DAY, 7 * DAY],
  },
  lifecycle: { lookbackMs: 90 * DAY },
  retention: { periods: 12, lookbackMs: 90 * DAY },
  /** Half an hour, as nearly everybody has it, and PostHog's day at most. */
  sessions: {
    gapMs: 30 * MINUTE,
    maxDurationMs: DAY,
    cutAtMidnight: false,
    engagedAfterMs: 10 * SECOND,
    bounce: 'ga4',
    bucketsMs: [10 * SECOND, 30 * SECOND, MINUTE, 3 * MINUTE, 10 * MINUTE, 30 * MINUTE, 60 * MINUTE],
  },
  /** PostHog's: half an hour and five steps. */
  paths: { gapMs: 30 * MINUTE, maxDurationMs: DAY, steps: 5, collapse: true },
  /** See docs/specs/detectors.md. */
  detector: {
    halfLife: 24,
    warmUp: 24,
    memory: 8,
    slotWarmUp: 3,
    slotMs: 60 * MINUTE,
    smoothing: { level: 0.05, trend: 0, season: 0.2 },
    drift: 0.5,
    openAfter: 1,
    closeAfter: 2,
    falseAlarms: { most: 1, perMs: 30 * DAY },
    groupsMax: 100,
  },
  lifetimeValue: { ages: 12, lookbackMs: 90 * DAY },
  sink: { format: 'protobuf', corrections: 'upsert' },
  redis: { prefix: 'results', ttlMs: 0 },
  http: { encoding: 'json', timeoutMs: 30 * SECOND, retryMs: MINUTE },
  sample: { format: 'csv', timezone: 'UTC' },
} as const
