/**
 * What the readers of this folder have in common: the table of assigned partitions, taking them in turn, and waking.
 *
 * Owns: positions, pauses, fairness, the one reused status. Does not own: where records come from.
 */
import type { Scheduler } from '../core/clock.ts'
import { invariant, MillraceError } from '../core/errors.ts'
import type { PartitionStatus, SplitAssignment } from './source.ts'

/** One assigned partition, as every reader keeps it. */
export interface Split {
  readonly partition: number
  readonly stopOffset: number
  /** Offset after the last record handed out. */
  position: number
  paused: boolean
}

/** The common part of a split, as it is when it is assigned. */
export function newSplit(assignment: SplitAssignment): Split {
  const { partition, offset, stopOffset } = assignment
  // A position beyond the stop offset (the run was made longer, then shorter) has nothing more to read.
  return { partition, position: offset, stopOffset, paused: false }
}

/** Whether nothing more will come. */
export function isFinished(split: Split): boolean {
  return split.position >= split.stopOffset
}

/** A status to be filled again and again. */
export function newStatus(): PartitionStatus {
  return {
    partition: 0,
    position: 0,
    highWatermark: -1,
    lastStableOffset: -1,
    lastFetchMs: Number.NEGATIVE_INFINITY,
    reachable: true,
    finished: false,
  }
}

/** The partitions of one reader, taken in turn. */
export class SplitTable<S extends Split> {
  readonly all: S[] = []
  #turn = 0

  /** Adds a partition; one twice is a bug of the caller. */
  add(split: S): void {
    invariant(!this.all.some((other) => other.partition === split.partition), `partition ${split.partition} twice`)
    this.all.push(split)
  }

  /** The split of a partition that has been assigned. */
  get(partition: number): S {
    const split = this.all.find((other) => other.partition === partition)
    invariant(split !== undefined, `partition ${partition} was not assigned to this reader`)
    return split
  }

  /** The next split, after the one returned last, that is neither paused nor finished and has something by `has`. */
  next(has: (split: S) => boolean): S | undefined {
    const { all } = this
    for (let i = 0; i < all.length; i++) {
      const index = (this.#turn + i) % all.length
      const split = all[index]!
      if (split.paused || isFinished(split) || !has(split)) continue
      this.#turn = index + 1
      return split
    }
    return undefined
  }
}

/** The `onReady` of a reader: one waiter at a time, called once. */
export class Wakeup {
  readonly #scheduler: Scheduler
  #wake: (() => void) | undefined

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler
  }

  /** Registers `wake`; it runs soon if `readyNow`, else at the next `signal`. */
  register(wake: () => void, readyNow: boolean): void {
    this.#wake = wake
    if (readyNow) this.signalSoon()
  }

  /** Calls the waiter, if there is one. */
  signal(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }

  /** Calls the waiter, if there still is one, when the thread is next free. */
  signalSoon(): void {
    if (this.#wake !== undefined) this.#scheduler.soon(() => this.signal())
  }

  /** Forgets the waiter. */
  close(): void {
    this.#wake = undefined
  }
}

/** TOPIC_RECREATED: the topic of this name is not the one that a position belongs to. */
export function topicRecreated(topic: string, had: string, has: string): MillraceError {
  return new MillraceError(
    'TOPIC_RECREATED',
    `topic ${topic} was deleted and created again: positions belong to topic id ${had}, it now has ${has}; ` +
      'start the job without its checkpoint to read the new topic',
  )
}
