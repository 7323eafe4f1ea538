/**
 * What deduplication costs: bytes an id, ns an event by itself, and what the data plane pays for it.
 *
 * `node bench/micro/dedupe.ts [ids] [events]` prints a line each. One thread, in memory; the figures of the data plane are
 * two jobs in turn, with and without `dedupe`, so their ratio is what counts.
 */
import { MemoryCheckpointStore, MemoryStoreData } from '../../src/checkpoint/memory-store.ts'
import { nextBelow, SeededRandom } from '../../src/core/clock.ts'
import { hashBytes } from '../../src/core/hash.ts'
import { systemClock, systemRandom, systemScheduler } from '../../src/core/system.ts'
import { Event } from '../../src/gen/millrace/v1/event.ts'
import { parseJob } from '../../src/job/parse.ts'
import type { JobPlan } from '../../src/job/plan.ts'
import { planJob } from '../../src/job/planner.ts'
import type { FromWorker } from '../../src/runtime/messages.ts'
import { WorkerLoop } from '../../src/runtime/worker-loop.ts'
import { MemorySourceReader } from '../../src/source/memory-source.ts'
import { MemoryTopic } from '../../src/source/memory-topic.ts'
import { ID_PLUS } from '../../src/state/id-slices.ts'
import { IdTable } from '../../src/state/id-table.ts'
import { builtInDescriptors } from '../../test/support/descriptors.ts'

const [idsText = '4000000', eventsText = '600000'] = process.argv.slice(2)
const PARTITIONS = 4
const DAY_MS = 86_400_000
const ROUNDS = 3

