/**
 * The data plane alone: scan, exchange, windows and merge over an in-memory topic, in one thread, without checkpoints.
 *
 * `node bench/micro/pipeline.ts [tumbling|distinct|screens] [events] [parallelism]` prints ns per event. For work on the hot
 * path: change, run, compare; it says nothing about brokers.
 */
import { MemoryCheckpointStore, MemoryStoreData } from '../../src/checkpoint/memory-store.ts'
import { SeededRandom } from '../../src/core/clock.ts'
import { systemClock, systemRandom, systemScheduler } from '../../src/core/system.ts'
import type { FieldRef } from '../../src/event/schema.ts'
import type { JobPlan } from '../../src/job/plan.ts'
import type { FromWorker } from '../../src/runtime/messages.ts'
import { WorkerLoop } from '../../src/runtime/worker-loop.ts'
import { MemorySourceReader } from '../../src/source/memory-source.ts'
import { MemoryTopic } from '../../src/source/memory-topic.ts'
import { benchStream, drawEvent, encodeEvent, MAX_EVENT_BYTES, newEventDraw } from '../events.ts'

const [kind = 'tumbling', eventsText = '1000000', parallelismText = '1'] = process.argv.slice(2)
const events = Number(eventsText)
const parallelism = Number(parallelismText)
const PARTITIONS = 8

const topic = new MemoryTopic('events', PARTITIONS, new SeededRandom(1))
const draw = newEventDraw()
const scratch = new Uint8Array(MAX_EVENT_BYTES)
const batches: { key: null; value: Uint8Array; timestampMs: number }[][] = Array.from({ length: PARTITIONS }, () => [])
for (let k = 0; k < events; k++) {
  drawEvent(benchStream, k, draw)
  const end = encodeEvent(benchStream, k, draw, scratch, 0)
  const batch = batches[k % PARTITIONS]!
  batch.push({ key: null, value: scratch.slice(0, end), timestampMs: draw.occurredAtMs })
  if (batch.length === 500) topic.append(k % PARTITIONS, batch.splice(0))
}
for (const [i, batch] of batches.entries()) if (batch.length > 0) topic.append(i, batch)

const field = (path: string, number: number, type: FieldRef['type']): FieldRef => ({
  path,
  steps: [{ kind: 'field', number }],
  type,
})
const tumbling = { kind: 'tumbling', sizeMs: 60_000, offsetMs: 0, timezone: 'UTC', time: 'event' } as const
const table =
  kind === 'tumbling'
    ? {
        id: 't',
        dimensions: [-1],
        dimensionNames: ['person'],
        keyed: true,
        window: tumbling,
        trigger: null,
        earlyMs: 0,
        allowedLatenessMs: 0,
        retainMs: 0,
        accumulators: [
          { kind: 'count', predicate: 0, column: -1, floating: false } as const,
          { kind: 'sum', predicate: 0, column: 0, floating: false } as const,
        ],
      }
    : {
        id: 'd',
        dimensions: [0],
        dimensionNames: ['screen'],
        keyed: false,
        window: tumbling,
        trigger: null,
        earlyMs: 0,
        allowedLatenessMs: 0,
        retainMs: 0,
        accumulators: [
          { kind: 'count', predicate: 0, column: -1, floating: false } as const,
          kind === 'screens'
            ? ({ kind: 'sum', predicate: 0, column: 1, floating: false } as const)
            : ({ kind: 'distinct', predicate: 0, column: -1, floating: false } as const),
        ],
      }
