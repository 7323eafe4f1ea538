/**
 * The machine's clock, timers and chance: the adapter behind `core/clock.ts`.
 *
 * The only file of core that touches them. Composition roots (main, worker entry, tests of adapters) create these and
 * pass them on.
 */
import { randomBytes } from 'node:crypto'
import type { Cancel, Clock, Random, Scheduler } from './clock.ts'

/** The machine's clocks. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
}

/** The event loop of this thread. */
export const systemScheduler: Scheduler = {
  after(delayMs: number, task: () => void): Cancel {
    const timer = setTimeout(task, Math.max(0, delayMs))
    return () => clearTimeout(timer)
  },
  soon(task: () => void): Cancel {
    const immediate = setImmediate(task)
    return () => clearImmediate(immediate)
  },
}

/** Randomness from the operating system: for nonces and jitter, never for anything that must replay. */
export const systemRandom: Random = {
  nextUint32: () => randomBytes(4).readUInt32LE(0),
}
