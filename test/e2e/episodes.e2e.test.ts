/** Episodes over gRPC: listed, watched, and the same after the server was killed and started again. */
import { describe, expect, it, onTestFinished } from 'vitest'
import type { EpisodeInfo } from '../../src/detection/api.ts'
import { submitJob, untilRead } from '../support/engine.ts'
import { untilJudged } from '../support/episodes.ts'
import { makeEvent, type SampleEvent } from '../support/events.ts'
import { createLogTopic } from '../support/events-log.ts'
import { waitUntil } from '../support/infra-process.ts'
import { MillraceServer } from '../support/server-process.ts'

const HOUR_MS = 3_600_000
const FROM_MS = Date.UTC(2024, 0, 1)

/** Views of two platforms in some hours: 40 and 30 each hour but for those of `broken`, in which mobile has none. */
function hours(from: number, to: number, broken: readonly number[]): SampleEvent[] {
  const events: SampleEvent[] = []
  for (let hour = from; hour < to; hour++) {
    for (let i = 0; i < 40; i++) {
      const at = { person: `p${i}`, timeMs: FROM_MS + hour * HOUR_MS + i * 80_000 }
      events.push(makeEvent({ ...at, platform: 'web' }))
      if (i < 30 && !broken.includes(hour)) events.push(makeEvent({ ...at, platform: 'mobile' }))
    }
  }
  return events
}

describe('episodes', () => {
  it('are found while a job runs, watched, and the same after a kill', { timeout: 120_000 }, async () => {
    const server = await MillraceServer.start()
    onTestFinished(() => server.stop())
    const log = createLogTopic(`${server.dataDir}/log`, 'events', 1)
    const job = {
      ...{ apiVersion: 'millrace.dev/v1', kind: 'Job', metadata: { name: 'shop' } },
      sources: [{ id: 'events', ...log.source() }],
      watermark: { outOfOrderness: '0s', idleness: '0s' },
      metrics: [{ id: 'views', count: {}, window: { tumbling: '1h' }, by: ['platform'], allowedLateness: '2h' }],
      detectors: [{ id: 'outage', metric: 'views', ewma: { warmUp: 10 }, direction: 'down' }],
      sinks: [],
    }
    await submitJob(server.client, JSON.stringify(job))
    const first = hours(0, 60, [30, 31, 58])
    await log.append([first])
    await untilRead(server.client, 'shop', first.length)
    // The last hour is not over.
    const before = await untilJudged(server.client, 'shop', FROM_MS + 59 * HOUR_MS)
    expect(before.episodes.map(({ state, group, startMs }) => [state, group[0]?.value, startMs])).toEqual([
      ['normal', 'mobile', FROM_MS + 30 * HOUR_MS],
      ['alerting', 'mobile', FROM_MS + 58 * HOUR_MS],
    ])

    const told = new Map<string, EpisodeInfo>()
    let lost = 0
    const watching = server.client
    const stop = watching.episodes.watch(
      { job: 'shop', detector: 'outage' },
      {
        onEpisodes: (episodes) => {
          for (const episode of episodes) told.set(episode.id, episode)
        },
        onEnd: () => lost++,
      },
    )
    await waitUntil(async () => told.size === 2, {
      ...{ deadlineMs: 20_000, alive: () => lost === 0, failure: () => 'the watch never began' },
    })
    stop()

    await server.kill()
    await server.restart()
    const again = await untilJudged(server.client, 'shop', FROM_MS + 59 * HOUR_MS)
    expect(again.episodes).toEqual(before.episodes)

    // Late events take the second one back; the job goes on.
    const late = hours(58, 59, []).filter((_, i) => i % 2 === 1 || i >= 60)
    await log.append([late])
    const more = hours(60, 63, [])
    await log.append([more])
    await untilRead(server.client, 'shop', first.length + late.length + more.length)
    const after = await untilJudged(server.client, 'shop', FROM_MS + 62 * HOUR_MS)
    expect(after.episodes.map(({ id, state, settled }) => [id, state, settled])).toEqual([
      [before.episodes[0]!.id, 'normal', true],
    ])
    await log.close()
  })
})
