import { describe, expect, it } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import { setUpJob, TOTAL } from './support/job.ts'
import { makeDefinition, makePlan } from './support/world.ts'

describe('JobCoordinator, a bounded job', () => {
  it('starts, checkpoints, finishes and stays deployed', async () => {
    const t = setUpJob()
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
    const t = setUpJob()
    t.job.submit('test')
    await t.reach('FINISHED')
    expect(t.topic.commits.at(-1)).toEqual({ group: 'lag', offsets: { 0: 1000, 1: 1500, 2: 700 } })
  })

  it('keeps as many checkpoints as it should', async () => {
    const t = setUpJob()
    t.job.submit('test')
    await t.reach('FINISHED')
    await t.scheduler.runFor(100)
    expect(await t.store.listCheckpoints('engagement')).toHaveLength(2)
  })

  it.each(['WORKER_LOST', 'BROKER_ERROR', 'SINK_FAILED'] as const)('counts each record once after %s', async (code) => {
    const t = setUpJob()
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
    expect(t.workers.all.flatMap((thread) => thread.overlaps)).toEqual([])
  })

  it('starts over where it first started when it fails before its first checkpoint', async () => {
    const t = setUpJob({
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
    const t = setUpJob()
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
    const t = setUpJob()
    t.job.submit('test')
    await t.reach('RUNNING')
    t.workers.threads[0]?.fail('BROKER_ERROR')
    t.workers.threads[1]?.fail('SINK_FAILED')
    await t.reach('FINISHED')
    expect(t.job.status).toMatchObject({ restarts: 1, attempt: 2 })
  })

  it('ignores what is said of an attempt that is over', async () => {
    const t = setUpJob()
    t.job.submit('test')
    await t.reach('RUNNING')
    t.workers.threads[0]?.fail('BROKER_ERROR')
    await t.reach('RESTARTING')
    await t.reach('RUNNING')
    const error = new MillraceError('STATE_LIMIT', 'of the past').toData()
    const thread = t.workers.threads[0]!
    thread.say({ type: 'failed', job: 1, attempt: 1, thread: 0, operator: 'window', subtask: 0, error })
    for (const subtask of [0, 1]) thread.say({ type: 'sourceFinished', job: 1, attempt: 1, subtask })
    thread.say({ type: 'disposed', job: 1, attempt: 1, thread: 0 })
    await t.scheduler.runFor(50)
    expect(t.job.status).toMatchObject({ state: 'RUNNING', attempt: 2 })
    t.job.stop('asked')
    thread.say({ type: 'disposed', job: 1, attempt: 1, thread: 0 })
    await t.reach('SUSPENDED')
    expect(t.workers.hostedAttempts()).toEqual([])
  })

  it('restores views after a thread is lost when it had finished', async () => {
    const t = setUpJob()
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
    const t = setUpJob()
    t.topic.failure = new MillraceError('TOPIC_NOT_FOUND', 'there is no topic events')
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.job.status.restarts > 3)
    expect(t.job.status.reason).toContain('there is no topic events')
    t.topic.failure = undefined
    await t.reach('FINISHED')
    expect(t.topic.closed).toBe(t.topic.opened - 1)
  })

  it('waits for a broker and for a store that are away', async () => {
    const t = setUpJob()
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
    const t = setUpJob()
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.job.history.completed >= 1)
    t.topic.topicId = 'topic-2'
    t.workers.threads[0]?.fail('BROKER_ERROR')
    await t.reach('FAILED')
    expect(t.job.status.error?.code).toBe('TOPIC_RECREATED')
  })

  it('restarts when a deployment fails or is not answered', async () => {
    const t = setUpJob()
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
    const t = setUpJob()
    t.workers.replaceAfterMs = 1e9
    t.workers.threads[0]?.die('test')
    t.job.submit('test')
    await t.reach('FINISHED')
    expect(t.workers.threads[1]?.hosted.size).toBe(1)
    expect(t.workers.counted(1)).toBe(TOTAL)
  })

  it('refuses to go on where state would go unasked', async () => {
    const t = setUpJob()
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.job.history.completed >= 1)
    t.job.stop('test')
    await t.reach('SUSPENDED')
    const { source } = makeDefinition()
    t.job.resubmit(
      makePlan(makeDefinition({ source: { ...source, id: 'others' } })),
      { jobId: 'id-1', firstSplits: null, dropState: [], attempts: 0, settledId: 0 },
      'changed',
    )
    await t.reach('FAILED')
    expect(t.job.status.error).toMatchObject({
      code: 'STATE_INCOMPATIBLE',
      message: expect.stringMatching(/source events: the job has no such source.*--drop-state\): events/),
    })
  })
})

describe('JobCoordinator, stop and cancel', () => {
  it('stops with a last checkpoint and goes on from it', async () => {
    const t = setUpJob()
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
    const t = setUpJob()
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
    const t = setUpJob()
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.job.history.completed >= 2)
    t.job.cancel('asked')
    await t.reach('CANCELLED')
    await t.job.storeWork()
    expect(await t.store.listCheckpoints('engagement')).toEqual([])
    expect(await t.store.readJob('engagement')).toBeDefined()
    t.job.resubmit(makePlan(), { jobId: 'id-2', firstSplits: null, dropState: [], attempts: 0, settledId: 0 }, 'again')
    await t.reach('FINISHED')
    expect(t.states).toContain('CANCELLED')
    expect(t.job.restored).toBeNull()
    expect(t.workers.counted(1)).toBe(TOTAL)
  })

  it('begins afresh after a cancel that could not reach the store', async () => {
    const t = setUpJob()
    t.job.submit('test')
    await t.scheduler.runUntil(() => t.job.history.completed >= 2)
    t.data.fault = () => {
      throw new MillraceError('STORE_UNREACHABLE', 'no store')
    }
    t.job.cancel('asked')
    await t.reach('CANCELLED')
    await t.job.storeWork()
    t.data.fault = undefined
    t.job.resubmit(makePlan(), { jobId: 'id-2', firstSplits: null, dropState: [], attempts: 0, settledId: 0 }, 'again')
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
        const t = setUpJob()
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
    const t = setUpJob()
    t.job.submit('test')
    await t.reach('RUNNING')
    const stuck = t.workers.threads[0]!
    stuck.script.neverDisposes = true
    t.job.cancel('asked')
    await t.reach('CANCELLED')
    expect(stuck.terminated).toBe(true)
  })

  it('refuses what the state does not allow, with the state in the message', async () => {
    const t = setUpJob()
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
