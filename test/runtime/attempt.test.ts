import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { MemoryChunkStore, MemoryStoreData } from '../../src/checkpoint/memory-store.ts'
import { noPages, type SubtaskSnapshot } from '../../src/checkpoint/snapshot.ts'
import { SeededRandom } from '../../src/core/clock.ts'
import { loadDescriptors } from '../../src/event/descriptor.ts'
import { WatermarkValve } from '../../src/exchange/valve.ts'
import { parseJob } from '../../src/job/parse.ts'
import { planJob } from '../../src/job/planner.ts'
import { encodeMeta, undescribedTables } from '../../src/operator/table-snapshot.ts'
import { Attempt } from '../../src/runtime/attempt.ts'
import type { WorkerPorts } from '../../src/runtime/ports.ts'
import { MemorySourceReader } from '../../src/source/memory-source.ts'
import { MemoryTopic } from '../../src/source/memory-topic.ts'
import { ManualClock, ManualScheduler } from '../../src/testing/manual-clock.ts'

const descriptors = loadDescriptors(readFileSync(new URL('../../src/gen/descriptors.binpb', import.meta.url)))

const { definition } = parseJob(
  `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: shop }
sources: [{ id: events, log: { path: none, topic: events } }]
metrics: [{ id: views, count: {}, window: { tumbling: 1m }, by: [platform] }]
`,
  descriptors,
)

const plan = planJob(definition, { threads: 2, descriptors })

/** The watermarks of the window subtasks of an attempt that begins from window snapshots with these watermarks. */
async function restoredWatermarks(watermarks: readonly number[], parallelism: number): Promise<number[]> {
  const clock = new ManualClock()
  const scheduler = new ManualScheduler(clock)
  const random = new SeededRandom(1)
  const topic = new MemoryTopic('events', 2, random)
  const data = new MemoryStoreData()
  const ports: WorkerPorts = {
    clock,
    scheduler,
    random,
    openReader: () => new MemorySourceReader(topic, clock, scheduler),
    openWriter: () => {
      throw new Error('the job has no outputs')
    },
    openChunkStore: () => new MemoryChunkStore(data),
  }
  const restore = watermarks.map(
    (watermarkMs, subtask): SubtaskSnapshot => ({
      operatorId: 'window',
      subtask,
      parallelism: watermarks.length,
      watermarkMs,
      meta: encodeMeta([], undescribedTables),
      counters: {},
      splits: [],
      pages: noPages,
      outbox: [],
      written: [],
    }),
  )
  const attempt = new Attempt(
    {
      type: 'deploy',
      job: 1,
      attempt: 2,
      plan,
      placement: new Array(parallelism).fill(0),
      splits: [],
      restore,
      chunkStore: { kind: 'memory', name: 'test' },
      poison: [],
      tables: [],
      chunkPrefix: 'shop/1-2-n',
    },
    {
      ports,
      thread: 0,
      send: () => {},
      contextOf: () => ({
        clock,
        wake: () => {},
        wakeAfter: () => () => {},
        ack: () => {},
        decline: () => {},
        fail: () => {},
      }),
      sourceFinished: () => {},
      schemaWanted: () => {},
      sourceWatermark: () => {},
      epochFull: () => {},
    },
  )
  await attempt.open()
  const windows = attempt.subtasks.filter((subtask) => subtask.operator === 'window')
  await attempt.close()
  return windows.map((subtask) => subtask.stats().watermarkMs)
}

it('restores each subtask its own watermark: with idleness, those behind one exchange can differ', async () => {
  // The same marks from the same two senders, taken in another order: one ends ahead of the other.
  const ahead = new WatermarkValve(2)
  ahead.onWatermark(0, 3)
  ahead.onIdle(0)
  ahead.onWatermark(1, 10)
  ahead.onWatermark(0, 5)
  const behind = new WatermarkValve(2)
  behind.onWatermark(0, 3)
  behind.onIdle(0)
  behind.onWatermark(0, 5)
  behind.onWatermark(1, 10)
  expect([ahead.watermarkMs, behind.watermarkMs]).toEqual([10, 5])
  // To go back to 5 would open windows again that the first had closed.
  expect(await restoredWatermarks([10, 5], 2)).toEqual([10, 5])
})

it('restores the largest watermark at another parallelism: no closed window opens again', async () => {
  expect(await restoredWatermarks([10, 5], 3)).toEqual([10, 10, 10])
})
