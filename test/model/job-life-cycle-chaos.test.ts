/**
 * The whole coordinator in virtual time while everything around it breaks: threads die, hang and refuse, the store and
 * the broker go away (also after taking a call), people stop, cancel and submit, and the process itself is killed and
 * leaves its threads behind as zombies. When the faults are over the job must finish, with every record counted once.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { restStates } from '../../src/coordinator/job-state.ts'
import { MillraceError } from '../../src/core/errors.ts'
import { setUpJob, TOTAL } from '../coordinator/support/job.ts'
import { makePlan } from '../coordinator/support/world.ts'

const thread = fc.nat(1)
const fault = fc.oneof(
  fc.record({ kind: fc.constant('die' as const), thread }),
  fc.record({ kind: fc.constant('fail' as const), thread }),
  fc.record({
    kind: fc.constantFrom('silent', 'dropAcks', 'decline', 'neverDisposes', 'neverDeploys'),
    thread,
    ms: fc.nat(3000),
  }),
  fc.record({ kind: fc.constantFrom('storeBefore', 'storeAfter', 'storeFlaky', 'broker'), ms: fc.nat(8000) }),
  fc.record({ kind: fc.constantFrom('stop', 'submit', 'checkpoint') }),
  fc.record({ kind: fc.constant('kill' as const) }),
)
const schedule = fc.array(fc.record({ afterMs: fc.nat(700), fault }), { minLength: 1, maxLength: 12 })

type Setup = ReturnType<typeof setUpJob>

class Chaos {
  /** The process that lives; those before it are zombies. */
  now: Setup
  readonly #seed: number
  readonly all: Setup[] = []

  constructor(seed: number) {
    this.#seed = seed
    this.now = setUpJob({ seed, hub: { silentMs: 5000 } })
    this.all.push(this.now)
    this.now.job.submit('test')
  }

  /** Does one thing now; a fault that lasts undoes itself. */
  apply(what: typeof fault extends fc.Arbitrary<infer T> ? T : never): void {
    const { workers, job, data, topic, scheduler } = this.now
    const target = 'thread' in what ? workers.threads[what.thread] : undefined
    const undo = (ms: number, task: () => void) => void scheduler.after(ms, task)
    switch (what.kind) {
      case 'die':
        target?.die('chaos')
        return
      case 'fail':
        target?.fail('BROKER_ERROR')
        return
      case 'decline':
        if (target === undefined || !('ms' in what)) return
        target.script.decline = 'INTERNAL'
        undo(what.ms, () => (target.script.decline = undefined))
        return
      case 'silent':
      case 'dropAcks':
      case 'neverDisposes':
      case 'neverDeploys': {
        if (target === undefined || !('ms' in what)) return
        const name = what.kind
        target.script[name] = true
        undo(what.ms, () => (target.script[name] = false))
        return
      }
      case 'storeBefore':
      case 'storeAfter':
      case 'storeFlaky': {
        if (!('ms' in what)) return
        let calls = 0
        data.fault = (_operation, when) => {
          const hit =
            what.kind === 'storeFlaky' ? ++calls % 3 === 0 : (when === 'before') === (what.kind === 'storeBefore')
          if (hit) throw new MillraceError('STORE_UNREACHABLE', 'chaos')
        }
        undo(what.ms, () => (data.fault = undefined))
        return
      }
      case 'broker':
        if (!('ms' in what)) return
        topic.failure = new MillraceError('BROKER_UNREACHABLE', 'chaos')
        undo(what.ms, () => (topic.failure = undefined))
        return
      case 'stop':
        if (['STARTING', 'RUNNING', 'RESTARTING', 'FINISHING', 'FINISHED'].includes(job.status.state)) job.stop('chaos')
        return
      case 'submit':
        if (restStates.has(job.status.state)) job.submit('chaos')
        return
      case 'checkpoint':
        job.checkpoint().catch(() => {})
        return
      case 'kill':
        // A process that holds the lease goes on, as one does that was only stopped for a while: a zombie. One that does
        // not is ended, as two of the same name would take the lease from each other in turn.
        if (data.job('engagement').nonce === '' || job.status.state !== 'RUNNING') void job.close()
        this.now = setUpJob({ seed: this.#seed + this.all.length, beside: this.now, hub: { silentMs: 5000 } })
        this.all.push(this.now)
        this.now.job.submit('after a crash')
    }
  }

  /** No more faults; the job is wanted. */
  heal(): void {
    for (const { data, topic, workers } of this.all) {
      data.fault = undefined
      topic.failure = undefined
      for (const one of workers.threads) {
        Object.assign(one.script, { silent: false, dropAcks: false, neverDisposes: false, neverDeploys: false })
        one.script.decline = undefined
      }
    }
  }
}

describe('the coordinator under chaos', () => {
  it('finishes with every record counted once, whatever happened', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 1_000_000 }), schedule, async (seed, steps) => {
        const chaos = new Chaos(seed)
        for (const { afterMs, fault: what } of steps) {
          await chaos.now.scheduler.runFor(afterMs)
          chaos.apply(what)
        }
        await chaos.now.scheduler.runFor(10_000)
        chaos.heal()
        const { job, scheduler, workers, store } = chaos.now
        for (let i = 0; i < 5 && job.status.state !== 'FINISHED'; i++) {
          if (job.status.state === 'FAILED')
            expect(job.status.error?.code, job.status.reason).toBe('never fails for good')
          if (job.status.state === 'SUSPENDED') job.submit('healed')
          await scheduler.runFor(20_000)
        }
        expect(job.status.state, job.status.reason).toBe('FINISHED')
        expect(workers.counted(1)).toBe(TOTAL)
        // Nobody ever hosted two attempts of the job in one thread.
        expect(workers.all.flatMap((one) => one.overlaps)).toEqual([])
        // Who was cut off knows it, and holds nothing.
        for (const zombie of chaos.all.slice(0, -1)) {
          expect(zombie.workers.hostedAttempts()).toEqual([])
        }
        // What is kept is what retention says, and a checkpoint whose publication was in doubt.
        expect((await store.listCheckpoints('engagement')).length).toBeLessThanOrEqual(4)
        expect(chaos.now.data.job('engagement').nonce).not.toBe('')
      }),
      { numRuns: 60 },
    )
  }, 120_000)

  it('ends in CANCELLED with nothing left when cancelled after anything', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 1_000_000 }), schedule, async (seed, steps) => {
        const chaos = new Chaos(seed)
        for (const { afterMs, fault: what } of steps) {
          if (what.kind === 'kill') continue
          await chaos.now.scheduler.runFor(afterMs)
          chaos.apply(what)
        }
        const { job, scheduler, workers, data, store } = chaos.now
        job.cancel('test')
        await scheduler.runUntil(() => job.status.state === 'CANCELLED', `CANCELLED, at ${job.status.state}`)
        chaos.heal()
        await scheduler.runFor(10_000)
        expect(workers.hostedAttempts()).toEqual([])
        // Given back, or, when the store was away just then, run out because nobody renews it.
        const { nonce, expiresMs } = data.job('engagement')
        expect(nonce === '' || expiresMs < scheduler.clock.monotonicMs()).toBe(true)
        job.resubmit(
          makePlan(),
          { jobId: 'another', firstSplits: null, dropState: [], attempts: 0, settledId: 0 },
          'anew',
        )
        await scheduler.runUntil(() => job.status.state === 'FINISHED', 'FINISHED')
        expect(workers.counted(1)).toBe(TOTAL)
        await scheduler.runFor(1000)
        expect((await store.listCheckpoints('engagement')).length).toBeLessThanOrEqual(2)
      }),
      { numRuns: 30 },
    )
  }, 120_000)
})
