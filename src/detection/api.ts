/**
 * Asking for episodes, as the rest of the program does it.
 *
 * Owns: the contract between who finds them (detection/) and who asks (rpc/, cli). Plain data; times are epoch ms.
 */
import type { MillraceError } from '../core/errors.ts'
import type { JobDefinition } from '../job/definition.ts'

/** A job that may have detectors. */
export interface DetectedJob {
  /** Another one under the same name has another. */
  readonly jobId: string
  readonly definition: JobDefinition
}

/** Dimension names and texts of a series. */
export type Group = readonly { readonly name: string; readonly value: string }[]

/** Where an episode stands, in the names of Grafana's life cycle of alerts where they fit; see query.proto. */
export type EpisodeState = 'alerting' | 'recovering' | 'noData' | 'normal' | 'retracted'

/** Something unusual in one series of a metric. */
export interface EpisodeInfo {
  /** The same for as long as the episode is known, over restarts. */
  readonly id: string
  readonly job: string
  readonly detector: string
  readonly metric: string
  readonly group: Group
  readonly state: EpisodeState
  readonly direction: 'up' | 'down'
  /** When it is thought to have begun. */
  readonly startMs: number
  /** End of the window with which it could be known. */
  readonly openedMs: number
  /** End of its last anomalous window. */
  readonly lastMs: number
  /** End of the window that closed it; null while it is open. */
  readonly endMs: number | null
  /** The highest score of its windows, the value of that one, and what was expected of it. */
  readonly score: number
  readonly actual: number
  readonly expected: number
  /** 0 for bounds. */
  readonly threshold: number
  readonly anomalousWindows: number
  readonly revision: number
  readonly judgedThroughMs: number
  /** Nothing can change it any more. */
  readonly settled: boolean
}

/** How a threshold was set; see alert/calibrate.ts. */
export interface CalibrationInfo {
  readonly verdict: string
  readonly falseAlarms: number
  readonly falseAlarmsAllowed: number
  readonly judgedWindows: number
  /** Infinity when nothing was judged. */
  readonly ratePerPeriodMax: number
}

/** Where a series stands. */
export type SeriesState = 'normal' | 'pending' | 'alerting' | 'recovering' | 'warmingUp' | 'noData'

/** One series that is watched. */
export interface SeriesInfo {
  readonly group: Group
  readonly state: SeriesState
  readonly score: number
  /** NaN for none. */
  readonly actual: number
  readonly expected: number
  readonly threshold: number
  /** NaN for none. */
  readonly lower: number
  readonly upper: number
  /** Null where the definition says the threshold, and before a first history. */
  readonly calibration: CalibrationInfo | null
}

/** One detector. */
export interface DetectorInfo {
  readonly id: string
  readonly metric: string
  readonly description: string
  readonly kind: string
  readonly series: readonly SeriesInfo[]
  readonly groupsLeftOut: number
  /** -Infinity before the first window. */
  readonly judgedThroughMs: number
  /** Why nothing is judged for now; empty while it is. */
  readonly waiting: string
  /** Open episodes. */
  readonly open: number
}

/** Which episodes of a job. */
export interface EpisodeQuery {
  readonly job: string
  /** Empty for all. */
  readonly detector: string
}

/** What is known of the detectors of a job. */
export interface EpisodeResult {
  /** By start, then by id. */
  readonly episodes: readonly EpisodeInfo[]
  /** In the order of the definition. */
  readonly detectors: readonly DetectorInfo[]
}

/** Where a watch delivers. Nothing of it may throw. */
export interface EpisodeWatcher {
  /** First all that are known (unless `changesOnly`), perhaps none; then those that changed, each as it is now. */
  readonly onEpisodes: (episodes: readonly EpisodeInfo[]) => void
  /** Called once, last: with null because the job has finished or is gone, or with what ended the watch. */
  readonly onEnd: (error: MillraceError | null) => void
}

/** Answers questions about episodes. */
export interface EpisodeApi {
  /** JOB_NOT_FOUND, QUERY_INVALID for a detector that the job has not. */
  list(query: EpisodeQuery): Promise<EpisodeResult>
  /** Starts a watch; the function that it returns ends it, silently. Failures arrive by `onEnd`. */
  watch(query: EpisodeQuery, watcher: EpisodeWatcher, options?: { readonly changesOnly?: boolean }): () => void
}

/** Whether an episode is not over. */
export function isOpen({ state }: EpisodeInfo): boolean {
  return state !== 'normal' && state !== 'retracted'
}
