/**
 * The lease of one job: what makes this process the only one whose checkpoints count.
 *
 * Owns: acquiring (waiting while another instance holds it), renewing at a third of its time to live, giving it back.
 * Does not own: what a loss means for the job (job-coordinator.ts).
 *
 * A renewal that cannot reach the store changes nothing: the store itself refuses what is done under a lease that
 * somebody else has taken meanwhile, and renews one that only ran out. So a store that is away for a minute does not
 * stop the job. Loss is certain only when the store says STORE_FENCED or STORE_LOST.
 *
 * Calls to the store are made one after the other, so that a release never overtakes an acquisition.
 */
import { randomId } from '../checkpoint/store-errors.ts'
import type { Cancel } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import type { JobPorts } from './job-ports.ts'

/** A lease that is held. */
export interface Lease {
  readonly generation: number
  readonly nonce: string
  /** Highest checkpoint id ever published when the lease was acquired. */
  readonly lastCheckpointId: number
}

/** What a keeper needs of the world. */
export type LeasePorts = Pick<JobPorts, 'store' | 'scheduler' | 'random' | 'log' | 'instanceId'>

/** Holds the lease of one job, or waits for it, or neither. */
export class LeaseKeeper {
  readonly #job: string
  readonly #ports: LeasePorts
  readonly #ttlMs: number
  readonly #onLost: (error: MillraceError) => void
  #held: Lease | undefined
  #lastGeneration = 0
  #cancelRenewal: Cancel = () => {}
  /** Raised by every acquire and release: what was asked for before counts no more. */
  #wish = 0
  #work: Promise<unknown> = Promise.resolve()
  #cancelWait: () => void = () => {}

  /** `onLost` is called once a lease, when the store says that it is not ours any more. */
  constructor(job: string, ports: LeasePorts, ttlMs: number, onLost: (error: MillraceError) => void) {
    this.#job = job
    this.#ports = ports
    this.#ttlMs = ttlMs
    this.#onLost = onLost
  }

  /** The lease, while it is held. */
  get held(): Lease | undefined {
    return this.#held
  }

  /**
   * The lease; waits as long as another instance holds it, and tells `onWaiting` who that is. Rejects with the store's
   * errors, and CANCELLED when `release` is called meanwhile. Generation and checkpoint ids of the new lease are above
   * those that this keeper has seen and `checkpointId`, also on a store that has lost its data.
   */
  async acquire(onWaiting: (heldBy: string) => void, checkpointId: number): Promise<Lease> {
    if (this.#held !== undefined) return this.#held
    const wish = ++this.#wish
    const nonce = randomId(this.#ports.random)
    for (;;) {
      const retryAfterMs = await this.#serially(() => this.#tryAcquire(wish, nonce, checkpointId, onWaiting))
      if (this.#held !== undefined && this.#wish === wish) return this.#held
      if (this.#wish !== wish) throw new MillraceError('CANCELLED', 'the lease is not wanted any more')
      await this.#wait(retryAfterMs)
    }
  }

  /** Gives the lease back, or stops waiting for it. Never rejects: a lease that cannot be given back runs out. */
  async release(): Promise<void> {
    const lease = this.#held
    this.#forget()
    this.#wish++
    this.#cancelWait()
    await this.#serially(async () => {
      if (lease !== undefined) await this.#giveBack(lease)
    })
  }

  /** Reports a loss that another call on the store has found. Does nothing when `generation` is not held. */
  lost(generation: number, error: MillraceError): void {
    if (this.#held?.generation !== generation) return
    this.#forget()
    this.#onLost(error)
  }

  /** Returns how long to wait, in ms; 0 when the lease is held or no longer wanted. */
  async #tryAcquire(
    wish: number,
    nonce: string,
    checkpointId: number,
    onWaiting: (heldBy: string) => void,
  ): Promise<number> {
    if (this.#wish !== wish) return 0
    const { store, instanceId } = this.#ports
    const floor = { generation: this.#lastGeneration, checkpointId }
    const result = await store.acquireLease(this.#job, instanceId, nonce, this.#ttlMs, floor)
    if (!result.acquired) {
      if (this.#wish === wish) onWaiting(result.heldBy)
      return Math.min(this.#ttlMs, Math.max(50, result.retryAfterMs))
    }
    this.#lastGeneration = result.generation
    const lease: Lease = { generation: result.generation, nonce, lastCheckpointId: result.lastCheckpointId }
    if (this.#wish !== wish) {
      await this.#giveBack(lease)
      return 0
    }
    this.#held = lease
    this.#armRenewal(lease)
    return 0
  }

  #armRenewal(lease: Lease): void {
    this.#cancelRenewal = this.#ports.scheduler.after(this.#ttlMs / 3, () => {
      void this.#serially(() => this.#renew(lease))
    })
  }

  async #renew(lease: Lease): Promise<void> {
    if (this.#held !== lease) return
    const { store, log } = this.#ports
    const job = this.#job
    try {
      await store.renewLease(job, lease.generation, lease.nonce, this.#ttlMs)
    } catch (thrown) {
      const error = MillraceError.from(thrown)
      if (error.code === 'STORE_FENCED' || error.code === 'STORE_LOST') {
        this.lost(lease.generation, error)
        return
      }
      log('warn', `the lease of job ${job} could not be renewed: ${error.message}`, { job, code: error.code })
    }
    if (this.#held === lease) this.#armRenewal(lease)
  }

  async #giveBack(lease: Lease): Promise<void> {
    const { store, log } = this.#ports
    const job = this.#job
    try {
      await store.releaseLease(job, lease.generation, lease.nonce)
    } catch (thrown) {
      log('warn', `the lease of job ${job} could not be given back: ${MillraceError.from(thrown).message}`, { job })
    }
  }

  #forget(): void {
    this.#held = undefined
    this.#cancelRenewal()
  }

  async #wait(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = this.#ports.scheduler.after(ms, resolve)
    this.#cancelWait = () => {
      cancel()
      resolve()
    }
    await promise
  }

  #serially<T>(task: () => Promise<T>): Promise<T> {
    const next = this.#work.then(task)
    this.#work = next.catch(() => {})
    return next
  }
}
