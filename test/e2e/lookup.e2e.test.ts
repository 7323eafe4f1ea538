/** Questions over gRPC that are worked out where the values are (top lists, conditions, one key), and jobs followed. */
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { WatchJobResponse } from '../../src/gen/millrace/v1/control.ts'
import type { MetricQuery } from '../../src/query/api.ts'
import type { KeyQuery } from '../../src/query/key-api.ts'
import type { MetricValue } from '../../src/query/metric-info.ts'
import { engagementMetrics } from '../oracle/engagement-metrics.ts'
import { type Oracle, openOracle } from '../oracle/engagement-oracle.ts'
import { openEngine, submitJob, type TestEngine, untilJob } from '../support/engine.ts'
import { allOf } from '../support/engine-numbers.ts'
import { engagementEvents, engagementJob, fillPartitions } from '../support/events.ts'
import { createLogTopic } from '../support/events-log.ts'

const DAY_MS = 86_400_000

const metrics = [
  {
    id: 'features',
    count: {},
    where: "name == 'feature_interaction'",
    window: { tumbling: '1d' },
    by: ['platform', 'properties.feature'],
  },
  { id: 'by_person', count: {}, window: { tumbling: '1d' }, by: ['person'] },
  { id: 'by_person_and_platform', count: {}, window: { tumbling: '1d' }, by: ['platform', 'person'] },
  { id: 'people', activeUsers: {}, window: { tumbling: '1d' }, by: ['platform'] },
]

/** The same in SQL. */
const daily = { sizeMs: DAY_MS, timezone: 'UTC' } as const
const questions = {
  features: { ...engagementMetrics.feature_interactions, window: daily },
  by_person: { kind: 'count', window: daily, by: ['person'] },
  by_person_and_platform: { kind: 'count', window: daily, by: ['platform', 'person'] },
} as const

let oracle: Oracle
let engine: TestEngine

beforeAll(async () => {
  oracle = await openOracle()
  engine = await openEngine()
  const log = createLogTopic(engine.logRoot, 'events', 3)
  await log.append(fillPartitions(engagementEvents(), 3, 'hash'))
  await log.close()
  await submitJob(engine.client, engagementJob({ name: 'shop', source: log.source({ bounded: true }), metrics }))
  await untilJob(engine.client, 'shop', ({ state }) => state === 'FINISHED')
})

afterAll(async () => {
  await engine?.close()
  oracle?.close()
})

async function ask(metric: string, changes: Partial<MetricQuery> = {}): Promise<readonly MetricValue[]> {
  return (await engine.client.query.query(allOf('shop', metric, changes))).values
}

type Row = readonly [windowStartMs: number, ...rest: (string | number)[]]

function flat(values: readonly MetricValue[]): Row[] {
  return values.map(({ windowStartMs, dimensions, value }) => [windowStartMs, ...dimensions, value])
}

/** All rows of a metric as the oracle has them, as `[window start, dimensions…, value]`. */
async function oracleRows(metric: keyof typeof questions): Promise<Row[]> {
  const question = questions[metric]
  const rows = await oracle.rows(question)
  return rows.map((row): Row => [row.window_start_ms, ...question.by.map((name) => String(row[name])), row.value])
}

const numberOf = (row: Row): number => Number(row.at(-1))

/** By window, then by value, then by dimensions. */
function topOf(rows: readonly Row[], count: number, sign: 1 | -1): Row[] {
  const windows = [...new Set(rows.map(([start]) => start))].sort((a, b) => a - b)
  const names = (row: Row) => row.slice(1, -1).map(String)
  return windows.flatMap((start) =>
    rows
      .filter((row) => row[0] === start)
      .sort((a, b) => sign * (numberOf(a) - numberOf(b)) || compare(names(a), names(b)))
      .slice(0, count),
  )
}

function compare(a: readonly string[], b: readonly string[]): number {
  const at = a.findIndex((text, index) => text !== b[index])
  return at < 0 ? 0 : a[at]! < b[at]! ? -1 : 1
}

