/**
 * Episodes: runs of anomalous windows, from the first sign to the last.
 *
 * Owns: their life cycle, the table `moves`. An episode opens after `openAfter` anomalous windows in a row and closes after
 * `closeAfter` quiet ones in a row; a window that is neither (between half of the threshold and it), and one that was not
 * judged, leaves it as it is. An anomaly on the other side ends it at once: that is another episode.
 */
import type { Judgement } from './detector.ts'

/** When an episode opens and closes, in windows in a row. */
export interface EpisodeRules {
  /** 1 by default. */
  readonly openAfter?: number
  /** 2 by default. */
  readonly closeAfter?: number
}

/** Something unusual that lasts. */
export interface Episode {
  readonly side: 'up' | 'down'
  /** When it is thought to have begun. With the series it names the episode: it does not change once open. */
  readonly sinceMs: number
  /** End of the window that opened it: no one could know before. */
  readonly openedMs: number
  /** End of its last anomalous window. */
  readonly lastMs: number
  /** End of the window that closed it; absent while it is open. */
  readonly closedMs?: number
  readonly anomalousWindows: number
  /** The highest score of its windows, and the value and expectation of that one. */
  readonly score: number
  readonly peakValue: number
  readonly peakExpected: number
}

/** What a window made of an episode. */
export interface EpisodeEvent {
  readonly type: 'opened' | 'ongoing' | 'closed'
  readonly episode: Episode
}

/** Where a series stands. */
export type Phase = 'normal' | 'pending' | 'open' | 'recovering'

/** Memory of the episodes of a series: plain data, changed in place. */
export interface EpisodeState {
  phase: Phase
  /** Windows in a row that have led to `pending` or `recovering`. */
  inRow: number
  /** The one that is pending or open. */
  episode: Episode | null
}

/** What a judged window is to the episode that there is, or may be. */
type Sign = 'anomalous' | 'between' | 'quiet'

/** The phase that a window leads to, before its number in a row is looked at. */
const moves: Readonly<Record<Phase, Readonly<Record<Sign, Phase>>>> = {
  normal: { anomalous: 'pending', between: 'normal', quiet: 'normal' },
  pending: { anomalous: 'pending', between: 'normal', quiet: 'normal' },
  open: { anomalous: 'open', between: 'open', quiet: 'recovering' },
  recovering: { anomalous: 'open', between: 'open', quiet: 'recovering' },
}

/** A series in which nothing was seen. */
export function noEpisodes(): EpisodeState {
  return { phase: 'normal', inRow: 0, episode: null }
}

/** Takes the next judgement. Returns what it made of episodes, mostly nothing. */
export function follow(state: EpisodeState, judgement: Judgement, rules: EpisodeRules = {}): EpisodeEvent[] {
  const { openAfter = 1, closeAfter = 2 } = rules
  if (judgement.status !== 'judged') return []
  const events: EpisodeEvent[] = []
  const { side } = judgement
  if (judgement.anomalous && state.episode !== null && state.episode.side !== side) {
    if (state.phase === 'open' || state.phase === 'recovering') events.push(close(state, judgement))
    Object.assign(state, noEpisodes())
  }
  const sign: Sign = judgement.anomalous ? 'anomalous' : judgement.quiet ? 'quiet' : 'between'
  const before = state.phase
  state.phase = moves[before][sign]
  state.inRow = state.phase === before ? state.inRow + 1 : 1
  if (sign === 'anomalous') state.episode = extended(state.episode, judgement)
  if (state.phase === 'pending' && state.inRow >= openAfter) {
    state.phase = 'open'
    state.episode = { ...state.episode!, openedMs: judgement.endMs }
    events.push({ type: 'opened', episode: state.episode })
  } else if (state.phase === 'recovering' && state.inRow >= closeAfter) {
    events.push(close(state, judgement))
    Object.assign(state, noEpisodes())
  } else if (state.phase === 'open' || state.phase === 'recovering') {
    events.push({ type: 'ongoing', episode: state.episode! })
  } else if (state.phase === 'normal') state.episode = null
  return events
}

function close({ episode }: EpisodeState, { endMs }: Judgement): EpisodeEvent {
  return { type: 'closed', episode: { ...episode!, closedMs: endMs } }
}

function extended(episode: Episode | null, judgement: Judgement): Episode {
  const { endMs, sinceMs, score, value, expected } = judgement
  const peak = { score, peakValue: value, peakExpected: expected }
  if (episode === null) {
    const side = judgement.side as 'up' | 'down'
    return { side, sinceMs, openedMs: endMs, lastMs: endMs, anomalousWindows: 1, ...peak }
  }
  const higher = score > episode.score ? peak : {}
  return { ...episode, ...higher, lastMs: endMs, anomalousWindows: episode.anomalousWindows + 1 }
}
