/** Questions to a running server over gRPC: ranges, groups, filters, limits, and watching values change. */
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { MetricQuery } from '../../src/query/api.ts'
import type { MetricValue } from '../../src/query/metric-info.ts'
import { engagementMetrics } from '../oracle/engagement-metrics.ts'
import { type Oracle, type OracleRow, openOracle } from '../oracle/engagement-oracle.ts'
import { openEngine, submitJob, type TestEngine, untilJob, untilRead } from '../support/engine.ts'
import { allOf } from '../support/engine-numbers.ts'
import { engagementEvents, engagementJob, fillPartitions, makeEvent, type SampleEvent } from '../support/events.ts'
import { createLogTopic } from '../support/events-log.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

let oracle: Oracle
let engine: TestEngine

beforeAll(async () => {
  oracle = await openOracle()
  engine = await openEngine()
  const log = createLogTopic(engine.logRoot, 'events', 3)
  await log.append(fillPartitions(engagementEvents(), 3, 'hash'))
  await log.close()
  await submitJob(engine.client, engagementJob({ name: 'shop', source: log.source({ bounded: true }) }))
  await untilJob(engine.client, 'shop', ({ state }) => state === 'FINISHED')
})

afterAll(async () => {
  await engine?.close()
  oracle?.close()
})

async function ask(metric: string, changes: Partial<MetricQuery> = {}): Promise<readonly MetricValue[]> {
  return (await engine.client.query.query(allOf('shop', metric, changes))).values
}

/** Values, or the oracle's rows, as `[window start, dimensions…, value]`. */
function flat(values: readonly MetricValue[]): unknown[] {
  return values.map(({ windowStartMs, dimensions, value }) => [windowStartMs, ...dimensions, value])
}

function rowsOf(rows: readonly OracleRow[], by: readonly string[]): unknown[] {
  return rows.map((row) => [row.window_start_ms, ...by.map((name) => row[name]), row.value])
}

