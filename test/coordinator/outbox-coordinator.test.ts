/** What the coordinator of sinks makes of transactions that a sink had to end. */
import { expect, it } from 'vitest'
import type { Deployment } from '../../src/coordinator/deployment.ts'
import { newJobMemory } from '../../src/coordinator/job-memory.ts'
import { OutboxCoordinator } from '../../src/coordinator/outbox-coordinator.ts'
import type { JobPlan } from '../../src/job/plan.ts'
import { ManualClock, ManualScheduler } from '../../src/testing/manual-clock.ts'

it('warns of each transaction that hung, with where and how it was ended, and counts it', () => {
  const memory = newJobMemory('id')
  const said: { level: string; message: string; fields: Readonly<Record<string, unknown>> }[] = []
  const outbox = new OutboxCoordinator({
    plan: { jobName: 'shop' } as JobPlan,
    deployment: {} as Deployment,
    owner: { generation: 1, nonce: 'n' },
    memory,
    ports: {
      scheduler: new ManualScheduler(new ManualClock()),
      log: (level, message, fields = {}) => said.push({ level, message, fields }),
    },
    settings: { sinkOpenMs: 1000 },
  })
  const answer = { type: 'outboxApplied', job: 1, attempt: 1, sink: 'out', epoch: 7 } as const
  outbox.onMessage(answer)
  expect(said).toEqual([])
  const at = { partition: 2, producerId: 7n }
  outbox.onMessage({
    ...answer,
    ended: [
      { ...at, topic: 'results', offset: 40, end: 'commit' },
      { ...at, topic: 'millrace-markers', offset: 3, end: 'abort' },
    ],
  })
  expect(memory.outbox.hangingEnded).toBe(2)
  expect(said).toMatchObject([
    {
      level: 'warn',
      fields: { job: 'shop', sink: 'out', topic: 'results', partition: 2, offset: 40, producerId: '7' },
    },
    { level: 'warn', fields: { topic: 'millrace-markers' } },
  ])
  expect(said[0]!.message).toMatch(/sink out of job shop has committed a transaction .* hung in results-2 at offset 40/)
  expect(said[1]!.message).toMatch(/has aborted a transaction/)
})
