/**
 * Runs a job of an author under seeded faults: threads and processes that die or freeze, a slow or failing store, sinks
 * that lose answers. What its sinks hold at the end must be what they hold when nothing goes wrong.
 *
 * The whole engine is the real one, as in simulation.ts; the events are all of the input.
 */
import { SeededRandom } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import { loadDescriptors } from '../event/descriptor.ts'
import type { JobDefinition } from '../job/definition.ts'
import { parseJob } from '../job/parse.ts'
import { describeProgram, type JobProgram, sourcesOf } from '../program/graph.ts'
import { programDefinition } from '../program/job-definition.ts'
import { withSchemas } from '../program/message-types.ts'
import { MemoryTopic } from '../source/memory-topic.ts'
import { describeFaultPlan, drawFaultPlan, type FaultPlan } from './fault-plan.ts'
import { runUnderFaults } from './fault-run.ts'
import type { AppliedRecord } from './memory-outbox-sink.ts'
import { feedSlowly } from './slow-feed.ts'

/** How a job is run. */
export interface JobRunOptions<T> {
  /** Draws the faults and the order of everything: the same seed is the same run. */
  readonly seed: number
  /** All input, in order: events as the job reads them, or their bytes. */
  readonly events: readonly (T | Uint8Array)[]
  /** Faults by hand in place of drawn ones; `[]` for a run in which nothing goes wrong. */
  readonly plan?: FaultPlan
  /** Partitions of the input, which take turns; 2 unless given. */
  readonly partitions?: number
  /** Worker threads; 2 unless given. */
  readonly workers?: number
  /** A serialized FileDescriptorSet: of a job in YAML, and of events that are a registry's. */
  readonly descriptorSet?: Uint8Array
  /** Wall clock at the start, epoch ms. Events may not be later than it plus `maxFuture`. */
  readonly startMs?: number
}

/** What a run came to. */
export interface JobRunResult {
  readonly seed: number
  /** The faults in one line: say it when a test fails. */
  readonly plan: string
  /** What was logged, by virtual time. */
  readonly trace: readonly string[]
  /** What sink `id` holds, in order. Dead letters and late events are `deadLetters` and `lateEvents`. */
  records(id: string): readonly AppliedRecord[]
  /** Its values, of a sink that writes JSON. */
  values<V = unknown>(id: string): V[]
}

/** Time in which faults begin, and in which the input comes, about; ms. */
const SPAN_MS = 2000
const BATCHES = 10

/**
 * Runs `job` (a module's, or the text of a definition) over all events, to its end. Rejects JOB_INVALID and USAGE for
 * what cannot be run; INTERNAL, with the seed, for a job that does not come to an end or that fails for good.
 */
export async function runWithFaults<T = unknown>(
  job: JobProgram | string,
  options: JobRunOptions<T>,
): Promise<JobRunResult> {
  const { seed, descriptorSet, workers = 2 } = options
  const plan = options.plan ?? drawFaultPlan(seed, { untilMs: SPAN_MS, workers, losses: false })
  const descriptors = loadDescriptors(descriptorSet ?? new Uint8Array())
  const program = typeof job === 'string' ? null : toMemory(withSchemas(job, descriptorSet ?? null))
  const definition = boundedDefinition(program ?? parseJob(job as string, descriptors).definition)
  const topic = topicOf(program, options)
  const words = describeFaultPlan(plan)
  const run = await runUnderFaults({
    ...{ seed, topic, descriptors, definition, plan, workers },
    onFirstRun: feedSlowly(topic, seed, (2 * SPAN_MS) / BATCHES),
    ...(options.startMs === undefined ? {} : { startMs: options.startMs }),
    ...(program === null ? {} : { loadProgram: async () => program }),
  })
  await run.close()
  if (run.outcome !== 'finished' || run.checks.broken.length > 0) {
    const why = run.error?.message ?? run.checks.broken.join('; ')
    throw new MillraceError('INTERNAL', `seed ${seed} (${words}): job ${definition.name} did not finish: ${why}`)
  }
  const records = (id: string): readonly AppliedRecord[] => run.sinks.records(definition.name, id)
  return {
    ...{ seed, plan: words, trace: run.trace, records },
    values: <V>(id: string) => records(id).map(({ value }) => JSON.parse(new TextDecoder().decode(value)) as V),
  }
}

/** The same job, with sinks that go by the outbox, into memory: also what is discarded. */
function toMemory(job: JobProgram): JobProgram {
  const nodes = job.nodes.map((node) =>
    node.kind === 'sink' ? { ...node, output: { kind: 'log', path: 'memory', topic: node.id } as const } : node,
  )
  return { ...job, nodes }
}

/** All input is there when the job begins; checkpoints come often enough to matter. */
function boundedDefinition(job: JobProgram | JobDefinition): JobDefinition {
  const definition = 'nodes' in job ? programDefinition('job.ts', describeProgram(job)) : job
  const delivery = 'exactly-once' as const
  return {
    ...definition,
    source: { ...definition.source, bounded: true },
    checkpoint: { ...definition.checkpoint, everyMs: 100 },
    sinks: definition.sinks.map((sink) => ({ ...sink, delivery })),
  }
}

function topicOf<T>(program: JobProgram | null, options: JobRunOptions<T>): MemoryTopic {
  const { seed, events, partitions = 2, startMs = 1_700_000_000_000 } = options
  const topic = new MemoryTopic('events', partitions, new SeededRandom(seed))
  const encode = encoderOf(program)
  const size = Math.max(1, Math.ceil(events.length / partitions / BATCHES))
  for (let partition = 0; partition < partitions; partition++) {
    const own = events.filter((_, i) => i % partitions === partition)
    for (let at = 0; at < own.length; at += size) {
      const batch = own.slice(at, at + size)
      const records = batch.map((event) => ({
        ...{ key: null, timestampMs: startMs },
        value: event instanceof Uint8Array ? event : encode(event),
      }))
      topic.append(partition, records)
    }
  }
  return topic
}

function encoderOf(program: JobProgram | null): (event: unknown) => Uint8Array {
  if (program === null) {
    return () => {
      throw new MillraceError('USAGE', 'events of a job in YAML are given as bytes')
    }
  }
  const sources = sourcesOf(program)
  if (sources.length > 1) throw new MillraceError('USAGE', 'a job with several sources cannot be run under faults yet')
  const { type } = sources[0]!
  return (event) => {
    if (type.encode === undefined) throw new MillraceError('USAGE', 'the event type has no encode: give bytes instead')
    return type.encode(event).finish()
  }
}
