/**
 * The data plane alone: scan, exchange, windows and merge over an in-memory topic, in one thread, without checkpoints.
 *
 * `node bench/micro/pipeline.ts [JOB] [events] [parallelism] [METRICS]` prints ns per event of a job of the bench (millrace-jobs.ts), of
 * only those of its metrics that are named, with commas between. For work on the hot path: change, run, compare; it says
 * nothing about brokers.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { MemoryCheckpointStore, MemoryStoreData } from '../../src/checkpoint/memory-store.ts'
import { SeededRandom } from '../../src/core/clock.ts'
import { systemClock, systemRandom, systemScheduler } from '../../src/core/system.ts'
import { loadDescriptors } from '../../src/event/descriptor.ts'
import { planJob } from '../../src/job/planner.ts'
import type { FromWorker } from '../../src/runtime/messages.ts'
import { WorkerLoop } from '../../src/runtime/worker-loop.ts'
import { MemorySourceReader } from '../../src/source/memory-source.ts'
import { MemoryTopic } from '../../src/source/memory-topic.ts'
import { benchStream, drawEvent, encodeEvent, MAX_EVENT_BYTES, newEventDraw } from '../events.ts'
import { benchJob, benchJobId } from '../millrace-jobs.ts'

const [kind = 'tumbling', eventsText = '1000000', parallelismText = '1', only] = process.argv.slice(2)
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

const descriptors = loadDescriptors(readFileSync(join(import.meta.dirname, '../../src/gen/descriptors.binpb')))
const preAggregation = process.env.PRE_AGGREGATION !== 'off'
const options = { brokers: 'none:1', topic: 'events', parallelism, checkpointMs: 0, preAggregation }
const whole = await benchJob(benchJobId(kind), options, descriptors)
const named = only?.split(',')
const metrics = whole.metrics.filter(({ id }) => named === undefined || named.includes(id))
const plan = planJob({ ...whole, metrics }, { threads: parallelism, descriptors })

const store = new MemoryCheckpointStore(new MemoryStoreData(), systemClock, systemRandom)
const started = Promise.withResolvers<void>()
const finished = Promise.withResolvers<void>()
let stats: FromWorker & { type: 'stats' }
let stateBytes = 0
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
    if (message.type === 'stats') {
      stats = message
      stateBytes = Math.max(
        stateBytes,
        message.subtasks.reduce((sum, s) => sum + s.stateBytes, 0),
      )
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
  `${kind} metrics=${metrics.length} events=${events} parallelism=${parallelism} cpu_ns_per_event=${cpuNs.toFixed(0)} ` +
    `events_per_s=${((events / elapsedMs) * 1000).toFixed(0)} state_bytes=${stateBytes}`,
)
for (const s of stats!.subtasks)
  console.log(
    `  ${s.operator} ${s.subtask} in=${s.recordsIn} out=${s.recordsOut} applied=${s.applied} late=${s.late} ` +
      `results=${s.results} checksum=${s.checksum} busy_ms=${s.busyMs.toFixed(0)} state=${s.stateBytes}`,
  )
await loop.close()
