/** Episodes of a running job, as tests ask for them and compare them. */
import type { EpisodeInfo, EpisodeResult } from '../../src/detection/api.ts'
import type { MillraceClient } from '../../src/rpc/client.ts'
import { waitUntil } from './infra-process.ts'

/** Waits until every detector has judged the windows that end until `judgedThroughMs`, and what is found then. */
export async function untilJudged(
  client: MillraceClient,
  job: string,
  judgedThroughMs: number,
): Promise<EpisodeResult> {
  let last: EpisodeResult | undefined
  const probe = async (): Promise<boolean> => {
    last = await client.episodes.list({ job, detector: '' })
    return last.detectors.every((one) => one.waiting === '' && one.judgedThroughMs >= judgedThroughMs)
  }
  await waitUntil(probe, {
    deadlineMs: 30_000,
    alive: () => true,
    failure: () => `the detectors of ${job} never judged that far: ${JSON.stringify(last?.detectors, null, 1)}`,
  })
  return last!
}

/** An episode in a line: which, of what, and its days. */
export function episodeText({ detector, direction, startMs, openedMs, lastMs, endMs }: EpisodeInfo): string {
  const day = (ms: number): string => new Date(ms).toISOString().slice(0, 10)
  const until = endMs === null ? 'open' : `closed ${day(endMs)}`
  return `${detector} ${direction} since ${day(startMs)}, known ${day(openedMs)}, last ${day(lastMs)}, ${until}`
}
