/** A worker thread that dies in the middle of the replay: its jobs go on from their checkpoints, with the same numbers. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { WorkerPool } from '../../src/coordinator/worker-pool.ts'
import type { WorkerPort } from '../../src/runtime/messages.ts'
import { ECOM_ROWS } from '../support/ecom.ts'
import { engineForTest, submitJob, untilJob, untilRead } from '../support/engine.ts'
import { engagementDifferences } from '../support/engine-numbers.ts'
import { engagementEvents, engagementJob, fillPartitions, makeEvent } from '../support/events.ts'
import { createLogTopic } from '../support/events-log.ts'
import { expectedNumbers } from '../support/expected-numbers.ts'

const DAY_MS = 86_400_000
const END_MS = Date.UTC(2024, 11, 31)

afterEach(() => vi.restoreAllMocks())

/** The ports of the threads as they join: the handle by which a silent thread is ended, too. */
function watchThreads(): Map<number, WorkerPort> {
  const ports = new Map<number, WorkerPort>()
  const join = WorkerPool.prototype.onJoin
  vi.spyOn(WorkerPool.prototype, 'onJoin').mockImplementation(function (this: WorkerPool, listener) {
    join.call(this, (port) => {
      ports.set(port.thread, port)
      listener(port)
    })
  })
  return ports
}

describe('worker threads that die', () => {
  it('two jobs lose each of their threads in turn, and come to the oracle’s numbers', async () => {
    const threads = watchThreads()
    const engine = await engineForTest({ threads: 2 })
    const { client } = engine
    const expected = await expectedNumbers()
    const partitions = 3
    const log = createLogTopic(engine.logRoot, 'events', partitions)
    const filled = fillPartitions(engagementEvents(), partitions, 'round-robin')
    const names = ['first', 'second']
    for (const [i, name] of names.entries()) {
      const checkpoint = { every: '50ms' }
      const watermark = { outOfOrderness: '5s', idleness: '0s' }
      await submitJob(client, engagementJob({ name, source: log.source(), checkpoint, watermark, parallelism: i + 2 }))
      await untilJob(client, name, ({ state }) => state === 'RUNNING')
    }
    const steps = 6
    for (let step = 0; step < steps; step++) {
      const at = (events: readonly unknown[], share: number) => Math.floor((events.length * share) / steps)
      await log.append(filled.map((events) => events.slice(at(events, step), at(events, step + 1))))
      if (step === 2 || step === 4) {
        await threads.get(step === 2 ? 0 : 1)!.terminate()
        for (const name of names) await untilJob(client, name, ({ restarts }) => restarts >= (step === 2 ? 1 : 2))
      }
      for (const name of names) {
        await untilJob(client, name, ({ state }) => state === 'RUNNING')
        await client.control.triggerCheckpoint(name)
      }
    }
    await log.append(filled.map(() => [makeEvent({ person: 'end', timeMs: END_MS, name: 'end' })]))
    for (const name of names) {
      const { events, restarts } = await untilRead(client, name, ECOM_ROWS + partitions)
      expect(events).toMatchObject({ applied: ECOM_ROWS + partitions, late: 0, deadLettered: 0, filtered: 0 })
      expect(restarts).toBe(2)
      await expect
        .poll(() => engagementDifferences(client, name, expected, END_MS - DAY_MS), { timeout: 10_000 })
        .toEqual([])
      const { exceptions, checkpoints } = await client.control.describe(name)
      expect(exceptions.map(({ code }) => code)).toEqual(['WORKER_LOST', 'WORKER_LOST'])
      expect(exceptions.map(({ message }) => /worker thread (\d)/.exec(message)?.[1])).toEqual(['1', '0'])
      expect(checkpoints?.restored).toBeDefined()
    }
    await log.close()
  })
})