/** A UUID of version 4, by number. */
function uuidOf(i: number, random: SeededRandom): string {
  const part = () =>
    nextBelow(random, 2 ** 32)
      .toString(16)
      .padStart(8, '0')
  const hex = `${part()}${part()}${part()}${i.toString(16).padStart(8, '0')}`
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

function table(kind: 'uuid' | 'text', ids: number): void {
  const random = new SeededRandom(5)
  const BLOCK = 2000
  const encoder = new TextEncoder()
  const bytes = new Uint8Array(BLOCK * 64)
  const place = new Uint32Array(BLOCK * 4)
  const known = new IdTable(DAY_MS)
  let freshMs = 0
  let copyMs = 0
  const run = (from: number): number => {
    const begin = performance.now()
    for (let k = 0; k < BLOCK; k++) {
      const at = k * 4
      const row = known.look(place[at]!, bytes, place[at + 1]!, 9, place[at + 2]!, place[at + 3]!)
      if (row < 0) known.insert(((from + k) / ids) * DAY_MS, ID_PLUS)
    }
    return performance.now() - begin
  }
  for (let from = 0; from < ids; from += BLOCK) {
    for (let k = 0, at = 0; k < BLOCK; k++) {
      const key = `user-${String((from + k) % 10_000).padStart(4, '0')}`
      const id = kind === 'uuid' ? uuidOf(from + k, random) : `order-${String(from + k).padStart(12, '0')}`
      encoder.encodeInto(key, bytes.subarray(at))
      const length = encoder.encodeInto(id, bytes.subarray(at + 9)).written
      place.set([hashBytes(bytes, at, at + 9), at, at + 9, length], k * 4)
      at += 9 + length
    }
    freshMs += run(from)
    copyMs += run(from)
  }
  const perId = known.byteLength / known.count
  console.log(
    `dedupe_ids kind=${kind} ids=${known.count} bytes_an_id=${perId.toFixed(1)} fresh_ns=${((freshMs * 1e6) / ids).toFixed(0)} ` +
      `copy_ns=${((copyMs * 1e6) / ids).toFixed(0)} gib_carries_a_day=${(2 ** 30 / perId / 86_400).toFixed(0)}/s`,
  )
}

function topicOf(events: number): MemoryTopic {
  const random = new SeededRandom(1)
  const topic = new MemoryTopic('events', PARTITIONS, random)
  const batches: { key: null; value: Uint8Array; timestampMs: number }[][] = Array.from(
    { length: PARTITIONS },
    () => [],
  )
  const startMs = 1_700_000_000_000
  for (let k = 0; k < events; k++) {
    const timeMs = startMs + Math.floor(k / 10)
    const value = Event.encode(
      Event.fromPartial({
        ...{ eventId: uuidOf(k, random), person: `user-${(k * 7919) % 50_000}`, name: 'page_view', platform: 'web' },
        ...{ screen: `/product/${k % 50}`, occurredAt: new Date(timeMs), revenueMinor: k % 900 },
      }),
    ).finish()
    const batch = batches[k % PARTITIONS]!
    batch.push({ key: null, value, timestampMs: timeMs })
    if (batch.length === 500) topic.append(k % PARTITIONS, batch.splice(0))
  }
  for (const [i, batch] of batches.entries()) if (batch.length > 0) topic.append(i, batch)
  return topic
}

function planOf(dedupe: string): JobPlan {
  const descriptors = builtInDescriptors()
  const text = `apiVersion: millrace.dev/v1
kind: Job
metadata: { name: bench }
sources: [{ id: events, log: { path: none, topic: events, bounded: true } }]
preAggregation: false
stateLimit: 8Gi
${dedupe}
metrics:
  - { id: views, count: {}, window: { tumbling: 1m }, by: [person] }
  - { id: revenue, sum: { field: revenue_minor }, window: { tumbling: 1m }, by: [person] }
sinks: [{ id: out, discard: {} }]
`
  return planJob(parseJob(text, descriptors).definition, { threads: 1, descriptors })
}

/** CPU time an event, in ns. */
async function dataPlane(plan: JobPlan, topic: MemoryTopic, events: number): Promise<number> {
  const store = new MemoryCheckpointStore(new MemoryStoreData(), systemClock, systemRandom)
  const started = Promise.withResolvers<void>()
  const finished = Promise.withResolvers<void>()
  const onMessage = (message: FromWorker): void => {
    if (message.type === 'deployed') started.resolve()
    if (message.type === 'failed') finished.reject(new Error(JSON.stringify(message)))
    if (message.type === 'stats' && message.subtasks.every((subtask) => subtask.finished)) finished.resolve()
  }
  const ports = {
    ...{ clock: systemClock, scheduler: systemScheduler, random: systemRandom },
    openReader: () => new MemorySourceReader(topic, systemClock, systemScheduler),
    openWriter: () => {
      throw new Error('none')
    },
    openChunkStore: () => store,
  }
  const loop = new WorkerLoop(0, ports, onMessage, () => {})
  const ref = { job: 1, attempt: 1 }
  const splits = topic.partitions.map((p, partition) => ({
    ...{ partition, offset: 0, stopOffset: p.end, topicId: topic.topicId },
    maxTimestampMs: Number.NEGATIVE_INFINITY,
  }))
  loop.onMessage({
    ...{ type: 'deploy', ...ref, plan, placement: [0], splits: [splits], restore: null, tables: [], poison: [] },
    ...{ chunkStore: { kind: 'memory', name: 'x' }, chunkPrefix: 'bench/1-1-x' },
  })
  await started.promise
  const begin = process.cpuUsage()
  loop.onMessage({ type: 'run', ...ref })
  const poll = setInterval(() => loop.onMessage({ type: 'stats', request: 0 }), 20)
  await finished.promise
  clearInterval(poll)
  const { user, system } = process.cpuUsage(begin)
  await loop.close()
  return ((user + system) * 1000) / events
}

for (const kind of ['uuid', 'text'] as const) for (const share of [4, 2, 1]) table(kind, Number(idsText) / share)
const events = Number(eventsText)
const topic = topicOf(events)
const plans = [planOf(''), planOf('dedupe: { by: event_id, within: 24h }')] as const
const best = [Infinity, Infinity]
for (let round = 0; round < ROUNDS; round++) {
  for (const [i, plan] of plans.entries()) best[i] = Math.min(best[i]!, await dataPlane(plan, topic, events))
}
const [without, having] = best as [number, number]
console.log(
  `dedupe_data_plane events=${events} without_ns=${without.toFixed(0)} with_ns=${having.toFixed(0)} ratio=${(having / without).toFixed(2)}`,
)
