import { describe, expect, it } from 'vitest'
import { JobCoordinator } from '../../src/coordinator/job-coordinator.ts'
import type { JobState } from '../../src/coordinator/job-state.ts'
import { MillraceError } from '../../src/core/errors.ts'
import type { JobDefinition } from '../../src/job/definition.ts'
import { makeDefinition, makePlan, makeWorld, quickSettings, type World, type WorldOptions } from './support/world.ts'

const TOTAL = 3200

function setUp(options: WorldOptions & { definition?: Partial<JobDefinition>; jobId?: string } = {}) {
  const world = makeWorld(options)
  const states: JobState[] = []
  const job = new JobCoordinator(
    1,
    makePlan(makeDefinition(options.definition)),
    options.jobId ?? 'id-1',
    world.ports,
    {
      onState: (status) => {
        if (states.at(-1) !== status.state) states.push(status.state)
      },
      storeRecord: async () => {
        await world.store.putJob('engagement', new Uint8Array([1]))
      },
    },
    quickSettings,
  )
  const reach = (state: JobState) =>
    world.scheduler.runUntil(() => job.status.state === state, `${state}, at ${job.status.state}`)
  return { ...world, job, states, reach }
}

function expectNoOverlap(world: World) {
  expect(world.workers.all.flatMap((thread) => thread.overlaps)).toEqual([])
}

describe('JobCoordinator, a bounded job', () => {
  it('starts, checkpoints, finishes and stays deployed', async () => {
    const t = setUp()
    t.job.submit('test')
    await t.reach('FINISHED')
    expect(t.states).toEqual(['STARTING', 'RUNNING', 'FINISHING', 'FINISHED'])
    expect(t.workers.counted(1)).toBe(TOTAL)
    expect(t.workers.hostedAttempts()).toEqual(['1/1'])
    expect(t.job.history.completed).toBeGreaterThan(2)
    expect(t.job.status.reason).toMatch(/checkpoint \d+ holds all that was read/)
    const rows = await Promise.race([
      t.job.query({ metric: 0, fromMs: 0, toMs: 1, filter: [], sinceChange: [], rowsMax: 10 }, 1000),
      t.scheduler.runFor(100).then(() => 'nothing'),
    ])
    expect(rows).toEqual([])
    // Quiet now: no checkpoint follows the last.
    const { completed } = t.job.history
    await t.scheduler.runFor(5000)
    expect(t.job.history.completed).toBe(completed)
  })

  it('publishes positions for lag tools after each checkpoint', async () => {
    const t = setUp()
    t.job.submit('test')
    await t.reach('FINISHED')
    expect(t.topic.commits.at(-1)).toEqual({ group: 'lag', offsets: { 0: 1000, 1: 1500, 2: 700 } })
  })

  it('keeps as many checkpoints as it should', async () => {
    const t = setUp()
    t.job.submit('test')
    await t.reach('FINISHED')
    await t.scheduler.runFor(100)
    expect(await t.store.listCheckpoints('engagement')).toHaveLength(2)
  })

  it.each(['WORKER_LOST', 'BROKER_ERROR', 'SINK_FAILED'] as const)('counts each record once after %s', async (code) => {
    const t = setUp()
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.job.history.completed >= 2 && t.workers.counted(1) > 500)
    if (code === 'WORKER_LOST') t.workers.threads[1]?.die('test')
    else t.workers.threads[1]?.fail(code)
    await t.reach('RESTARTING')
    expect(t.job.status.reason).toContain(code)
    expect(t.job.status.reason).toMatch(/attempt 2 follows in 0\.[12]/)
    await t.reach('FINISHED')
    expect(t.job.restored?.checkpointId).toBeGreaterThanOrEqual(2)
    expect(t.workers.counted(1)).toBe(TOTAL)
    expect(t.job.history.failures[0]).toMatchObject({ code, attempt: 1 })
    expect(t.job.status.restarts).toBe(1)
    expectNoOverlap(t)
  })

  it('starts over where it first started when it fails before its first checkpoint', async () => {
    const t = setUp({
      definition: { source: { ...makeDefinition().source, start: { kind: 'latest' }, bounded: false } },
    })
    t.job.submit('test')
    await t.reach('RUNNING')
    t.workers.ends.set(0, 1100)
    t.workers.threads[0]?.fail('BROKER_ERROR')
    await t.reach('RESTARTING')
    await t.scheduler.runUntil(() => t.job.history.completed > 3)
    expect(t.workers.counted(1)).toBe(100)
  })

  it('fails for good at what no restart can help, and keeps its checkpoints', async () => {
    const t = setUp()
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.job.history.completed >= 2)
    t.workers.threads[0]?.fail('POSITION_LOST', 'events')
    await t.reach('FAILED')
    expect(t.job.status.error?.code).toBe('POSITION_LOST')
    expect(t.job.status.reason).toContain('events 0: POSITION_LOST asked for by the test')
    expect(t.workers.hostedAttempts()).toEqual([])
    expect((await t.store.listCheckpoints('engagement')).length).toBeGreaterThan(0)
    t.job.submit('again')
    await t.reach('FINISHED')
    expect(t.workers.counted(1)).toBe(TOTAL)
  })

  it('merges failures that come together into one restart', async () => {
    const t = setUp()
    t.job.submit('test')
    await t.reach('RUNNING')
    t.workers.threads[0]?.fail('BROKER_ERROR')
    t.workers.threads[1]?.fail('SINK_FAILED')
    await t.reach('FINISHED')
    expect(t.job.status).toMatchObject({ restarts: 1, attempt: 2 })
  })

  it('restores views after a thread is lost when it had finished', async () => {
    const t = setUp()
    t.job.submit('test')
    await t.reach('FINISHED')
    t.workers.threads[0]?.die('test')
    await t.reach('RESTARTING')
    await t.reach('FINISHED')
    expect(t.workers.counted(1)).toBe(TOTAL)
  })
})

