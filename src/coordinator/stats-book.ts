/**
 * The last statistics of every subtask, as the poll brings them, and what can be told from two of them in a row.
 *
 * Kept beyond the end of an attempt, so that a job that restarts or has stopped still shows what it had counted.
 */
import type { Clock } from '../core/clock.ts'
import type { SubtaskStats } from '../runtime/messages.ts'

/** The statistics of a subtask with the shares of the time between the last two polls. */
export interface SubtaskReading {
  readonly stats: SubtaskStats
  /** 0 to 1 each, together about 1; 0 before the second poll. */
  readonly busyRatio: number
  readonly idleRatio: number
  readonly backPressuredRatio: number
  /** Monotonic ms at which it arrived. */
  readonly atMs: number
}

/** Readings by job, operator and subtask. */
export class StatsBook {
  readonly #clock: Clock
  readonly #jobs = new Map<number, { attempt: number; readings: Map<string, SubtaskReading> }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Takes what one thread said about its subtasks. What belongs to an older attempt than known is dropped. */
  add(subtasks: readonly SubtaskStats[]): void {
    const atMs = this.#clock.monotonicMs()
    for (const stats of subtasks) {
      let job = this.#jobs.get(stats.job)
      if (job === undefined || job.attempt < stats.attempt) {
        job = { attempt: stats.attempt, readings: new Map() }
        this.#jobs.set(stats.job, job)
      }
      if (job.attempt > stats.attempt) continue
      const key = `${stats.operator} ${stats.subtask}`
      const before = job.readings.get(key)?.stats
      const share = (now: number, then: number | undefined, total: number) =>
        then === undefined || total <= 0 ? 0 : Math.max(0, now - then) / total
      const total =
        before === undefined
          ? 0
          : stats.busyMs - before.busyMs + stats.idleMs - before.idleMs + stats.backPressuredMs - before.backPressuredMs
      job.readings.set(key, {
        stats,
        busyRatio: share(stats.busyMs, before?.busyMs, total),
        idleRatio: share(stats.idleMs, before?.idleMs, total),
        backPressuredRatio: share(stats.backPressuredMs, before?.backPressuredMs, total),
        atMs,
      })
    }
  }

  /** Readings of a job's newest attempt, by operator in order of arrival, then subtask. */
  of(job: number): readonly SubtaskReading[] {
    const readings = [...(this.#jobs.get(job)?.readings.values() ?? [])]
    const order = [...new Set(readings.map((reading) => reading.stats.operator))]
    return readings.sort(
      (a, b) => order.indexOf(a.stats.operator) - order.indexOf(b.stats.operator) || a.stats.subtask - b.stats.subtask,
    )
  }

  /** Forgets a job. */
  remove(job: number): void {
    this.#jobs.delete(job)
  }
}
