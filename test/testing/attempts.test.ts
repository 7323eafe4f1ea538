/** Numbers of attempts: they rise over all processes, so that (attempt, revision) puts what was written at once in order. */
import { expect, it } from 'vitest'
import { MemoryStoreData } from '../../src/checkpoint/memory-store.ts'
import { MillraceError } from '../../src/core/errors.ts'
import { MetricValue } from '../../src/gen/millrace/v1/metric.ts'
import type { JobDefinition } from '../../src/job/definition.ts'
import { withoutOutbox } from '../../src/job/delivery.ts'
import { Simulation } from '../../src/testing/simulation.ts'
import { append, definition, descriptors, draw, emptyTopic } from './outbox-shop.ts'

const job: JobDefinition = withoutOutbox({
  ...definition,
  source: { ...definition.source, bounded: false },
  checkpoint: { ...definition.checkpoint, everyMs: 100 },
})

/** Lets an attempt write values and gives its number, as they say. */
async function written(simulation: Simulation): Promise<number> {
  const from = simulation.written.length
  const values = () => simulation.written.slice(from).filter(({ topic }) => topic === 'out')
  await simulation.scheduler.runUntil(() => simulation.written.length > from && values().length > 0, 'values')
  const { attempt } = MetricValue.decode(values()[0]!.value)
  expect(attempt).toBe(simulation.status('shop').attempt)
  return attempt
}

it('rise from process to process, also where no checkpoint completes', async () => {
  const topic = emptyTopic(1)
  append(topic, draw(1))
  const faults = {
    store: (operation: string) => {
      if (operation === 'publishManifest') throw new MillraceError('STORE_UNREACHABLE', 'no store')
    },
  }
  const store = new MemoryStoreData()
  const attempts: number[] = []
  for (let seed = 1; seed <= 3; seed++) {
    const simulation = new Simulation({ seed, workers: 2, topic, descriptors, store, faults })
    if (seed === 1) await simulation.submit(job)
    else await simulation.recover()
    attempts.push(await written(simulation))
    simulation.workers.crash(0)
    await simulation.runUntilState('shop', 'RESTARTING')
    attempts.push(await written(simulation))
    // The process ends here without a word.
  }
  expect(attempts).toEqual([1, 2, 3, 4, 5, 6])
})

it('rise over a stop, and over a cancel', async () => {
  const topic = emptyTopic(2)
  append(topic, draw(2))
  const simulation = new Simulation({ seed: 2, workers: 2, topic, descriptors })
  await simulation.submit(job)
  await simulation.runUntilState('shop', 'RUNNING')
  await simulation.settle(simulation.manager.stop('shop'))
  const { store } = simulation
  await simulation.close()
  const next = new Simulation({ seed: 3, workers: 2, topic, descriptors, store })
  await next.submit(job)
  await next.runUntilState('shop', 'RUNNING')
  expect(next.status('shop').attempt).toBe(2)
  await next.settle(next.manager.cancel('shop'))
  await next.close()
  const last = new Simulation({ seed: 4, workers: 2, topic, descriptors, store })
  await last.submit(job)
  await last.runUntilState('shop', 'RUNNING')
  expect(last.status('shop').attempt).toBe(3)
  await last.close()
})