describe('QueryMetric', () => {
  it('gives the greatest and the least values of each window', async () => {
    const all = await oracleRows('features')
    expect(flat(await ask('features', { top: { count: 3, ascending: false } }))).toEqual(topOf(all, 3, -1))
    expect(flat(await ask('features', { top: { count: 2, ascending: true } }))).toEqual(topOf(all, 2, 1))
  })

  it('gives the top of totals', async () => {
    const rows = await oracle.rows({ ...questions.features, by: ['name'] })
    const all = rows.map((row): Row => [row.window_start_ms, String(row.name), row.value])
    const top = { count: 2, ascending: false }
    expect(flat(await ask('features', { groupBy: ['properties.feature'], top }))).toEqual(topOf(all, 2, -1))
  })

  it('gives the top of thousands of persons a day', async () => {
    const all = await oracleRows('by_person')
    expect(all.length).toBeGreaterThan(1000)
    expect(flat(await ask('by_person', { top: { count: 5, ascending: false } }))).toEqual(topOf(all, 5, -1))
  })

  it('keeps groups and values that pass all conditions', async () => {
    const all = await oracleRows('features')
    const values = await ask('features', {
      where: [
        { name: 'platform', test: 'equals', texts: ['desktop', 'mobile'], not: false },
        { name: 'properties.feature', test: 'prefix', texts: ['s', 'co'], not: false },
        { name: 'properties.feature', test: 'equals', texts: ['support_chat'], not: true },
      ],
      values: [
        { relation: '>=', than: 10 },
        { relation: '!=', than: 12 },
      ],
    })
    const expected = all.filter((row) => {
      const [, platform = '', feature = ''] = row.map(String)
      const named = /^(s|co)/.test(feature) && feature !== 'support_chat'
      return ['desktop', 'mobile'].includes(platform) && named && numberOf(row) >= 10 && numberOf(row) !== 12
    })
    expect(expected.length).toBeGreaterThan(0)
    expect(expected.length).toBeLessThan(all.length)
    expect(flat(values)).toEqual(expected)
  })

  it('judges totals, not the parts of which they are made', async () => {
    const rows = await oracle.rows({ ...questions.features, by: ['name'] })
    const all = rows.map((row): Row => [row.window_start_ms, String(row.name), row.value])
    const values = await ask('features', { groupBy: ['properties.feature'], values: [{ relation: '>', than: 40 }] })
    expect(flat(values)).toEqual(all.filter((row) => numberOf(row) > 40))
  })
})

describe('LookupKey', () => {
  const lookup: KeyQuery = {
    events: 0,
    job: 'shop',
    key: '',
    metrics: [],
    fromMs: Number.NEGATIVE_INFINITY,
    toMs: Number.POSITIVE_INFINITY,
    limit: 1000,
  }

  it('has all rows of a person, wherever the person lives', async () => {
    const byPerson = await oracleRows('by_person')
    const byBoth = await oracleRows('by_person_and_platform')
    const persons = [...new Set(byPerson.map(([, person]) => String(person)))]
    const owners = new Set<number>()
    for (const person of persons.slice(0, 20)) {
      const { results, subtask, watermarkMs } = await engine.client.query.lookupKey({ ...lookup, key: person })
      owners.add(subtask)
      expect(watermarkMs).toBe(Number.POSITIVE_INFINITY)
      expect(results.map(({ info, values }) => [info.metric, flat(values)])).toEqual([
        ['by_person', byPerson.filter((row) => row[1] === person)],
        ['by_person_and_platform', byBoth.filter((row) => row[2] === person)],
      ])
    }
    // Both subtasks of each operator own some of twenty persons.
    expect([...owners].sort()).toEqual([0, 1])
  })

  it('has nothing of a person that nobody has seen, and cuts to the range and the limit', async () => {
    const none = await engine.client.query.lookupKey({ ...lookup, key: 'nobody' })
    expect(none.results.map(({ values }) => values)).toEqual([[], []])
    const rows = await oracleRows('by_person')
    const [busiest] = topOf(rows, 1, -1)
    const person = String(busiest![1])
    const own = rows.filter((row) => row[1] === person)
    const one = await engine.client.query.lookupKey({ ...lookup, key: person, metrics: ['by_person'], limit: 1 })
    expect(flat(one.results[0]!.values)).toEqual(own.slice(-1))
    expect(one.results[0]!.truncated).toBe(own.length > 1)
    const day = { fromMs: own[0]![0], toMs: own[0]![0] + 1 }
    const ranged = await engine.client.query.lookupKey({ ...lookup, key: person, metrics: ['by_person'], ...day })
    expect(flat(ranged.results[0]!.values)).toEqual(own.slice(0, 1))
  })

  it('says which metrics know single keys', async () => {
    await expect(engine.client.query.lookupKey({ ...lookup, key: 'a', metrics: ['people'] })).rejects.toMatchObject({
      code: 'QUERY_INVALID',
      message: expect.stringContaining('by_person, by_person_and_platform'),
    })
    await expect(engine.client.query.lookupKey({ ...lookup, key: 'a', job: 'shopp' })).rejects.toMatchObject({
      code: 'JOB_NOT_FOUND',
    })
  })
})

