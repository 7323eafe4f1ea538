/**
 * Time, chance and waiting, as they are passed in.
 *
 * Nothing but `core/system.ts` reads the machine's clock, starts a timer or draws a random number; everything else is
 * handed these ports. That is what lets a whole job run in one thread under a seeded scheduler and a virtual clock.
 */

/** Reads time. Both calls are cheap and never fail. */
export interface Clock {
  /** Wall clock, epoch milliseconds. May jump: use it for timestamps that people read, never for durations. */
  nowMs(): number
  /** Milliseconds since an arbitrary start, fractional; never goes back. For durations, deadlines, leases, idleness. */
  monotonicMs(): number
}

/** Stops what a Scheduler was asked for; a second call, or one after it ran, does nothing. */
export type Cancel = () => void

/** Runs something later, in the same thread. A callback must not throw: what it throws ends the process or the test. */
export interface Scheduler {
  /** Runs `task` once after at least `delayMs`. */
  after(delayMs: number, task: () => void): Cancel
  /** Runs `task` once, as soon as the thread has let I/O and messages in. */
  soon(task: () => void): Cancel
}

/** A stream of random numbers. Seeded everywhere but at the edge; the seed is logged. */
export interface Random {
  /** A whole number in 0 .. 2^32 - 1. */
  nextUint32(): number
}

/** A fraction in [0, 1) drawn from `random`. */
export function nextFraction(random: Random): number {
  return random.nextUint32() / 0x1_0000_0000
}

/** A whole number in 0 .. `bound` - 1 drawn from `random`; `bound` is at most 2^32. */
export function nextBelow(random: Random, bound: number): number {
  return Math.floor(nextFraction(random) * bound)
}

/** A small, fast, well-mixed generator (splitmix32) for tests, simulation and the event generator. */
export class SeededRandom implements Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  nextUint32(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0
    let z = this.#state
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    return (z ^ (z >>> 15)) >>> 0
  }
}