describe('QueryMetric', () => {
  it('answers a range: windows that end after its start and begin before its end', async () => {
    // In the middle of a window at both ends.
    const [fromMs, toMs] = [Date.UTC(2024, 2, 5, 10, 30), Date.UTC(2024, 2, 6, 14, 30)]
    const all = await oracle.rows(engagementMetrics.page_views)
    const inside = all.filter((row) => row.window_end_ms > fromMs && row.window_start_ms < toMs)
    expect(flat(await ask('page_views', { fromMs, toMs }))).toEqual(rowsOf(inside, ['platform']))
    // Both bounds on the edge of a window: it is half open.
    const edge = { fromMs: Date.UTC(2024, 2, 5, 10), toMs: Date.UTC(2024, 2, 5, 11) }
    const one = all.filter((row) => row.window_start_ms === edge.fromMs)
    expect(one.length).toBeGreaterThan(0)
    expect(flat(await ask('page_views', edge))).toEqual(rowsOf(one, ['platform']))
  })

  it('filters by a dimension', async () => {
    const where = `${engagementMetrics.feature_interactions.where} AND platform = 'mobile'`
    const expected = await oracle.rows({ ...engagementMetrics.feature_interactions, where })
    const values = await ask('feature_interactions', { filters: new Map([['platform', 'mobile']]) })
    expect(flat(values)).toEqual(rowsOf(expected, ['platform', 'name']))
    const wrong = ask('feature_interactions', { filters: new Map([['colour', 'red']]) })
    await expect(wrong).rejects.toMatchObject({ code: 'QUERY_INVALID', message: expect.stringContaining('colour') })
  })

  it.each([
    [[], []],
    [['platform'], ['platform']],
    [['properties.feature'], ['name']],
    [
      ['properties.feature', 'platform'],
      ['name', 'platform'],
    ],
  ] as const)('adds counts up by %j', async (groupBy, by) => {
    const expected = await oracle.rows({ ...engagementMetrics.feature_interactions, by })
    expect(flat(await ask('feature_interactions', { groupBy }))).toEqual(rowsOf(expected, by))
  })

  it('refuses to add up people, and says what to do', async () => {
    const asked = ask('active_users_by_platform', { groupBy: [] })
    await expect(asked).rejects.toMatchObject({
      code: 'QUERY_INVALID',
      message: expect.stringMatching(/do not add up.*Group by all/s),
    })
    // One platform alone is one group.
    const one = await ask('active_users_by_platform', { groupBy: [], filters: new Map([['platform', 'mobile']]) })
    const expected = await oracle.rows({ ...engagementMetrics.active_users_by_platform, where: "platform = 'mobile'" })
    expect(flat(one)).toEqual(rowsOf(expected, []))
  })

  it('names the metrics and the jobs that there are when asked for another', async () => {
    await expect(ask('page_view')).rejects.toMatchObject({
      code: 'METRIC_NOT_FOUND',
      message: expect.stringMatching(/no metric page_view; it has page_views, active_users/),
    })
    const elsewhere = engine.client.query.query(allOf('shopp', 'page_views'))
    await expect(elsewhere).rejects.toMatchObject({ code: 'JOB_NOT_FOUND', message: expect.stringContaining('shop') })
    const metrics = await engine.client.query.listMetrics('shop')
    expect(metrics.map(({ metric, dimensions }) => [metric, dimensions])).toEqual([
      ['page_views', ['platform']],
      ['active_users', []],
      ['active_users_by_platform', ['platform']],
      ['feature_interactions', ['platform', 'properties.feature']],
      ['purchases', ['platform']],
    ])
  })

  it('refuses more values than the limit, or keeps the newest windows when asked to', async () => {
    await expect(ask('page_views', { limit: 10 })).rejects.toMatchObject({ code: 'QUERY_TOO_LARGE' })
    await expect(ask('page_views', { limit: 1_000_000 })).rejects.toMatchObject({ code: 'QUERY_TOO_LARGE' })
    const latest = await engine.client.query.query(allOf('shop', 'active_users', { limit: 3, latest: true }))
    expect(latest.truncated).toBe(true)
    const all = await oracle.rows(engagementMetrics.active_users)
    expect(flat(latest.values)).toEqual(rowsOf(all.slice(-3), []))
  })

  it('refuses a million values without falling over, and goes on answering', async () => {
    const source = {
      generator: { eventsPerSecond: 0, maxEvents: 1_000_000, persons: 500_000, partitions: 2, outOfOrderness: '0s' },
    }
    const metrics = [{ id: 'each', count: {}, window: { tumbling: '1s' }, by: ['person'] }]
    await submitJob(engine.client, engagementJob({ name: 'million', source, metrics, checkpoint: { every: '0s' } }))
    await untilJob(engine.client, 'million', ({ state }) => state === 'FINISHED')
    await untilRead(engine.client, 'million', 1_000_000)
    const everything = allOf('million', 'each')
    await expect(engine.client.query.query(everything)).rejects.toMatchObject({
      code: 'QUERY_TOO_LARGE',
      message: expect.stringMatching(/million\/each has more than 100000 values.*narrow it/),
    })
    // The newest of them, as they are.
    const newest = await engine.client.query.query({ ...everything, limit: 3, latest: true })
    expect(newest.truncated).toBe(true)
    const lastSecond = Math.max(...newest.values.map(({ windowStartMs }) => windowStartMs))
    const last = await engine.client.query.query({ ...everything, fromMs: lastSecond, toMs: lastSecond + 1 })
    expect(newest.values.map(({ dimensions }) => dimensions)).toEqual(
      last.values.slice(-3).map(({ dimensions }) => dimensions),
    )
    // The narrower range that the message asks for: one second.
    const { values } = await engine.client.query.query({
      ...everything,
      fromMs: 1_704_067_200_000,
      toMs: 1_704_067_201_000,
    })
    const events = values.reduce((sum, { value }) => sum + value, 0)
    expect(events).toBeGreaterThan(0)
    expect(values.every(({ windowStartMs }) => windowStartMs === 1_704_067_200_000)).toBe(true)
    expect((await ask('active_users')).length).toBeGreaterThan(0)
    await engine.client.control.cancel('million')
  })
})

