import { describe, expect, it } from 'vitest'
import type { CompiledDocument } from '../../src/control/job-compiler.ts'
import { eventCounts, JobControl, sourceWatermark } from '../../src/control/job-control.ts'
import { graphOf } from '../../src/control/job-graph.ts'
import { JobManager } from '../../src/coordinator/job-manager.ts'
import { JobSavepoints } from '../../src/coordinator/job-savepoints.ts'
import type { SubtaskReading } from '../../src/coordinator/stats-book.ts'
import type { MillraceError } from '../../src/core/errors.ts'
import type { JobPlan } from '../../src/job/plan.ts'
import { sourceStats } from '../coordinator/support/fake-stats.ts'
import { makeDefinition, makePlan, makeWorld, quickSettings } from '../coordinator/support/world.ts'

const definition = makeDefinition({ source: { ...makeDefinition().source, bounded: false } })

async function setUp() {
  const world = makeWorld()
  const manager = new JobManager({ ports: world.ports, planJob: (of) => makePlan(of), settings: quickSettings })
  const violation = { field: 'metrics', message: 'metrics must not be empty', line: 3, column: 1 }
  const control = new JobControl({
    manager,
    savepoints: new JobSavepoints(manager, world.ports),
    clock: world.clock,
    describeStore: () => world.store.describe(),
    compile: (document): CompiledDocument =>
      document.kind === 'text' && document.text === 'bad'
        ? { name: '', violations: [violation, violation], definition: null, plan: null }
        : { name: definition.name, violations: [], definition, plan: makePlan(definition) },
  })
  const settle = async <T>(promise: Promise<T>): Promise<T> => {
    let settled = false
    const mark = () => {
      settled = true
    }
    promise.then(mark, mark)
    await world.scheduler.runUntil(() => settled)
    return promise
  }
  await settle(manager.recover())
  return { ...world, manager, control, settle }
}

const good = { kind: 'text', text: 'good' } as const

describe('JobControl', () => {
  it('validates without changing anything', async () => {
    const { control } = await setUp()
    expect(await control.validate({ kind: 'text', text: 'bad' })).toMatchObject({ valid: false, graph: null })
    const result = await control.validate(good)
    expect(result).toMatchObject({ valid: true, name: 'engagement', violations: [] })
    expect(result.graph?.operators.map((operator) => operator.id)).toEqual(['events', 'window'])
    expect(await control.list()).toEqual([])
  })

  it('refuses a definition with all its violations', async () => {
    const { control } = await setUp()
    const error = await control.submit({ kind: 'text', text: 'bad' }).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({
      code: 'JOB_INVALID',
      message: expect.stringMatching(/2 mistakes; the first: line \d+, column \d+: \S+: /),
    })
    expect((error as MillraceError).violations).toHaveLength(2)
  })

  it('shows what sinks are owed, and whether sources wait for it', async () => {
    const { control, manager, settle } = await setUp()
    await settle(control.submit(good))
    const { outbox } = manager.job('engagement').coordinator
    expect((await settle(control.describe('engagement'))).checkpoints).toMatchObject({ owed: [], sourcesHeld: false })
    const owed = { checkpointId: 3, records: 12, bytes: 900, sinks: ['out'] }
    outbox.owed.push(owed)
    outbox.held = true
    expect((await settle(control.describe('engagement'))).checkpoints).toMatchObject({
      owed: [owed],
      sourcesHeld: true,
    })
  })

  it('walks a job from submit to cancel, and shows it on the way', async () => {
    const { control, settle, scheduler, workers, data } = await setUp()
    expect(await settle(control.submit(good))).toMatchObject({
      name: 'engagement',
      state: 'STARTING',
      guarantee: 'at-least-once',
    })
    await scheduler.runUntil(() => workers.counted(1) === 3200)
    await scheduler.runFor(2000)
    const details = await settle(control.describe('engagement'))
    expect(details.summary).toMatchObject({
      state: 'RUNNING',
      attempt: 1,
      restarts: 0,
      events: { read: 3200 },
      watermarkMs: 0,
    })
    expect(details.checkpoints.latest).toMatchObject({ attempt: 1 })
    expect(details.checkpoints).toMatchObject({ failed: 0, restored: null, lastFailure: '' })
    expect(details.subtasks).toHaveLength(2)
    expect(details.definitionText).toBe('good')
    const info = await settle(control.triggerCheckpoint('engagement'))
    expect(info.durationMs).toBeGreaterThan(0)
    expect((await settle(control.listCheckpoints('engagement')))[0]).toMatchObject({
      id: info.id,
      durationMs: info.durationMs,
    })
    workers.threads[0]?.fail('BROKER_ERROR')
    await scheduler.runUntil(() => data.jobs.size > 0 && workers.hostedAttempts()[0] === '1/2')
    await scheduler.runFor(1000)
    const after = await settle(control.describe('engagement'))
    expect(after.exceptions[0]).toMatchObject({ code: 'BROKER_ERROR', operator: 'window', attempt: 1 })
    expect(after.checkpoints.restored?.id).toBeGreaterThanOrEqual(info.id)
    const stopped = await settle(control.stop('engagement'))
    expect(stopped.summary.state).toBe('SUSPENDED')
    expect(stopped.checkpointId).toBeGreaterThan(info.id)
    expect((await settle(control.cancel('engagement'))).state).toBe('CANCELLED')
    await expect(control.describe('nobody')).rejects.toMatchObject({ code: 'JOB_NOT_FOUND' })
  })
})