describe('JobCoordinator, starting', () => {
  it('waits for a topic that is not there and says so', async () => {
    const t = setUp()
    t.topic.failure = new MillraceError('TOPIC_NOT_FOUND', 'there is no topic events')
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.job.status.restarts > 3)
    expect(t.job.status.reason).toContain('there is no topic events')
    t.topic.failure = undefined
    await t.reach('FINISHED')
    expect(t.topic.closed).toBe(t.topic.opened - 1)
  })

  it('waits for a broker and for a store that are away', async () => {
    const t = setUp()
    t.topic.failure = new MillraceError('BROKER_UNREACHABLE', 'no broker')
    t.data.fault = () => {
      throw new MillraceError('STORE_UNREACHABLE', 'no store')
    }
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.job.status.restarts > 2)
    expect(t.job.status.reason).toContain('STORE_UNREACHABLE')
    t.data.fault = undefined
    await t.scheduler.runUntil(() => t.job.status.reason.includes('BROKER_UNREACHABLE'))
    t.topic.failure = undefined
    await t.reach('FINISHED')
  })

  it('fails for good when the topic is another one than the checkpoint was made of', async () => {
    const t = setUp()
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.job.history.completed >= 1)
    t.topic.topicId = 'topic-2'
    t.workers.threads[0]?.fail('BROKER_ERROR')
    await t.reach('FAILED')
    expect(t.job.status.error?.code).toBe('TOPIC_RECREATED')
  })

  it('restarts when a deployment fails or is not answered', async () => {
    const t = setUp()
    t.workers.threads[1]!.script.failDeploy = 'CHECKPOINT_FAILED'
    t.job.submit('test')
    await t.reach('RESTARTING')
    t.workers.threads[1]!.script.failDeploy = undefined
    t.workers.threads[0]!.script.neverDeploys = true
    await t.scheduler.runUntil(() => t.job.status.reason.includes('WORKER_SILENT'))
    t.workers.threads[0]!.script.neverDeploys = false
    await t.reach('FINISHED')
    expect(t.workers.counted(1)).toBe(TOTAL)
  })

  it('makes do with the threads that there are', async () => {
    const t = setUp()
    t.workers.replaceAfterMs = 1e9
    t.workers.threads[0]?.die('test')
    t.job.submit('test')
    await t.reach('FINISHED')
    expect(t.workers.threads[1]?.hosted.size).toBe(1)
    expect(t.workers.counted(1)).toBe(TOTAL)
  })

  it('refuses state of another definition', async () => {
    const t = setUp()
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.job.history.completed >= 1)
    t.job.stop('test')
    await t.reach('SUSPENDED')
    t.job.resubmit(makePlan(makeDefinition(), 'hash-2'), 'id-1', 'changed')
    await t.reach('FAILED')
    expect(t.job.status.error?.code).toBe('STATE_INCOMPATIBLE')
  })
})

