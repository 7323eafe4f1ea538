/** An EpisodeApi of one job, whose episodes a test sets. */
import { MillraceError } from '../../../src/core/errors.ts'
import type { DetectorInfo, EpisodeApi, EpisodeInfo, EpisodeQuery, EpisodeWatcher } from '../../../src/detection/api.ts'

const DAY_MS = 86_400_000
const startMs = Date.UTC(2024, 3, 9)

/** An episode of job `shop`. */
export function someEpisode(over: Partial<EpisodeInfo> = {}): EpisodeInfo {
  return {
    ...{ id: '0123456789abcdef', job: 'shop', detector: 'payment', metric: 'to_payment' },
    group: [{ name: 'step', value: '2' }],
    ...{ state: 'normal', direction: 'down', startMs, openedMs: startMs + DAY_MS, lastMs: startMs + 3 * DAY_MS },
    ...{ endMs: startMs + 5 * DAY_MS, score: 3.96, actual: 0.2727, expected: 0.52, threshold: 2.78 },
    ...{ anomalousWindows: 3, revision: 18, judgedThroughMs: startMs + 9 * DAY_MS, settled: true },
    ...over,
  }
}

/** The detector that found it. */
export function someDetector(over: Partial<DetectorInfo> = {}): DetectorInfo {
  const calibration = { verdict: 'calibrated', falseAlarms: 0, falseAlarmsAllowed: 0, judgedWindows: 11 }
  return {
    ...{ id: 'payment', metric: 'to_payment', description: '', kind: 'cusum', groupsLeftOut: 0, waiting: '', open: 0 },
    judgedThroughMs: startMs + 9 * DAY_MS,
    series: [
      {
        group: [{ name: 'step', value: '2' }],
        ...{ state: 'normal', score: 0.5, actual: 0.5, expected: 0.52, threshold: 2.78 },
        ...{ lower: Number.NaN, upper: Number.NaN },
        calibration: { ...calibration, ratePerPeriodMax: Number.POSITIVE_INFINITY },
      },
    ],
    ...over,
  }
}

/** Episodes of job `shop`. */
export class FakeEpisodes implements EpisodeApi {
  episodes: readonly EpisodeInfo[] = [someEpisode()]
  detectors: readonly DetectorInfo[] = [someDetector()]
  /** Watches that are open. */
  readonly watchers = new Set<EpisodeWatcher>()

  async list({ job, detector }: EpisodeQuery) {
    if (job !== 'shop') throw new MillraceError('JOB_NOT_FOUND', `there is no job ${job}`)
    const episodes = this.episodes.filter((one) => detector === '' || one.detector === detector)
    return { episodes, detectors: this.detectors }
  }

  watch(query: EpisodeQuery, watcher: EpisodeWatcher, options?: { readonly changesOnly?: boolean }): () => void {
    this.watchers.add(watcher)
    this.list(query).then(
      ({ episodes }) => watcher.onEpisodes(options?.changesOnly === true ? [] : episodes),
      (thrown: unknown) => {
        this.watchers.delete(watcher)
        watcher.onEnd(MillraceError.from(thrown))
      },
    )
    return () => {
      this.watchers.delete(watcher)
    }
  }
}
