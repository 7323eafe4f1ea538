/**
 * jobs/incidents.yaml finds the two incidents of the sample shop, and nothing else, from the shares of ordinary steps
 * alone: thresholds come from the days before both. In whatever way events come, and whoever asks: the job that has read
 * everything, one that was stopped in the middle and went on at another parallelism, and one that starts anew on what
 * is left.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import type { EpisodeResult } from '../../src/detection/api.ts'
import { ECOM_ROWS } from '../support/ecom.ts'
import { engineForTest, folderForTest, submitJob, untilJob, untilRead } from '../support/engine.ts'
import { episodeText, untilJudged } from '../support/episodes.ts'
import { engagementEvents, fillPartitions, shuffleWithin } from '../support/events.ts'
import { createLogTopic } from '../support/events-log.ts'

const HOUR_MS = 3_600_000
const text = readFileSync(join(import.meta.dirname, '../../jobs/incidents.yaml'), 'utf8')
const JUNE_30_MS = Date.UTC(2024, 5, 30)

const incidents = [
  'payment down since 2024-04-09, known 2024-04-21, last 2024-04-27, closed 2024-05-08',
  'purchase down since 2024-05-19, known 2024-05-23, last 2024-06-06, closed 2024-06-12',
]

function job(source: object, outOfOrderness: string, parallelism: number): string {
  const ends = { sources: [{ id: 'events', ...source }], watermark: { outOfOrderness, idleness: '0s' }, parallelism }
  return JSON.stringify({ ...(parse(text) as object), ...ends })
}

/** What does not depend on when it was asked. */
function known({ episodes, detectors }: EpisodeResult): object {
  return { episodes, detectors: detectors.map(({ series }) => series) }
}

describe('jobs/incidents.yaml', () => {
  it('does not look at the events that tell of the incidents', () => {
    expect(text).not.toMatch(/checkout_bug|payment_error|error/)
  })

  it('finds both, with thresholds of the days before them, in whatever way events come', async () => {
    const results: object[] = []
    for (const { partitions, parallelism, boundMs } of [
      { partitions: 1, parallelism: 1, boundMs: 0 },
      { partitions: 3, parallelism: 2, boundMs: 6 * HOUR_MS },
    ]) {
      const engine = await engineForTest({ threads: 2 })
      const log = createLogTopic(engine.logRoot, 'events', partitions)
      const filled = fillPartitions(engagementEvents(), partitions, 'hash')
      await log.append(filled.map((events, i) => shuffleWithin(events, boundMs, i + 1)))
      await log.close()
      await submitJob(engine.client, job(log.source({ bounded: true }), `${boundMs}ms`, parallelism))
      await untilJob(engine.client, 'incidents', ({ state }) => state === 'FINISHED')
      const result = await untilJudged(engine.client, 'incidents', JUNE_30_MS)
      expect(result.episodes.map(episodeText)).toEqual(incidents)
      expect(result.episodes.map(({ state, settled }) => [state, settled])).toEqual([
        ['normal', true],
        ['normal', true],
      ])
      const calibrations = result.detectors.map(({ series }) => series[0]?.calibration)
      expect(calibrations).toMatchObject([
        { verdict: 'calibrated', judgedWindows: 14, falseAlarms: 0 },
        { verdict: 'calibrated', judgedWindows: 11, falseAlarms: 0 },
        { verdict: 'calibrated', judgedWindows: 8, falseAlarms: 0 },
      ])
      results.push(known(result))
    }
    expect(results[1]).toEqual(results[0])
  })

  it('knows the same episodes after it was stopped in the middle and went on at another parallelism', async () => {
    const env = { MILLRACE_SAVEPOINT_DIR: folderForTest('incidents-savepoints') }
    const first = await engineForTest({ threads: 2, env })
    const log = createLogTopic(first.logRoot, 'events', 3)
    const filled = fillPartitions(engagementEvents(), 3, 'hash').map((events, i) => shuffleWithin(events, HOUR_MS, i))
    // The middle of the second incident: it is open.
    const middleMs = Date.UTC(2024, 4, 30)
    const before = filled.map((events) => events.filter(({ timeMs }) => timeMs < middleMs))
    await submitJob(first.client, job(log.source(), '1h', 2))
    await log.append(before)
    await untilRead(first.client, 'incidents', before.flat().length)
    const early = await untilJudged(first.client, 'incidents', middleMs - 3 * 24 * HOUR_MS)
    expect(early.episodes.map(({ state }) => state)).toEqual(['normal', 'alerting'])
    await first.client.control.stop('incidents', { savepoint: 'middle', drain: false })
    await log.append(filled.map((events) => events.filter(({ timeMs }) => timeMs >= middleMs)))
    await log.close()
    const second = await engineForTest({ threads: 3, env })
    const start = { savepoint: 'middle', claim: false, dropState: [] }
    await second.client.control.submit({ kind: 'text', text: job(log.source({ bounded: true }), '1h', 3) }, start)
    await untilJob(second.client, 'incidents', ({ state }) => state === 'FINISHED')
    await untilRead(second.client, 'incidents', ECOM_ROWS)
    const late = await untilJudged(second.client, 'incidents', JUNE_30_MS)
    expect(late.episodes.map(episodeText)).toEqual(incidents)
    expect(late.episodes.map(({ id }) => id)).toEqual(early.episodes.map(({ id }) => id))
  })
})
