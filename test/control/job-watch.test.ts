import { describe, expect, it } from 'vitest'
import type { JobDetails, JobState, JobUpdate } from '../../src/control/api.ts'
import { jobWatchIntervalMs, watchJob } from '../../src/control/job-watch.ts'
import { MillraceError } from '../../src/core/errors.ts'
import { ManualClock, ManualScheduler } from '../../src/testing/manual-clock.ts'
import { someDetails, someStats, someSummary } from '../support/fakes/control.ts'

/** A job whose state and counters a test sets, followed. */
class Followed {
  readonly clock = new ManualClock()
  readonly scheduler = new ManualScheduler(this.clock)
  readonly updates: JobUpdate[] = []
  readonly ends: (MillraceError | null)[] = []
  state: JobState = 'RUNNING'
  read = 0
  pending = [5, 7]
  error: MillraceError | null = null
  looks = 0
  readonly cancel: () => void

  constructor(error: MillraceError | null = null) {
    this.error = error
    const control = { describe: async () => this.#details() }
    this.cancel = watchJob(control, this.clock, this.scheduler, 'shop', {
      onUpdate: (update) => this.updates.push(update),
      onEnd: (end) => this.ends.push(end),
    })
  }

  /** Lets one interval pass. */
  async pass(ms: number = jobWatchIntervalMs): Promise<void> {
    await settle()
    this.clock.advance(ms)
    while (this.scheduler.step()) await settle()
    await settle()
  }

  #details(): JobDetails {
    this.looks++
    if (this.error !== null) throw this.error
    const summary = someSummary('shop', this.state)
    const details = someDetails({ ...summary, events: { ...summary.events, read: this.read } }, '')
    const [one] = details.subtasks
    const subtasks = this.pending.map((pendingRecords, subtask) => ({
      ...one!,
      stats: { ...someStats, subtask, pendingRecords },
    }))
    return { ...details, subtasks }
  }
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve()
}

describe('watchJob', () => {
  it('tells the job at once, then only what differs', async () => {
    const job = new Followed()
    await settle()
    expect(job.updates).toHaveLength(1)
    expect(job.updates[0]).toMatchObject({
      summary: { name: 'shop', state: 'RUNNING' },
      progress: { pendingRecords: 12 },
    })
    expect(job.updates[0]?.lastException?.code).toBe('BROKER_UNREACHABLE')
    await job.pass()
    await job.pass()
    expect([job.looks, job.updates.length]).toEqual([3, 1])
    job.state = 'RESTARTING'
    await job.pass()
    expect(job.updates.map(({ summary }) => summary.state)).toEqual(['RUNNING', 'RESTARTING'])
    job.cancel()
    await job.pass()
    expect([job.looks, job.ends]).toEqual([4, []])
  })

  it('ends with the job, after its last state', async () => {
    const job = new Followed()
    await settle()
    job.state = 'FINISHED'
    await job.pass()
    expect([job.updates.at(-1)?.summary.state, job.ends]).toEqual(['FINISHED', [null]])
    await job.pass()
    expect(job.looks).toBe(2)
  })

  it('says how fast events are read, over the last seconds, and starts over with a restart', async () => {
    const job = new Followed()
    await settle()
    expect(job.updates.at(-1)?.progress.readPerSecond).toBe(0)
    for (let second = 1; second <= 10; second++) {
      job.read = second * 500
      await job.pass(1000)
    }
    expect(job.updates.at(-1)?.progress.readPerSecond).toBe(500)
    // A count that was there before is of nobody knows when, so the second change is the first that tells a rate.
    for (const [read, rate] of [
      [100, 0],
      [300, 0],
      [500, 200],
    ] as const) {
      job.read = read
      await job.pass(1000)
      expect(job.updates.at(-1)?.progress.readPerSecond).toBe(rate)
    }
    // Nothing more to read: the rate is that of now, not of once.
    await job.pass(6000)
    expect(job.updates.at(-1)?.progress.readPerSecond).toBe(0)
  })

  it('takes no subtask that is heard of for the first time for records read now', async () => {
    const job = new Followed()
    job.pending = []
    await settle()
    for (const [read, pending] of [
      [5e8, [0]],
      [5e8 + 100, [0]],
      [1e9 + 200, [0, 0]],
      [1e9 + 300, [0, 0]],
    ] as const) {
      job.read = read
      job.pending = [...pending]
      await job.pass(1000)
      expect(job.updates.at(-1)?.progress.readPerSecond).toBeLessThanOrEqual(100)
    }
    job.read += 100
    await job.pass(1000)
    expect(job.updates.at(-1)?.progress.readPerSecond).toBe(100)
  })

  it('does not know how much is left when one subtask does not', async () => {
    const job = new Followed()
    job.pending = [5, -1]
    await job.pass()
    expect(job.updates.at(-1)?.progress.pendingRecords).toBe(-1)
  })

  it('ends with what it cannot follow, and waits out what passes', async () => {
    const missing = new MillraceError('JOB_NOT_FOUND', 'there is no job shop')
    const lost = new Followed(missing)
    await settle()
    expect(lost.ends).toEqual([missing])
    const job = new Followed()
    await settle()
    job.error = new MillraceError('UNAVAILABLE', 'recovering')
    await job.pass()
    expect(job.ends).toEqual([])
    job.error = null
    job.state = 'SUSPENDED'
    await job.pass()
    expect([job.updates.at(-1)?.summary.state, job.ends]).toEqual(['SUSPENDED', [null]])
  })
})
