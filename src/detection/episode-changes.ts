/** What has become of episodes since they were last told. Pure. */
import type { EpisodeInfo, EpisodeResult } from './api.ts'

/** Episodes that are new or other than they were told, as they are now, then those that corrections have taken back. */
export function changesOf(
  told: ReadonlyMap<string, EpisodeInfo>,
  { episodes, detectors }: EpisodeResult,
): readonly EpisodeInfo[] {
  const now = new Set(episodes.map(({ id }) => id))
  const known = new Set(detectors.map(({ id }) => id))
  const changed = episodes.filter((episode) => isNews(told.get(episode.id), episode))
  const gone = [...told.values()].filter(({ id, settled, detector }) => {
    // What is over and settled has grown too old to be known; it was none the less.
    return !now.has(id) && !settled && known.has(detector)
  })
  return [...changed, ...gone.map((episode): EpisodeInfo => ({ ...episode, state: 'retracted' }))]
}

/** Whether anything of an episode has changed but how far windows have been judged. */
function isNews(before: EpisodeInfo | undefined, now: EpisodeInfo): boolean {
  if (before === undefined) return true
  return JSON.stringify({ ...before, judgedThroughMs: 0 }) !== JSON.stringify({ ...now, judgedThroughMs: 0 })
}
