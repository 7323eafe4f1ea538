/** Two servers over one store: who runs a job, what the other one makes of it, and what a restart goes on from. */
import { describe, expect, it } from 'vitest'
import { JobManager } from '../../src/coordinator/job-manager.ts'
import { decodeStoredJob } from '../../src/coordinator/stored-job.ts'
import { MillraceError } from '../../src/core/errors.ts'
import type { JobDefinition } from '../../src/job/definition.ts'
import { makeDefinition, makePlan, makeWorld, quickSettings, type World, type WorldOptions } from './support/world.ts'

const unbounded = { ...makeDefinition().source, bounded: false }
const job = makeDefinition({ source: unbounded })
const other = makeDefinition({ source: unbounded, parallelism: 1 })

/** A server with its jobs recovered. */
async function server(options: WorldOptions = {}) {
  const world = makeWorld(options)
  const planJob = (definition: JobDefinition) => makePlan(definition)
  const manager = new JobManager({ ports: world.ports, planJob, settings: quickSettings })
  const t = {
    ...world,
    manager,
    status: () => manager.job('engagement').coordinator.status,
    /** Drives virtual time until a promise settles. */
    settle: <T>(promise: Promise<T>): Promise<T> => settled(world, promise),
    reach: (state: string) =>
      world.scheduler.runUntil(() => manager.job('engagement').coordinator.status.state === state, state),
    waits: () =>
      world.scheduler.runUntil(() => manager.job('engagement').coordinator.heldBy !== '', 'waiting for the lease'),
    stored: async () => decodeStoredJob('engagement', (await world.store.readJob('engagement'))!),
  }
  await t.settle(manager.recover())
  return t
}

async function settled<T>(world: World, promise: Promise<T>): Promise<T> {
  let done = false
  const mark = () => {
    done = true
  }
  promise.then(mark, mark)
  await world.scheduler.runUntil(() => done, 'a promise')
  return promise
}

/** Two servers, the first of which runs the job. */
async function two() {
  const a = await server()
  const b = await server({ beside: a, instanceId: 'b' })
  await a.settle(a.manager.submit(job, 'first'))
  await a.reach('RUNNING')
  return { a, b }
}

describe('submitting on two servers', () => {
  it('stands by for a job that another server runs', async () => {
    const { a, b } = await two()
    const before = await a.stored()
    const adopted = await b.settle(b.manager.submit(job, 'second'))
    await b.waits()
    expect(adopted.stored.jobId).toBe(before.jobId)
    expect(await a.stored()).toEqual(before)
    await a.scheduler.runUntil(() => a.manager.job('engagement').coordinator.history.completed >= 1)
    await a.settle(a.manager.close())
    await b.reach('RUNNING')
    expect(b.manager.job('engagement').coordinator.restored).not.toBeNull()
  })

  it('refuses another definition of a job that another server runs', async () => {
    const { a, b } = await two()
    const before = await a.stored()
    await expect(b.settle(b.manager.submit(other, ''))).rejects.toMatchObject({ code: 'JOB_EXISTS' })
    expect(await a.stored()).toEqual(before)
    expect(a.status().state).toBe('RUNNING')
  })

  it('goes on from the checkpoints of a job that was stopped on another server', async () => {
    const { a, b } = await two()
    const { jobId } = await a.stored()
    const { checkpointId } = await a.settle(a.manager.stop('engagement'))
    const mine = await b.settle(b.manager.submit(other, ''))
    await b.reach('RUNNING')
    expect(mine.stored.jobId).toBe(jobId)
    expect(mine.coordinator.restored?.checkpointId).toBe(checkpointId)
    // The first one hears of it when it is asked.
    await expect(a.settle(a.manager.cancel('engagement'))).rejects.toMatchObject({ code: 'JOB_STATE' })
    await expect(a.settle(a.manager.submit(job, ''))).rejects.toMatchObject({ code: 'JOB_EXISTS' })
    expect((await a.stored()).wanted).toBe('running')
  })

  it('lets one of two submissions of the same moment win', async () => {
    const a = await server()
    const b = await server({ beside: a, instanceId: 'b' })
    const results = await settled(a, Promise.allSettled([a.manager.submit(job, 'a'), b.manager.submit(other, 'b')]))
    expect(results.map((result) => result.status).sort()).toEqual(['fulfilled', 'rejected'])
    const lost = results.find((result) => result.status === 'rejected')
    expect(lost?.reason).toMatchObject({ code: 'JOB_EXISTS' })
  })

  it('takes a submission again whose answer was lost', async () => {
    const a = await server()
    a.data.fault = (operation, when) => {
      if (operation === 'swapJob' && when === 'after') throw new MillraceError('STORE_UNREACHABLE', 'no answer')
    }
    await expect(a.settle(a.manager.submit(job, ''))).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' })
    a.data.fault = undefined
    const { jobId } = await a.stored()
    const again = await a.settle(a.manager.submit(job, ''))
    await a.reach('RUNNING')
    expect(again.stored.jobId).toBe(jobId)
  })
})

