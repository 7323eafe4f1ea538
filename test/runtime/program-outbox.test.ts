/** What stages of a job in TypeScript have said to sinks is not said again, however long the job runs. */
import { expect, it, vi } from 'vitest'
import { defineJob, Event } from '../../src/api.ts'
import { SeededRandom } from '../../src/core/clock.ts'
import { describeProgram } from '../../src/program/graph.ts'
import { programDefinition } from '../../src/program/job-definition.ts'
import { SubtaskOutbox } from '../../src/runtime/subtask-outbox.ts'
import { MemoryTopic } from '../../src/source/memory-topic.ts'
import { Simulation } from '../../src/testing/simulation.ts'
import { descriptors } from '../testing/outbox-shop.ts'

// Nothing is keyed: the stage of the source has the sink.
const job = defineJob({
  name: 'shop',
  source: { input: { log: { path: 'none', topic: 'events' } }, event: Event, time: (event) => event.occurredAt },
  checkpoint: { every: '50ms' },
  parallelism: 2,
  build: (stream) => stream.sinkTo({ id: 'out', to: { log: { path: 'none', topic: 'out' } } }),
})

it('a snapshot has what was said since the last checkpoint that the stage knows of', async () => {
  const epochs: (readonly [checkpointId: number, oldest: number])[] = []
  const snapshot = SubtaskOutbox.prototype.snapshot
  const spy = vi.spyOn(SubtaskOutbox.prototype, 'snapshot').mockImplementation(async function (
    this: SubtaskOutbox,
    id,
  ) {
    const said = await snapshot.call(this, id)
    for (const { blocks } of said.outbox) epochs.push([id, Math.min(...blocks.map(({ epoch }) => epoch))])
    return said
  })
  const topic = new MemoryTopic('events', 2, new SeededRandom(1))
  const simulation = new Simulation({ seed: 1, workers: 2, topic, descriptors, loadProgram: async () => job })
  await simulation.submit(programDefinition('job.ts', describeProgram(job)))
  await simulation.runUntilState('shop', 'RUNNING')
  for (let n = 0; n < 50; n++) {
    const value = Event.encode(
      Event.fromPartial({ person: `p${n}`, occurredAt: new Date(1_700_000_000_000 + n) }),
    ).finish()
    topic.append(n % 2, [{ key: null, value, timestampMs: n }])
    await simulation.scheduler.runFor(60)
  }
  await simulation.scheduler.runUntil(() => simulation.sinks.records('shop', 'out').length === 50, 'all results')
  await simulation.close()
  spy.mockRestore()
  expect(epochs.length).toBeGreaterThan(20)
  for (const [id, oldest] of epochs) expect(id - oldest).toBeLessThanOrEqual(1)
})
