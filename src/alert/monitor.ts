/** A detector and the episodes of one series, window by window, or over a whole history. */
import { newCusum } from './cusum.ts'
import {
  type BandedJudgement,
  Detector,
  type DetectorState,
  type Observation,
  type Standing,
  thresholdOf,
} from './detector.ts'
import type { DetectorSpec } from './detector-spec.ts'
import {
  type Episode,
  type EpisodeEvent,
  type EpisodeRules,
  type EpisodeState,
  follow,
  noEpisodes,
} from './episodes.ts'

/** Runs a detector over windows from their beginning: its episodes, the open one last, without `closedMs`. */
export function replay(spec: DetectorSpec, windows: readonly Observation[], rules?: EpisodeRules): Episode[] {
  const detector = new Detector(spec)
  return episodesOf(detector, standingsOf(detector, windows), thresholdOf(spec), rules)
}

/** A detector and its episodes for one series: what a consumer keeps. Plain data, changed in place. */
export interface MonitorState {
  detector: DetectorState
  episodes: EpisodeState
}

/** A series of which nothing was seen. */
export function newMonitor(detector: Detector): MonitorState {
  return { detector: detector.start(), episodes: noEpisodes() }
}

/** Judges a window of a series, and says what it makes of its episodes. */
export function observe(
  detector: Detector,
  state: MonitorState,
  window: Observation,
  rules?: EpisodeRules,
): { readonly judgement: BandedJudgement; readonly events: EpisodeEvent[] } {
  const judgement = detector.judge(state.detector, window)
  return { judgement, events: follow(state.episodes, judgement, rules) }
}

/** Windows from the beginning of a series, standardised. */
export function standingsOf(detector: Detector, windows: readonly Observation[]): Standing[] {
  const state = detector.start()
  return windows.map((window) => detector.standardise(state, window))
}

/** The episodes of standardised windows under a threshold: the open one last, without `closedMs`. */
export function episodesOf(
  detector: Detector,
  standings: readonly Standing[],
  threshold: number,
  rules: EpisodeRules | undefined,
): Episode[] {
  const cusum = newCusum()
  const state = noEpisodes()
  const episodes: Episode[] = []
  for (const standing of standings) {
    const decision = detector.decide(cusum, standing, threshold)
    if (state.phase === 'normal' && !decision.anomalous) continue
    for (const { type, episode } of follow(state, { ...standing, ...decision }, rules))
      if (type === 'closed') episodes.push(episode)
  }
  if (state.phase === 'open' || state.phase === 'recovering') episodes.push(state.episode!)
  return episodes
}