describe('event counts and watermarks', () => {
  const reading = (over: Partial<SubtaskReading['stats']>): SubtaskReading => {
    const deploy = { type: 'deploy', job: 1, attempt: 1, plan: makePlan() } as never
    return {
      stats: { ...sourceStats(deploy, 0, 10, false), ...over },
      busyRatio: 0,
      idleRatio: 0,
      backPressuredRatio: 0,
      atMs: 0,
    }
  }

  it('adds up over subtasks', () => {
    const counts = eventCounts([
      reading({ read: 5, deadLettered: 1, filtered: 1 }),
      reading({ read: 0, applied: 2, late: 1 }),
    ])
    expect(counts).toEqual({
      read: 5,
      applied: 2,
      late: 1,
      deadLettered: 1,
      filtered: 1,
      lost: 0,
      deduplicated: 0,
      dedupeForgotten: 0,
    })
  })

  it('takes the slowest source that is not idle', () => {
    expect(sourceWatermark([], 'events')).toBe(-Infinity)
    const readings = [
      reading({ watermarkMs: 5 }),
      reading({ watermarkMs: 3, idle: true }),
      reading({ operator: 'window', watermarkMs: 1 }),
    ]
    expect(sourceWatermark(readings, 'events')).toBe(5)
    expect(sourceWatermark(readings.slice(1), 'events')).toBe(3)
  })
})

describe('graphOf', () => {
  const window = {
    kind: 'tumbling',
    sizeMs: 86_400_000,
    offsetMs: 0,
    timezone: 'Europe/Berlin',
    time: 'event',
  } as const
  const table = {
    id: 't',
    dimensions: [0],
    dimensionNames: ['platform'],
    window,
    trigger: null,
    earlyMs: 0,
    allowedLatenessMs: 0,
    retainMs: 0,
    accumulators: [],
  }
  const plan = (keyed: readonly boolean[]): JobPlan => ({
    ...makePlan(makeDefinition({ sinks: [{ id: 'out', output: { kind: 'kafka', topic: 'metrics', brokers: '' } }] })),
    tables: keyed.map((one) => ({ ...table, keyed: one })),
  })

  it('shows merge only where some table is merged, and sinks behind what feeds them', () => {
    const edges = (keyed: readonly boolean[]) => graphOf(plan(keyed)).edges.map(({ from, to }) => `${from}>${to}`)
    expect(edges([true])).toEqual(['events>window', 'window>out'])
    expect(edges([false])).toEqual(['events>window', 'window>merge', 'merge>out'])
    expect(edges([true, false])).toEqual(['events>window', 'window>merge', 'window>out', 'merge>out'])
    expect(graphOf(plan([true])).operators[1]?.description).toBe('by platform, 1d Europe/Berlin')
  })
})