describe('a server that stands by', () => {
  it('does not start what was stopped', async () => {
    const { a, b } = await two()
    await b.settle(b.manager.submit(job, ''))
    await b.waits()
    await a.settle(a.manager.stop('engagement'))
    await b.reach('SUSPENDED')
    await b.scheduler.runFor(20_000)
    expect(b.workers.hostedAttempts()).toEqual([])
    expect((await a.stored()).wanted).toBe('suspended')
    await a.settle(a.manager.submit(job, ''))
    await a.reach('RUNNING')
  })

  it('does not start what was cancelled', async () => {
    const { a, b } = await two()
    await b.settle(b.manager.submit(job, ''))
    await b.waits()
    await a.settle(a.manager.cancel('engagement'))
    await b.reach('CANCELLED')
    await b.scheduler.runFor(20_000)
    expect(b.workers.hostedAttempts()).toEqual([])
    expect((await a.stored()).wanted).toBe('cancelled')
  })

  it('goes by the definition that the job has by then', async () => {
    const { a, b } = await two()
    await b.settle(b.manager.submit(job, ''))
    await b.waits()
    await a.settle(a.manager.stop('engagement'))
    await a.settle(a.manager.submit(other, ''))
    await a.scheduler.runUntil(() => a.status().state === 'RUNNING' || b.status().state === 'RUNNING', 'one runs')
    await a.settle(a.manager.close())
    await b.reach('RUNNING')
    expect(b.manager.job('engagement').coordinator.plan.parallelism).toBe(1)
  })

  it('tells those who listen', async () => {
    const { a, b } = await two()
    await b.settle(b.manager.submit(job, ''))
    await b.waits()
    const states: string[] = []
    b.manager.onState((_name, { state }) => states.push(state))
    await a.settle(a.manager.stop('engagement'))
    await b.reach('SUSPENDED')
    expect(states.at(-1)).toBe('SUSPENDED')
  })
})

describe('a job between two processes', () => {
  it('begins where its first start began, though it has no checkpoint', async () => {
    const source = { ...unbounded, start: { kind: 'latest' as const } }
    const rare = { everyMs: 3_600_000, retain: 2, timeoutMs: 10_000, tolerableFailures: 0 }
    const definition = makeDefinition({ source, checkpoint: rare })
    const a = await server({ partitions: [100, 200, 300] })
    await a.settle(a.manager.submit(definition, ''))
    await a.reach('RUNNING')
    // What an operator says of a dead process: its lease runs out, nothing else was kept.
    await a.settle(a.manager.close())
    const b = await server({ beside: a, partitions: [150, 200, 340] })
    await b.reach('RUNNING')
    const { number } = b.manager.job('engagement').coordinator
    await b.scheduler.runUntil(() => b.workers.counted(number) > 0)
    await b.scheduler.runFor(5000)
    expect(b.workers.counted(number)).toBe(50 + 40)
  })

  it('looks anew where to begin when it is submitted with another start', async () => {
    const rare = { everyMs: 3_600_000, retain: 2, timeoutMs: 10_000, tolerableFailures: 0 }
    const latest = { ...unbounded, start: { kind: 'latest' as const } }
    const a = await server({ partitions: [100] })
    await a.settle(a.manager.submit(makeDefinition({ source: latest, checkpoint: rare }), ''))
    await a.reach('RUNNING')
    a.workers.threads[0]!.fail('STATE_LIMIT')
    a.workers.threads[1]!.fail('STATE_LIMIT')
    await a.reach('FAILED')
    await a.settle(a.manager.submit(makeDefinition({ source: unbounded, checkpoint: rare }), ''))
    await a.reach('RUNNING')
    const { number } = a.manager.job('engagement').coordinator
    await a.scheduler.runUntil(() => a.workers.counted(number) === 100, 'all 100')
  })

  it('reads on when it is bounded no more, and to the end of now when it has become so', async () => {
    const t = await server()
    await t.settle(t.manager.submit(job, ''))
    await t.reach('RUNNING')
    await t.settle(t.manager.stop('engagement'))
    await t.settle(t.manager.submit(makeDefinition(), ''))
    await t.reach('FINISHED')
    const { number } = t.manager.job('engagement').coordinator
    expect(t.workers.counted(number)).toBe(3200)
  })
})
