/**
 * The bound on buffers of a thread that runs an author's code.
 *
 * A heap limit ends a thread whose objects are too many, but bytes of ArrayBuffers are outside the heap: without this,
 * code that keeps them would take the memory of the whole process. Looked at from outside, since a thread that is busy
 * filling its memory does not come to look at itself. Owns: looking, and what is said. Does not own: what becomes of the
 * thread.
 */
import type { Cancel, Scheduler } from '../core/clock.ts'

/** How often is looked. */
const EVERY_MS = 100

/** Looks in a row that must find too much: garbage that was not collected yet is no reason. */
const LOOKS = 3

/**
 * Calls `exceeded` once, with the reason, when `bytes` has stayed above `most`. The answer ends that; so does a `bytes`
 * that rejects, which is what a thread that has ended does.
 */
export function watchBuffers(
  bytes: () => Promise<number>,
  most: number,
  scheduler: Scheduler,
  exceeded: (why: string) => void,
): Cancel {
  let above = 0
  let ended = false
  let cancel: Cancel = () => {}
  const look = async (): Promise<void> => {
    const held = await bytes()
    if (ended) return
    above = held > most ? above + 1 : 0
    // Far above it, waiting only makes it worse.
    if (above >= LOOKS || held > most * 2) {
      exceeded(`reaching memory limit: ${mebibytes(held)} of buffers outside the heap, of ${mebibytes(most)} at most`)
      return
    }
    next()
  }
  const next = (): void => {
    cancel = scheduler.after(EVERY_MS, () => void look().catch(() => {}))
  }
  next()
  return () => {
    ended = true
    cancel()
  }
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MiB`
}
