/**
 * Episodes as a stream, in a topic of the embedded log and in one of a real broker: of a server that is killed again and
 * again each change comes once, and what they come to is what a job knows that was never broken.
 */
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import { nextBelow, SeededRandom } from '../../src/core/clock.ts'
import { Episode, EpisodeChange } from '../../src/gen/millrace/v1/query.ts'
import { submitJob, untilJob, untilRead } from '../support/engine.ts'
import { untilJudged } from '../support/episodes.ts'
import { makeEvent, type SampleEvent } from '../support/events.ts'
import { createKafkaTopic } from '../support/events-kafka.ts'
import { createLogTopic, readLogTopic } from '../support/events-log.ts'
import { testBrokers, testRedis } from '../support/infra.ts'
import { javaRead } from '../support/java-client/java-client.ts'
import { KafkaAccess } from '../support/kafka-modes.ts'
import { MillraceServer } from '../support/server-process.ts'

const HOUR_MS = 3_600_000
const FROM_MS = Date.UTC(2024, 0, 1)
const STEPS = 16
const STEP_HOURS = 6
const KILLS = 5

let access: KafkaAccess
let server: MillraceServer
let prefix: string

beforeAll(async () => {
  prefix = `episodes-${inject('runId')}`
  access = await KafkaAccess.open('direct', testBrokers(), prefix)
  const env = { MILLRACE_KAFKA_PREFIX: prefix }
  server = await MillraceServer.start({ redisUrl: testRedis(), redisPrefix: prefix, brokers: testBrokers(), env })
})

afterAll(async () => {
  await server?.stop()
  await access?.close()
})

/** Views by the hour: of mobile and tablet there are stretches without any. */
function hours(from: number, to: number): SampleEvent[] {
  const broken = (platform: number, hour: number) =>
    platform === 1 ? hour % 29 > 26 : platform === 2 && hour % 37 > 32
  const events: SampleEvent[] = []
  for (let hour = from; hour < to; hour++)
    for (let i = 0; i < 60; i++) {
      const platform = i % 3
      if (broken(platform, hour)) continue
      const timeMs = FROM_MS + hour * HOUR_MS + i * 50_000
      events.push(makeEvent({ person: `p${i}`, timeMs, platform: ['web', 'mobile', 'tablet'][platform]! }))
    }
  return events
}

/** What an episode says but for whose it is and how far anybody had looked. */
function textOf(episode: Episode): string {
  return JSON.stringify(Episode.toJSON({ ...episode, id: '', job: '', judgedThrough: undefined }))
}

it.each(['log', 'kafka'] as const)(
  'of %s',
  async (kind) => {
    const name = `shop-${kind}`
    const events = createLogTopic(`${server.dataDir}/${name}`, 'events', 1)
    const { topic } = await createKafkaTopic(access, 3)
    const path = `${server.dataDir}/out`
    const job = (named: string, episodes: object) =>
      JSON.stringify({
        ...{ apiVersion: 'millrace.dev/v1', kind: 'Job', metadata: { name: named } },
        sources: [{ id: 'events', ...events.source() }],
        watermark: { outOfOrderness: '0s', idleness: '0s' },
        checkpoint: { every: '50ms' },
        metrics: [{ id: 'views', count: {}, window: { tumbling: '1h' }, by: ['platform'], allowedLateness: '2h' }],
        detectors: [{ id: 'outage', metric: 'views', ewma: { warmUp: 10 }, direction: 'down' }],
        ...episodes,
        sinks: [],
      })
    await submitJob(
      server.client,
      job(name, { episodes: kind === 'log' ? { log: { path, topic } } : { kafka: { topic } } }),
    )
    const random = new SeededRandom(kind === 'log' ? 1 : 2)
    const kills = new Set<number>()
    while (kills.size < KILLS) kills.add(2 + nextBelow(random, STEPS - 2))
    let written = 0
    for (let step = 0; step < STEPS; step++) {
      const batch = hours(step * STEP_HOURS, (step + 1) * STEP_HOURS)
      await events.append([batch])
      written += batch.length
      if (kills.has(step)) {
        // Anywhere: before it is counted, while it is judged, while it is told.
        for (let turns = nextBelow(random, 300); turns > 0; turns--) await server.client.control.list()
        await server.kill()
        await server.restart()
        await untilJob(server.client, name, ({ state }) => state === 'RUNNING')
      } else await untilJudged(server.client, name, FROM_MS + ((step + 1) * STEP_HOURS - 1) * HOUR_MS)
    }
    await untilRead(server.client, name, written)
    const endMs = FROM_MS + (STEPS * STEP_HOURS - 1) * HOUR_MS
    const own = await untilJudged(server.client, name, endMs)
    await submitJob(server.client, job(`unbroken-${kind}`, {}))
    const unbroken = await untilJudged(server.client, `unbroken-${kind}`, endMs)
    await events.close()

    const read = async (): Promise<EpisodeChange[]> => {
      if (kind === 'log')
        return [...(await readLogTopic(path, topic)).values()].flat().map((value) => EpisodeChange.decode(value))
      const lines = await javaRead(testBrokers(), topic, 'read_committed')
      return lines.map((line) => EpisodeChange.decode(Buffer.from(line.split('\t')[4]!, 'hex')))
    }
    const latest = async (): Promise<Map<string, EpisodeChange>> =>
      new Map((await read()).map((change) => [change.episode!.id, change]))
    const told = async () => [...(await latest()).values()].filter(({ change }) => change !== 'retracted')
    const ids = own.episodes.map(({ id }) => id).sort()
    expect(ids.length).toBeGreaterThan(4)
    const settled = own.episodes.filter((episode) => episode.settled).length
    await expect
      .poll(
        async () => {
          const last = await told()
          return [last.map(({ episode }) => episode!.id).sort(), last.filter(({ episode }) => episode!.settled).length]
        },
        { timeout: 60_000, interval: 500 },
      )
      .toEqual([ids, settled])

    const changes = await read()
    expect(new Set(changes.map(({ change, episode }) => `${change} ${episode!.id} ${textOf(episode!)}`)).size).toBe(
      changes.length,
    )
    const expected = unbroken.episodes.map(
      ({ group, startMs, openedMs, lastMs, endMs: end, score, revision, state }) => [
        ...[group[0]!.value, startMs, openedMs, lastMs, end, score, revision, state],
      ],
    )
    const found = (await told()).map(({ episode }) => {
      const { group, start, opened, last, end, score, revision, state } = episode!
      const times = [start, opened, last].map((time) => time!.getTime())
      return [group[0]!.value, ...times, end?.getTime() ?? null, score, revision, state]
    })
    const sorted = (rows: unknown[][]) => rows.map((row) => JSON.stringify(row)).sort()
    expect(sorted(found)).toEqual(sorted(expected))
    expect(
      changes.every(({ kind: of, baseline, watermark }) => of === 'ewma' && baseline === 'ewma' && watermark),
    ).toBe(true)
    expect(changes.filter(({ change }) => change === 'retracted')).toEqual([])
    await server.client.control.cancel(name)
  },
  240_000,
)
