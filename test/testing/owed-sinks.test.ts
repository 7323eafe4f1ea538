/** A changed definition that leaves out a sink which is owed results: refused, for nobody else would give those out. */
import { expect, it } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import type { JobDefinition } from '../../src/job/definition.ts'
import { Simulation } from '../../src/testing/simulation.ts'
import { append, definition, descriptors, draw, emptyTopic } from './outbox-shop.ts'

const unbounded: JobDefinition = {
  ...definition,
  source: { ...definition.source, bounded: false },
  checkpoint: { ...definition.checkpoint, everyMs: 100 },
}
const changed: JobDefinition = { ...unbounded, sinks: [] }

/** A job that runs, whose sinks are gone: they are owed results. */
async function owing(seed: number): Promise<Simulation> {
  const topic = emptyTopic(seed)
  const simulation = new Simulation({ seed, workers: 2, topic, descriptors })
  await simulation.submit(unbounded)
  await simulation.runUntilState('shop', 'RUNNING')
  simulation.sinks.fault = () => {
    throw new MillraceError('SINK_FAILED', 'no route to host')
  }
  append(topic, draw(seed))
  await simulation.scheduler.runUntil(() => owedOf(simulation).length > 0, 'something to be owed')
  return simulation
}

const owedOf = (simulation: Simulation) => simulation.manager.job('shop').coordinator.outbox.owed

function upgrade(simulation: Simulation, dropState: readonly string[] = [], dryRun = false) {
  const submission = { definition: changed, text: '', schema: null }
  return simulation.settle(simulation.manager.upgrade(submission, { dropState, dryRun }))
}

it('an upgrade without the sink is refused, and with it the results are given out', async () => {
  const simulation = await owing(1)
  const words = /no longer has sink out, which is owed the results of checkpoint \d+ \(\d+ records.*those would be lost/
  expect((await upgrade(simulation, [], true)).refusal?.message).toMatch(words)
  await expect(upgrade(simulation)).rejects.toThrow(words)
  expect(simulation.sinks.records('shop', 'out')).toEqual([])
  simulation.sinks.fault = undefined
  await simulation.scheduler.runUntil(() => owedOf(simulation).length === 0, 'all to be applied')
  expect(simulation.sinks.records('shop', 'out').length).toBeGreaterThan(0)
  expect((await upgrade(simulation)).record?.outcome).toBe('done')
  await simulation.close()
})

it('so is a job that stopped while a sink was owed results, and is submitted without it', async () => {
  const simulation = await owing(2)
  await expect(simulation.settle(simulation.manager.stop('shop'))).rejects.toThrow()
  expect(owedOf(simulation).length).toBeGreaterThan(0)
  await expect(simulation.submit(changed)).rejects.toMatchObject({ code: 'STATE_INCOMPATIBLE' })
  simulation.sinks.fault = undefined
  await simulation.settle(simulation.manager.submit(changed, '', null, null, ['out']))
  await simulation.runUntilState('shop', 'RUNNING')
  await simulation.close()
})
