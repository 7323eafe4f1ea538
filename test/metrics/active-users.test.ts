/** Whom a day has: the edges of active users, of a simulated job. Each rule is in docs/metrics.md. */
import { describe, expect, it } from 'vitest'
import { SeededRandom } from '../../src/core/clock.ts'
import { jobViews } from '../../src/query/job-views.ts'
import { createQueryService } from '../../src/query/service.ts'
import { MemoryTopic } from '../../src/source/memory-topic.ts'
import { Simulation } from '../../src/testing/simulation.ts'
import { followedJob } from '../query/support/followed.ts'
import { builtInDescriptors } from '../support/descriptors.ts'
import { makeEvent } from '../support/events.ts'

type Seen = readonly [person: string, time: string, name?: string]

/** `start/end: value` of every window, in the order of time. */
async function windowsOf(window: string, seen: readonly Seen[], where = ''): Promise<string[]> {
  const topic = new MemoryTopic('events', 1, new SeededRandom(1))
  for (const [person, time, name] of seen) {
    const { value } = makeEvent({ person, timeMs: Date.parse(time), ...(name === undefined ? {} : { name }) })
    topic.append(0, [{ key: null, value, timestampMs: 0 }])
  }
  const simulation = new Simulation({ seed: 1, workers: 1, topic, descriptors: builtInDescriptors() })
  const queries = createQueryService(jobViews(simulation.manager), simulation.scheduler, 10)
  await simulation.submit(
    followedJob(`
      { id: all, count: {}, window: { global: {} } },
      { id: m, activeUsers: {}, ${where} window: ${window}, allowedLateness: 100d, retain: 1000d }`),
  )
  await simulation.runUntilState('followed', 'RUNNING')
  const read = async (metric: string) => {
    const range = { fromMs: Number.NEGATIVE_INFINITY, toMs: Number.POSITIVE_INFINITY, limit: 1000, latest: false }
    const query = { job: 'followed', metric, filters: new Map(), groupBy: null, ...range }
    return (await simulation.settle(queries.query(query))).values
  }
  while (((await read('all'))[0]?.value ?? 0) < seen.length)
    await simulation.settle(new Promise((done) => simulation.scheduler.after(20, () => done(null))))
  const values = await read('m')
  await simulation.close()
  const text = (ms: number): string => new Date(ms).toISOString().slice(0, 16)
  return values.map(({ windowStartMs, windowEndMs, value }) => `${text(windowStartMs)}/${text(windowEndMs)}: ${value}`)
}