describe('WatchMetric', () => {
  const NOON_MS = Date.UTC(2024, 2, 10, 12)
  const at = (minutes: number, person = 'p'): SampleEvent =>
    makeEvent({ person: `${person}${minutes}`, timeMs: NOON_MS + minutes * MINUTE_MS })

  it('sees a value provisional, final, corrected by a late event that is allowed, and the late ones counted', async () => {
    const log = createLogTopic(engine.logRoot, 'watched', 1)
    onTestFinished(() => log.close())
    const job = engagementJob({
      name: 'watched',
      source: log.source(),
      watermark: { outOfOrderness: '5s', idleness: '0s' },
      metrics: [{ id: 'views', count: {}, window: { tumbling: '1h' }, by: ['platform'], allowedLateness: '30m' }],
    })
    await submitJob(engine.client, job)
    await untilJob(engine.client, 'watched', ({ state }) => state === 'RUNNING')
    const seen: MetricValue[] = []
    const ended: unknown[] = []
    const query = allOf('watched', 'views', { fromMs: NOON_MS, toMs: NOON_MS + 1 })
    const stop = engine.client.query.watch(query, {
      onValues: ({ values }) => seen.push(...values),
      onEnd: (error) => ended.push(error),
    })
    onTestFinished(stop)
    const last = () => seen.map(({ value, status, revision, lateCount }) => [value, status, revision, lateCount]).at(-1)
    const shows = (value: number, status: string, revision: number, late: number) =>
      expect.poll(last, { timeout: 10_000 }).toEqual([value, status, revision, late])

    await log.append([[at(1), at(2)]])
    await shows(2, 'provisional', 0, 0)
    await log.append([[at(59)]])
    await shows(3, 'provisional', 0, 0)
    // 13:01: the hour is over.
    await log.append([[at(61)]])
    await shows(3, 'final', 1, 0)
    // Late, and within the half hour: counted, with a correction each.
    await log.append([[at(30, 'late')]])
    await shows(4, 'corrected', 2, 0)
    await log.append([[at(31, 'late')]])
    await shows(5, 'corrected', 3, 0)
    // 13:31: after that nothing is counted any more, and the value says how much it lacks.
    await log.append([[at(91)]])
    await untilRead(engine.client, 'watched', 7)
    await log.append([[at(32, 'late'), at(33, 'late')]])
    await shows(5, 'corrected', 3, 2)
    const { events } = await untilRead(engine.client, 'watched', 9)
    expect(events).toMatchObject({ applied: 7, late: 2 })

    // What was seen never went back.
    const order = ['provisional', 'final', 'corrected']
    for (let i = 1; i < seen.length; i++) {
      expect(seen[i]!.revision).toBeGreaterThanOrEqual(seen[i - 1]!.revision)
      expect(order.indexOf(seen[i]!.status)).toBeGreaterThanOrEqual(order.indexOf(seen[i - 1]!.status))
      expect(seen[i]!.watermarkMs).toBeGreaterThanOrEqual(seen[i - 1]!.watermarkMs)
    }
    expect(seen.at(-1)!.watermarkMs).toBe(NOON_MS + 91 * MINUTE_MS - 5001)
    expect(ended).toEqual([])
    await engine.client.control.cancel('watched')
    await expect.poll(() => ended).toHaveLength(1)
    expect(ended[0]).toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining('watched is CANCELLED') })
  })

  it('follows totals, and ends with a job that has finished', async () => {
    const seen: MetricValue[] = []
    const range = { fromMs: Date.UTC(2024, 2, 5), toMs: Date.UTC(2024, 2, 5) + HOUR_MS, groupBy: [] }
    const ended = Promise.withResolvers<unknown>()
    engine.client.query.watch(allOf('shop', 'purchases', range), {
      onValues: ({ values }) => seen.push(...values),
      onEnd: ended.resolve,
    })
    expect(await ended.promise).toBeNull()
    const expected = await oracle.rows({ ...engagementMetrics.purchases, by: [] })
    expect(flat(seen)).toEqual(
      rowsOf(
        expected.filter((row) => row.window_end_ms > range.fromMs && row.window_start_ms < range.toMs),
        [],
      ),
    )
  })

  it('ends at once for a metric that is not there', async () => {
    const ended = Promise.withResolvers<unknown>()
    engine.client.query.watch(allOf('shop', 'nothing'), { onValues: () => {}, onEnd: ended.resolve })
    expect(await ended.promise).toMatchObject({ code: 'METRIC_NOT_FOUND' })
  })
})