describe('JobCoordinator, checkpoints', () => {
  it('fails the job beyond the tolerable failures, and restarts it', async () => {
    const t = setUp()
    t.job.submit('test')
    await t.reach('RUNNING')
    t.workers.threads[0]!.script.decline = 'INTERNAL'
    await t.reach('RESTARTING')
    expect(t.job.status.error?.code).toBe('CHECKPOINT_FAILED')
    t.workers.threads[0]!.script.decline = undefined
    await t.reach('FINISHED')
    expect(t.workers.counted(1)).toBe(TOTAL)
  })

  it('bears as many failures as the definition says', async () => {
    const checkpoint = { ...makeDefinition().checkpoint, tolerableFailures: 3 }
    const t = setUp({ definition: { checkpoint } })
    t.job.submit('test')
    await t.reach('RUNNING')
    t.workers.threads[0]!.script.decline = 'INTERNAL'
    await t.scheduler.runUntil(() => t.job.history.failed === 3)
    t.workers.threads[0]!.script.decline = undefined
    await t.reach('FINISHED')
    expect(t.job.status.restarts).toBe(0)
  })

  it('times out a checkpoint that is not answered', async () => {
    const t = setUp({ definition: { checkpoint: { everyMs: 100, retain: 1, timeoutMs: 500, tolerableFailures: 0 } } })
    t.job.submit('test')
    await t.reach('RUNNING')
    t.workers.threads[1]!.script.dropAcks = true
    await t.reach('RESTARTING')
    expect(t.job.status.reason).toMatch(/expired: no ack from events\/0, window\/0 within 500 ms/)
  })

  it('stays up and serves while the store is away, and checkpoints again when it is back', async () => {
    const t = setUp({ definition: { source: { ...makeDefinition().source, bounded: false } } })
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.job.history.completed >= 2)
    const { completed } = t.job.history
    t.data.fault = () => {
      throw new MillraceError('STORE_UNREACHABLE', 'no store')
    }
    await t.scheduler.runFor(60_000)
    expect(t.job.status).toMatchObject({ state: 'RUNNING', restarts: 0 })
    expect(t.job.history.failed).toBeGreaterThan(5)
    expect(t.job.history.completed).toBe(completed)
    t.data.fault = undefined
    await t.scheduler.runUntil(() => t.job.history.completed > completed)
    expect(t.job.status.restarts).toBe(0)
  })

  it('makes one on request, that begins after the request', async () => {
    const t = setUp({ definition: { checkpoint: { everyMs: 0, retain: 1, timeoutMs: 5000, tolerableFailures: 0 } } })
    await expect(t.job.checkpoint()).rejects.toMatchObject({ code: 'JOB_STATE' })
    t.job.submit('test')
    await t.reach('RUNNING')
    const ids: number[] = []
    void t.job.checkpoint().then((record) => ids.push(record.id))
    void t.job.checkpoint().then((record) => ids.push(record.id))
    void t.job.checkpoint().then((record) => ids.push(record.id))
    await t.scheduler.runUntil(() => ids.length === 3)
    // The first began at once; the others began later than they were asked for, together.
    expect(ids).toEqual([1, 2, 2])
  })

  it('rejects a request when the job fails meanwhile', async () => {
    const t = setUp()
    t.job.submit('test')
    await t.reach('RUNNING')
    t.workers.threads[0]!.script.dropAcks = true
    let error: unknown
    t.job.checkpoint().catch((thrown: unknown) => (error = thrown))
    t.workers.threads[1]?.die('test')
    await t.scheduler.runUntil(() => error !== undefined)
    expect((error as MillraceError).code).toMatch(/CANCELLED|CHECKPOINT_FAILED/)
  })

  it('deletes chunks that no checkpoint refers to any more', async () => {
    const t = setUp()
    t.workers.pagesFor = (prefix, subtask, checkpointId) => {
      const key = `${prefix}.window.${subtask}.${checkpointId}`
      void t.store.putChunk(key, new Uint8Array(8))
      const one = new Uint32Array([0])
      const refs = [{ key, sizeBytes: 8 }]
      return {
        written: refs,
        pages: {
          tables: ['t'],
          chunks: refs,
          tableIndex: one,
          keyGroup: new Int32Array([-1]),
          pageNumber: one,
          rowCount: one,
          chunkIndex: one,
          offset: one,
          length: new Uint32Array([8]),
          crc32c: one,
        },
      }
    }
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.job.history.completed >= 2)
    t.workers.threads[0]?.fail('BROKER_ERROR')
    await t.reach('FINISHED')
    await t.scheduler.runFor(100)
    const held = await t.store.listCheckpoints('engagement')
    expect(held).toHaveLength(2)
    const chunks = await t.store.listChunks('engagement')
    expect(chunks.map((key) => Number(key.split('.').at(-1))).sort((a, b) => a - b)).toEqual(
      held.flatMap((id) => [id, id]),
    )
  })
})