describe('active users', () => {
  it('A2 who is there over midnight is active on both days', async () => {
    const seen: Seen[] = [
      ['ann', '2024-05-01T21:59:59.999Z'],
      ['ann', '2024-05-01T22:00:00Z'],
      ['bob', '2024-05-01T22:00:00Z'],
    ]
    expect(await windowsOf('{ calendar: day, timezone: Europe/Berlin }', seen)).toEqual([
      '2024-04-30T22:00/2024-05-01T22:00: 1',
      '2024-05-01T22:00/2024-05-02T22:00: 2',
    ])
  })

  it('A3 days of 23 and 25 hours are days, alone and among the last 7', async () => {
    const spring: Seen[] = [
      ['ann', '2024-03-30T23:00:00Z'],
      ['bob', '2024-03-31T21:59:59Z'],
      ['eve', '2024-03-31T22:00:00Z'],
    ]
    const day = '{ calendar: day, timezone: Europe/Berlin }'
    expect(await windowsOf(day, spring)).toEqual([
      '2024-03-30T23:00/2024-03-31T22:00: 2',
      '2024-03-31T22:00/2024-04-01T22:00: 1',
    ])
    const autumn: Seen[] = [
      ['ann', '2024-10-26T22:00:00Z'],
      ['bob', '2024-10-27T22:59:59Z'],
    ]
    expect(await windowsOf(day, autumn)).toEqual(['2024-10-26T22:00/2024-10-27T23:00: 2'])
    const rolling = await windowsOf('{ sliding: 7d, slide: 1d, timezone: Europe/Berlin }', spring)
    expect(rolling[0]).toBe('2024-03-24T23:00/2024-03-31T22:00: 2')
    // The last one that has them begins on the day itself, which has 23 hours.
    expect(rolling.slice(-2)).toEqual(['2024-03-30T23:00/2024-04-06T22:00: 3', '2024-03-31T22:00/2024-04-07T22:00: 1'])
  })

  it('A3 zones with half hours, and with quarters, have their own midnight', async () => {
    const seen: Seen[] = [
      ['ann', '2024-05-01T18:29:59Z'],
      ['bob', '2024-05-01T18:30:00Z'],
    ]
    expect(await windowsOf('{ calendar: day, timezone: Asia/Kolkata }', seen)).toEqual([
      '2024-04-30T18:30/2024-05-01T18:30: 1',
      '2024-05-01T18:30/2024-05-02T18:30: 1',
    ])
    expect(await windowsOf('{ calendar: day, timezone: Asia/Kathmandu }', seen)).toEqual([
      '2024-05-01T18:15/2024-05-02T18:15: 2',
    ])
  })

  it('A4 months have their lengths, and weeks begin on Monday', async () => {
    const seen: Seen[] = [
      ['ann', '2024-02-29T23:59:59Z'],
      ['bob', '2024-03-01T00:00:00Z'],
      ['ann', '2024-03-31T23:59:59Z'],
      ['ann', '2024-04-01T00:00:00Z'],
    ]
    expect(await windowsOf('{ calendar: month }', seen)).toEqual([
      '2024-02-01T00:00/2024-03-01T00:00: 1',
      '2024-03-01T00:00/2024-04-01T00:00: 2',
      '2024-04-01T00:00/2024-05-01T00:00: 1',
    ])
    expect((await windowsOf('{ calendar: week }', seen)).slice(-2)).toEqual([
      '2024-03-25T00:00/2024-04-01T00:00: 1',
      '2024-04-01T00:00/2024-04-08T00:00: 1',
    ])
  })

  it('A5 28 days and 30 are two different months', async () => {
    const seen: Seen[] = [
      ['ann', '2024-05-01T12:00:00Z'],
      ['bob', '2024-05-29T12:00:00Z'],
    ]
    const at = async (size: string) =>
      (await windowsOf(`{ sliding: ${size}, slide: 1d }`, seen)).find((line) => line.includes('/2024-05-30T00:00'))
    expect([await at('28d'), await at('30d')]).toEqual([
      '2024-05-02T00:00/2024-05-30T00:00: 1',
      '2024-04-30T00:00/2024-05-30T00:00: 2',
    ])
  })

  it('A6 only qualifying events make active', async () => {
    const seen: Seen[] = [
      ['ann', '2024-05-01T12:00:00Z', 'heartbeat'],
      ['bob', '2024-05-01T12:00:00Z', 'page_view'],
      ['bob', '2024-05-02T12:00:00Z', 'heartbeat'],
    ]
    expect(await windowsOf('{ calendar: day }', seen, 'where: name != "heartbeat",')).toEqual([
      '2024-05-01T00:00/2024-05-02T00:00: 1',
    ])
  })

  it('A7 current users are those of the last minutes, up to each minute', async () => {
    const seen: Seen[] = [
      ['ann', '2024-05-01T12:00:00Z'],
      ['bob', '2024-05-01T12:04:59.999Z'],
    ]
    const values = await windowsOf('{ sliding: 5m, slide: 1m }', seen)
    expect(values.map((line) => line.slice(-8))).toEqual([
      ...['12:01: 1', '12:02: 1', '12:03: 1', '12:04: 1', '12:05: 2'],
      ...['12:06: 1', '12:07: 1', '12:08: 1', '12:09: 1'],
    ])
  })

  it('A8 a late event makes its person active on its day', async () => {
    const seen: Seen[] = [
      ['ann', '2024-05-01T12:00:00Z'],
      ['ann', '2024-05-20T12:00:00Z'],
      ['bob', '2024-05-01T12:00:00Z'],
    ]
    expect(await windowsOf('{ calendar: day }', seen)).toEqual([
      '2024-05-01T00:00/2024-05-02T00:00: 2',
      '2024-05-20T00:00/2024-05-21T00:00: 1',
    ])
  })
})