describe('WatchJob', () => {
  function follow(job: string) {
    const updates: WatchJobResponse[] = []
    const ended = Promise.withResolvers<unknown>()
    const stop = engine.client.control.watch(job, {
      onUpdate: (update) => updates.push(update),
      onEnd: ended.resolve,
    })
    onTestFinished(stop)
    return { updates, ended: ended.promise }
  }

  it('shows a job that has ended, once', async () => {
    const { updates, ended } = follow('shop')
    expect(await ended).toBeNull()
    expect(updates).toHaveLength(1)
    expect(updates[0]?.job).toMatchObject({ name: 'shop', reason: expect.any(String) })
    expect(updates[0]?.graph?.operators.map(({ id }) => id)).toEqual(['events', 'window', 'merge'])
  })

  it('sees state, progress, checkpoints and watermark change, and the end', async () => {
    const source = { generator: { eventsPerSecond: 2000, persons: 100, partitions: 2 } }
    const few = [{ id: 'all', count: {}, window: { tumbling: '1m' } }]
    const checkpoint = { every: '200ms' }
    await submitJob(engine.client, engagementJob({ name: 'live', source, metrics: few, checkpoint }))
    const { updates, ended } = follow('live')
    const last = () => updates.at(-1)
    await expect.poll(() => last()?.progress?.readPerSecond ?? 0, { timeout: 20_000 }).toBeGreaterThan(0)
    await expect.poll(() => last()?.checkpoints?.completed ?? 0, { timeout: 20_000 }).toBeGreaterThan(1)
    await expect.poll(() => last()?.job?.watermark, { timeout: 20_000 }).toBeInstanceOf(Date)
    const { subtasks } = last()!
    expect(subtasks.map(({ operator }) => operator)).toEqual(expect.arrayContaining(['events', 'window', 'merge']))
    for (const { busyRatio, idleRatio, backPressuredRatio } of subtasks) {
      expect(busyRatio + idleRatio + backPressuredRatio).toBeLessThan(1.01)
    }
    await engine.client.control.cancel('live')
    expect(await ended).toBeNull()
    const states = updates.map(({ job }) => job?.state)
    expect(new Set(states).size).toBeGreaterThan(1)
    const reads = updates.map(({ job }) => job?.events?.read ?? 0)
    expect(reads.at(-1)).toBeGreaterThan(reads[0]!)
    // The graph is told once.
    expect(updates.filter(({ graph }) => graph !== undefined)).toHaveLength(1)
  })

  it('ends at once for a job that is not there', async () => {
    expect(await follow('nothing').ended).toMatchObject({ code: 'JOB_NOT_FOUND' })
  })
})