describe('JobCoordinator, stop and cancel', () => {
  it('stops with a last checkpoint and goes on from it', async () => {
    const t = setUp()
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.workers.counted(1) > 600)
    t.job.stop('asked')
    await t.reach('SUSPENDED')
    expect(t.workers.hostedAttempts()).toEqual([])
    expect(t.job.status.reason).toMatch(/checkpoint \d+ holds all that was read/)
    expect(t.job.status.error).toBeNull()
    const id = t.job.lastCheckpointId
    t.job.submit('again')
    await t.reach('FINISHED')
    expect(t.job.restored?.checkpointId).toBe(id)
    expect(t.workers.counted(1)).toBe(TOTAL)
  })

  it('stops also when the last checkpoint fails, and says why', async () => {
    const t = setUp()
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.job.history.completed >= 1)
    t.workers.threads[0]!.script.decline = 'INTERNAL'
    t.job.stop('asked')
    await t.reach('SUSPENDED')
    expect(t.job.status.error?.code).toBe('CHECKPOINT_FAILED')
    t.workers.threads[0]!.script.decline = undefined
    t.job.submit('again')
    await t.reach('FINISHED')
    expect(t.workers.counted(1)).toBe(TOTAL)
  })

  it('cancels, drops its state, and begins afresh when submitted again', async () => {
    const t = setUp()
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.job.history.completed >= 2)
    t.job.cancel('asked')
    await t.reach('CANCELLED')
    await t.job.storeWork()
    expect(await t.store.listCheckpoints('engagement')).toEqual([])
    expect(await t.store.readJob('engagement')).toBeDefined()
    t.job.resubmit(makePlan(), 'id-2', 'again')
    await t.reach('FINISHED')
    expect(t.states).toContain('CANCELLED')
    expect(t.job.restored).toBeNull()
    expect(t.workers.counted(1)).toBe(TOTAL)
  })

  it('begins afresh after a cancel that could not reach the store', async () => {
    const t = setUp()
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.job.history.completed >= 2)
    t.data.fault = () => {
      throw new MillraceError('STORE_UNREACHABLE', 'no store')
    }
    t.job.cancel('asked')
    await t.reach('CANCELLED')
    await t.job.storeWork()
    t.data.fault = undefined
    t.job.resubmit(makePlan(), 'id-2', 'again')
    await t.reach('RUNNING')
    expect(t.job.restored).toBeNull()
    await t.reach('FINISHED')
    expect(t.workers.counted(1)).toBe(TOTAL)
    await t.scheduler.runFor(100)
    expect(await t.store.listCheckpoints('engagement')).toHaveLength(2)
  })

  it.each(['STARTING', 'RESTARTING', 'RUNNING'] as const)(
    'cancels and stops in %s, leaving nothing behind',
    async (state) => {
      for (const what of ['cancel', 'stop'] as const) {
        const t = setUp()
        if (state === 'STARTING') t.workers.threads[0]!.script.neverDeploys = true
        if (state === 'RESTARTING') t.topic.failure = new MillraceError('BROKER_UNREACHABLE', 'no broker')
        t.job.submit('test')
        await t.reach(state)
        await t.scheduler.runFor(20)
        t.job[what]('asked')
        await t.reach(what === 'cancel' ? 'CANCELLED' : 'SUSPENDED')
        await t.job.storeWork()
        expect(t.workers.hostedAttempts()).toEqual([])
        expect(t.data.job('engagement').nonce).toBe('')
        const attempts = t.job.status.attempt
        await t.scheduler.runFor(20_000)
        expect(t.job.status.attempt).toBe(attempts)
      }
    },
  )

  it('fences a thread that does not dispose', async () => {
    const t = setUp()
    t.job.submit('test')
    await t.reach('RUNNING')
    const stuck = t.workers.threads[0]!
    stuck.script.neverDisposes = true
    t.job.cancel('asked')
    await t.reach('CANCELLED')
    expect(stuck.terminated).toBe(true)
  })

  it('refuses what the state does not allow, with the state in the message', async () => {
    const t = setUp()
    t.job.submit('test')
    await t.reach('RUNNING')
    t.job.cancel('asked')
    expect(() => t.job.stop('asked')).toThrow(/job engagement is CANCELLING .*stop is not possible now/)
    await t.reach('CANCELLED')
    await expect(
      t.job.query({ metric: 0, fromMs: 0, toMs: 1, filter: [], sinceChange: [], rowsMax: 10 }, 100),
    ).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })
})

