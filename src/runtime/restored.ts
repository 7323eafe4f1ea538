/** What the checkpoint that an attempt goes on from says of one operator. Pure. */
import type { SubtaskSnapshot } from '../checkpoint/snapshot.ts'
import { MIN_WATERMARK } from '../core/time.ts'

/** The snapshots of one operator; none on a fresh start. */
export class Restored {
  readonly snapshots: readonly SubtaskSnapshot[]
  readonly #parallelism: number

  /** `parallelism` is that of the new attempt; the snapshots may be of another. */
  constructor(all: readonly SubtaskSnapshot[], operator: string, parallelism: number) {
    this.snapshots = all.filter((snapshot) => snapshot.operatorId === operator)
    this.#parallelism = parallelism
  }

  /** The snapshot of the same subtask at the same parallelism. */
  own(index: number): SubtaskSnapshot | undefined {
    return this.snapshots.find((s) => s.subtask === index && s.parallelism === this.#parallelism)
  }

  /** Counters by name: a subtask's own at the same parallelism, all of them in subtask 0 at another. */
  counters(index: number): Record<string, number> {
    const same = this.snapshots.every((snapshot) => snapshot.parallelism === this.#parallelism)
    const mine = same ? this.snapshots.filter((s) => s.subtask === index) : index === 0 ? this.snapshots : []
    const counters: Record<string, number> = {}
    for (const snapshot of mine) {
      for (const [name, value] of Object.entries(snapshot.counters)) counters[name] = (counters[name] ?? 0) + value
    }
    return counters
  }

  /**
   * A subtask's own watermark at the same parallelism, else the largest. Where idleness is involved, subtasks behind one
   * exchange can differ at a barrier (the order of marks between channels matters then), and none may go back: a window
   * that one of them has closed must not open again beside its own history.
   */
  watermarkMs(index: number): number {
    return this.own(index)?.watermarkMs ?? Math.max(MIN_WATERMARK, ...this.snapshots.map((s) => s.watermarkMs))
  }
}
