/**
 * Waiting out trouble that passes by itself: a broker that restarts, a leader that moves, a transaction that is ending.
 */
import { type Clock, nextFraction, type Random, type Scheduler } from '../../core/clock.ts'
import { MillraceError } from '../../core/errors.ts'

/** What a client of a broker is handed from the machine. */
export interface KafkaPorts {
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly random: Random
}

const BACKOFF_MAX_MS = 1000

/** The pauses between the tries of one step: each twice as long as the last, up to a second, with jitter. */
export class Patience {
  readonly #ports: KafkaPorts
  readonly #endMs: number
  readonly #closed: () => boolean
  #delayMs: number

  /** Ends after `patienceMs`, and at once when `closed` says that the client is. */
  constructor(ports: KafkaPorts, patienceMs: number, backoffMs: number, closed: () => boolean) {
    this.#ports = ports
    this.#endMs = ports.clock.monotonicMs() + patienceMs
    this.#delayMs = backoffMs
    this.#closed = closed
  }

  /** Resolves when the next try is due. Rejects with `why` when patience is over, with CANCELLED when the client is closed. */
  async pause(why: MillraceError): Promise<void> {
    const { clock, scheduler, random } = this.#ports
    if (this.#closed()) throw new MillraceError('CANCELLED', 'the Kafka client is closed')
    const waitMs = this.#delayMs * (0.5 + 0.5 * nextFraction(random))
    if (clock.monotonicMs() + waitMs > this.#endMs) throw why
    this.#delayMs = Math.min(BACKOFF_MAX_MS, this.#delayMs * 2)
    await new Promise<void>((resolve) => scheduler.after(waitMs, resolve))
  }
}

/** The error if it is of a kind that passes by itself; throws it otherwise. */
export function passing(error: unknown): MillraceError {
  const failure = MillraceError.from(error)
  if (failure.retry === 'backoff') return failure
  throw failure
}