describe('JobCoordinator, leases', () => {
  it('waits for another instance, says for which, and takes over when it is gone', async () => {
    const t = setUp()
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.job.history.completed >= 2)
    const other = setUp({ beside: t, instanceId: 'b' })
    other.job.submit('test')
    await t.scheduler.runFor(20_000)
    expect(other.job.status).toMatchObject({ state: 'STARTING', reason: 'waiting for the lease, held by a' })
    expect(other.job.heldBy).toBe('a')
    void t.job.close()
    await other.scheduler.runUntil(() => other.job.status.state === 'FINISHED')
    expect(other.workers.counted(1)).toBe(TOTAL)
    expect(other.job.restored).not.toBeNull()
  })

  it('is fenced by a later start of the same instance, and does not fight it', async () => {
    const t = setUp({ definition: { source: { ...makeDefinition().source, bounded: false } } })
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.job.history.completed >= 2)
    const later = setUp({ beside: t, definition: { source: { ...makeDefinition().source, bounded: false } } })
    later.job.submit('test')
    await t.reach('FAILED')
    expect(t.job.status.error?.code).toBe('STORE_FENCED')
    expect(t.workers.hostedAttempts()).toEqual([])
    await t.scheduler.runFor(20_000)
    expect(later.job.status).toMatchObject({ state: 'RUNNING', restarts: 0 })
  })

  it('writes everything again when the store has lost its data under it', async () => {
    const t = setUp({ definition: { source: { ...makeDefinition().source, bounded: false } } })
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.job.history.completed >= 2)
    await t.store.putJob('engagement', new Uint8Array([1]))
    const before = t.job.lastCheckpointId
    t.data.clear()
    await t.scheduler.runUntil(() => t.job.lastCheckpointId > before && t.data.jobs.has('engagement'))
    expect(t.job.status).toMatchObject({ state: 'RUNNING', restarts: 0 })
    expect(await t.store.readJob('engagement')).toBeDefined()
    expect((await t.store.listCheckpoints('engagement')).every((id) => id > before)).toBe(true)
    // And a restart goes on from what was written.
    t.workers.threads[0]?.fail('BROKER_ERROR')
    await t.reach('RESTARTING')
    await t.reach('RUNNING')
    expect(t.job.restored?.checkpointId).toBeGreaterThan(before)
    await t.scheduler.runUntil(() => t.workers.counted(1) === TOTAL)
  })

  it('fails when the store has lost its data while nothing was deployed', async () => {
    const t = setUp()
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.job.history.completed >= 2)
    t.topic.failure = new MillraceError('BROKER_UNREACHABLE', 'no broker')
    t.workers.threads[0]?.fail('BROKER_ERROR')
    await t.reach('RESTARTING')
    t.data.clear()
    await t.reach('FAILED')
    expect(t.job.status.error?.code).toBe('STORE_LOST')
  })
})

describe('JobCoordinator, partition discovery', () => {
  const unbounded = { source: { ...makeDefinition().source, bounded: false } }

  it('reads partitions that are added, from their first record, also after a restart', async () => {
    const t = setUp({ definition: unbounded })
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.workers.counted(1) === TOTAL)
    t.workers.ends.set(3, 500)
    await t.scheduler.runUntil(() => t.workers.counted(1) === TOTAL + 500)
    expect(t.job.status.restarts).toBe(0)
    await t.scheduler.runFor(500)
    t.workers.ends.set(4, 50)
    t.workers.threads[0]?.fail('BROKER_ERROR')
    await t.reach('RESTARTING')
    await t.scheduler.runUntil(() => t.workers.counted(1) === TOTAL + 550)
  })

  it('stops when the topic is re-created, and not when the broker is away', async () => {
    const t = setUp({ definition: unbounded })
    t.job.submit('test')
    await t.reach('RUNNING')
    t.topic.failure = new MillraceError('BROKER_UNREACHABLE', 'no broker')
    await t.scheduler.runFor(30_000)
    expect(t.job.status.state).toBe('RUNNING')
    t.topic.failure = undefined
    t.topic.topicId = 'topic-2'
    await t.reach('FAILED')
    expect(t.job.status.error?.code).toBe('TOPIC_RECREATED')
  })
})