const plan: JobPlan = {
  jobName: 'bench',
  definition: {
    name: 'bench',
    source: {
      id: 'events',
      input: { kind: 'log', path: '', topic: 'events' },
      start: { kind: 'earliest' },
      bounded: true,
    },
    event: { message: 'millrace.v1.Event', time: 'occurred_at', timeUnit: 'ms', key: 'person', maxFutureMs: 1e15 },
    watermark: { outOfOrdernessMs: 5000, idlenessMs: 0, maxDriftMs: 0 },
    checkpoint: { everyMs: 0, retain: 1, timeoutMs: 60_000, tolerableFailures: 0 },
    parallelism,
    keyGroups: 128,
    preAggregation: process.env.PRE_AGGREGATION !== 'off',
    stateLimitBytes: 4e9,
    metrics: [],
    sinks: [{ id: 'out', output: { kind: 'discard' } }],
    deadLetters: null,
    late: null,
  },
  definitionHash: '',
  parallelism,
  keyGroups: 128,
  schema: {
    message: 'millrace.v1.Event',
    time: field('occurred_at', 7, 'timestamp'),
    timeUnitMs: 1,
    key: field('person', 2, 'string'),
    columns:
      kind === 'tumbling'
        ? [{ field: field('revenue_minor', 12, 'int64'), encoding: 'number' }]
        : [
            { field: field('screen', 11, 'string'), encoding: 'text' },
            { field: field('revenue_minor', 12, 'int64'), encoding: 'number' },
          ],
  },
  predicates: [{ op: 'true' }],
  tables: [table],
  metrics:
    kind === 'tumbling'
      ? [
          { id: 'c', table: 0, predicate: 0, events: 0, read: { kind: 'value', of: 0 }, integer: true },
          { id: 's', table: 0, predicate: 0, events: 0, read: { kind: 'value', of: 1 }, integer: true },
        ]
      : [{ id: 'd', table: 0, predicate: 0, events: 0, read: { kind: 'value', of: 1 }, integer: true }],
}

const store = new MemoryCheckpointStore(new MemoryStoreData(), systemClock, systemRandom)
const started = Promise.withResolvers<void>()
const finished = Promise.withResolvers<void>()
let stats: FromWorker & { type: 'stats' }
const left = new Set(Array.from({ length: parallelism }, (_, i) => i))
const loop = new WorkerLoop(
  0,
  {
    clock: systemClock,
    scheduler: systemScheduler,
    random: systemRandom,
    openReader: () => new MemorySourceReader(topic, systemClock, systemScheduler),
    openWriter: () => {
      throw new Error('none')
    },
    openChunkStore: () => store,
  },
  (message) => {
    if (message.type === 'deployed') started.resolve()
    if (message.type === 'failed') finished.reject(new Error(JSON.stringify(message)))
    if (message.type === 'sourceFinished') left.delete(message.subtask)
    if (message.type === 'stats') {
      stats = message
      if (message.subtasks.every((s) => s.finished)) finished.resolve()
    }
  },
  () => {},
)
const ref = { job: 1, attempt: 1 }
loop.onMessage({
  type: 'deploy',
  ...ref,
  plan,
  placement: new Array(parallelism).fill(0),
  splits: Array.from({ length: parallelism }, (_, i) =>
    topic.partitions
      .map((p, partition) => ({
        partition,
        offset: 0,
        stopOffset: p.end,
        topicId: topic.topicId,
        maxTimestampMs: Number.NEGATIVE_INFINITY,
      }))
      .filter((split) => split.partition % parallelism === i),
  ),
  restore: null,
  tables: [],
  chunkStore: { kind: 'memory', name: 'x' },
  poison: [],
  chunkPrefix: 'bench/1-1-x',
})
await started.promise
const beginMs = performance.now()
const beginCpu = process.cpuUsage()
loop.onMessage({ type: 'run', ...ref })
const poll = setInterval(() => loop.onMessage({ type: 'stats', request: 0 }), 50)
await finished.promise
clearInterval(poll)
const elapsedMs = performance.now() - beginMs
const cpu = process.cpuUsage(beginCpu)
const cpuNs = ((cpu.user + cpu.system) * 1000) / events
console.log(
  `${kind} events=${events} parallelism=${parallelism} ns_per_event=${((elapsedMs * 1e6) / events).toFixed(0)} cpu_ns_per_event=${cpuNs.toFixed(0)} events_per_s=${((events / elapsedMs) * 1000).toFixed(0)}`,
)
for (const s of stats!.subtasks)
  console.log(
    `  ${s.operator} ${s.subtask} in=${s.recordsIn} out=${s.recordsOut} applied=${s.applied} late=${s.late} results=${s.results} checksum=${s.checksum} busy_ms=${s.busyMs.toFixed(0)} state=${s.stateBytes}`,
  )
await loop.close()
