/**
 * Following one job: what it is like, told again whenever it has changed.
 *
 * Owns: looking at a pace, telling only what differs, and the rate at which events are read. Does not own: what is known
 * of a job (ControlApi.describe), what waits for a slow reader (rpc/latest-writer.ts). Nothing is queued here.
 */
import type { Cancel, Clock, Scheduler } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import { pendingRecords } from '../observe/readiness.ts'
import { type ControlApi, isTerminal, type JobDetails, type JobUpdate } from './api.ts'

/** Milliseconds between two looks. */
export const jobWatchIntervalMs = 250

/** How far back the rate of reading looks. */
const RATE_WINDOW_MS = 5000

/** Where a watch delivers. Neither may throw. */
export interface JobWatcher {
  /** The job as it is; first at once, then after each change. */
  readonly onUpdate: (update: JobUpdate) => void
  /** Called once, last: with null because the job has ended, or with what ended the watch. */
  readonly onEnd: (error: MillraceError | null) => void
}

/** Starts a watch; the function that it returns ends it, silently. JOB_NOT_FOUND arrives by `onEnd`. */
export function watchJob(
  control: Pick<ControlApi, 'describe'>,
  clock: Clock,
  scheduler: Scheduler,
  name: string,
  watcher: JobWatcher,
): () => void {
  const rate = new ReadRate()
  let open = true
  let told = ''
  let timer: Cancel = () => {}
  const end = (error: MillraceError | null) => {
    if (!open) return
    open = false
    watcher.onEnd(error)
  }
  const look = () => {
    control.describe(name).then(
      (details) => {
        if (!open) return
        const update = updateOf(details, rate.add(clock.monotonicMs(), details))
        const text = JSON.stringify(update)
        if (text !== told) watcher.onUpdate(update)
        told = text
        if (isTerminal(details.summary.state)) end(null)
        else timer = scheduler.after(jobWatchIntervalMs, look)
      },
      (thrown: unknown) => {
        const error = MillraceError.from(thrown)
        // What passes by itself ends no watch that has begun.
        if (told === '' || error.retry !== 'backoff') end(error)
        else if (open) timer = scheduler.after(jobWatchIntervalMs, look)
      },
    )
  }
  look()
  return () => {
    open = false
    timer()
  }
}

function updateOf(details: JobDetails, readPerSecond: number): JobUpdate {
  const { summary, graph, subtasks, checkpoints, exceptions } = details
  return {
    summary,
    graph,
    subtasks,
    checkpoints,
    progress: { pendingRecords: pendingRecords(details), readPerSecond },
    lastException: exceptions[0] ?? null,
  }
}

/**
 * Records a second over the last seconds. Counts arrive at the pace of the statistics, so when one was taken is known
 * only of one that has just changed: a rate needs two changes.
 */
class ReadRate {
  readonly #samples: { readonly atMs: number; readonly read: number }[] = []
  #last: number | null = null
  #counted = ''

  /** Takes a look at the counter; the rate as of now, whole records. */
  add(atMs: number, { summary, subtasks }: Pick<JobDetails, 'summary' | 'subtasks'>): number {
    const samples = this.#samples
    const { read } = summary.events
    // A subtask that is heard of for the first time brings all that it has read since the job began.
    const counted = `${summary.attempt}/${subtasks.length}`
    if (counted !== this.#counted) {
      samples.length = 0
      this.#last = null
    }
    this.#counted = counted
    const last = this.#last
    this.#last = read
    // A restart takes back what was read since the checkpoint.
    if (last !== null && read < last) samples.length = 0
    else if (last !== null && read > last) samples.push({ atMs, read })
    while (samples.length > 2 && samples[1]!.atMs <= atMs - RATE_WINDOW_MS) samples.shift()
    const [oldest, newest] = [samples[0], samples.at(-1)]
    if (oldest === undefined || newest === undefined || oldest === newest) return 0
    if (newest.atMs <= atMs - RATE_WINDOW_MS) return 0
    return Math.round(((newest.read - oldest.read) * 1000) / (newest.atMs - oldest.atMs))
  }
}
