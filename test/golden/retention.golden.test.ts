/**
 * The metrics of jobs/retention.yaml against DuckDB, every value exactly: in order, shuffled within the lateness, over several
 * partitions and threads, and stopped with a savepoint in the middle and resumed at another parallelism.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { accountedFor } from '../../src/control/api.ts'
import type { MetricValue } from '../../src/query/api.ts'
import type { MillraceClient } from '../../src/rpc/client.ts'
import type { ConversionRow } from '../oracle/conversion-oracle.ts'
import { type Oracle, openOracle } from '../oracle/engagement-oracle.ts'
import { type RetentionQuery, retentionRows, stickinessRows } from '../oracle/retention-oracle.ts'
import { ECOM_ROWS } from '../support/ecom.ts'
import { engineForTest, folderForTest, submitJob, untilJob, untilRead } from '../support/engine.ts'
import { valuesOf } from '../support/engine-numbers.ts'
import { engagementEvents, fillPartitions, shuffleWithin } from '../support/events.ts'
import { createLogTopic } from '../support/events-log.ts'

const document = parse(readFileSync(join(import.meta.dirname, '../../jobs/retention.yaml'), 'utf8')) as {
  metrics: { id: string }[]
}

const HOUR = 3_600_000
const DAY = 24 * HOUR
const berlin = 'Europe/Berlin'

const everybody: Omit<RetentionQuery, 'period' | 'periods'> = {
  ...{ timezone: berlin, start: 'true', returns: 'true', mode: 'on', cohort: 'first', clock: 'calendar' },
  ...{ lookbackMs: 90 * DAY, by: '' },
}
const bought = "name = 'purchase'"

type Expected = ReadonlyMap<string, readonly string[]>

let oracle: Oracle
let expected: Expected

beforeAll(async () => {
  oracle = await openOracle()
  const persons = ({ values }: ConversionRow) => values[2]!
  const ratio = (of: number, by: number) => (row: ConversionRow) =>
    row.values[by] === 0 ? Number.NaN : row.values[of]! / row.values[by]!
  const first = ({ values }: ConversionRow) => values[0]!
  const weekly = await retentionRows(oracle, { ...everybody, period: 'week', periods: 8, by: 'platform' })
  const of = async (query: Partial<RetentionQuery> & Pick<RetentionQuery, 'period' | 'periods'>) =>
    lines(await retentionRows(oracle, { ...everybody, ...query }), query.by !== undefined, persons)
  const all = {
    weekly: lines(weekly, true, persons),
    weekly_retention: lines(weekly, true, ratio(2, 0)),
    weekly_previous: lines(weekly, true, ratio(2, 1)),
    monthly_unbounded: await of({ period: 'month', periods: 3, mode: 'onOrAfter' }),
    promotion: await of({
      ...{ period: 'day', periods: 7, timezone: 'Asia/Kolkata', cohort: 'recurring' },
      ...{ start: "name = 'promo_page'", returns: bought },
    }),
    first_days: await of({ period: 'day', periods: 10, clock: 'elapsed', by: 'channel' }),
    buyers: await of({
      ...{ period: 'month', periods: 2, clock: 'elapsed', cohort: 'recurring', mode: 'onOrAfter' },
      ...{ start: bought, returns: bought },
    }),
    active_days: lines(
      await stickinessRows(oracle, { period: 'month', timezone: berlin, interval: 'day', where: 'true', by: '' }),
      ...[false, first],
    ),
    active_days_of_28: lines(
      await stickinessRows(oracle, {
        ...{ days: 28, timezone: 'Asia/Kolkata', interval: 'day', where: 'true', by: 'platform' },
      }),
      ...[true, first],
    ),
    active_weeks: lines(
      await stickinessRows(oracle, { period: 'month', timezone: berlin, interval: 'week', where: bought, by: '' }),
      ...[false, first],
    ),
  }
  expected = new Map(Object.entries(all))
  // Of each metric something must happen.
  for (const [id, wanted] of expected) expect(wanted.length, id).toBeGreaterThan(5)
  expect([...expected.keys()].sort()).toEqual(document.metrics.map(({ id }) => id).sort())
})

afterAll(() => oracle?.close())

function line(
  startMs: number,
  endMs: number,
  group: readonly string[],
  value: number,
  items: readonly number[],
): string {
  const bounds = `${new Date(startMs).toISOString()}..${new Date(endMs).toISOString()}`
  return `${bounds} ${JSON.stringify(group)} = ${value}${items.length === 0 ? '' : ` of ${items.join(', ')}`}`
}

function lines(
  rows: readonly ConversionRow[],
  grouped: boolean,
  value: (row: ConversionRow) => number,
  items: (row: ConversionRow) => readonly number[] = () => [],
): string[] {
  return rows
    .map((row) => line(row.startMs, row.endMs, grouped ? [row.by, row.label] : [row.label], value(row), items(row)))
    .sort()
}

function told(values: readonly MetricValue[]): string[] {
  return values
    .map((value) => {
      const items = value.detail?.items.map((item) => item.value) ?? []
      return line(value.windowStartMs, value.windowEndMs, value.dimensions, value.value, items)
    })
    .sort()
}

async function expectAll(client: MillraceClient, job: string): Promise<void> {
  for (const [id, wanted] of expected) {
    const values = await valuesOf(client, job, id)
    expect(told(values), id).toEqual(wanted)
    expect(new Set(values.map(({ status }) => status)), id).toEqual(new Set(['final']))
  }
  const { events } = await untilRead(client, job, ECOM_ROWS)
  expect(events).toMatchObject({ read: ECOM_ROWS, late: 0, deadLettered: 0, lost: 0 })
  expect(accountedFor(events)).toBe(ECOM_ROWS)
}

function jobText(name: string, source: object, outOfOrderness: string, parallelism: number): string {
  const ends = { metadata: { name }, sources: [{ id: 'events', ...source }], sinks: [] }
  return JSON.stringify({ ...document, ...ends, parallelism, watermark: { outOfOrderness, idleness: '0s' } })
}

describe('jobs/retention.yaml', () => {
  it.each([
    { partitions: 1, parallelism: 1, boundMs: 0 },
    { partitions: 4, parallelism: 3, boundMs: 5000 },
    { partitions: 3, parallelism: 2, boundMs: 6 * HOUR },
  ])('is what DuckDB says: %o', async ({ partitions, parallelism, boundMs }) => {
    const engine = await engineForTest({ threads: 2 })
    const log = createLogTopic(engine.logRoot, 'events', partitions)
    const filled = fillPartitions(engagementEvents(), partitions, 'round-robin')
    await log.append(filled.map((events, i) => shuffleWithin(events, boundMs, i + 1)))
    await log.close()
    await submitJob(engine.client, jobText('retention', log.source({ bounded: true }), `${boundMs}ms`, parallelism))
    await untilJob(engine.client, 'retention', ({ state }) => state === 'FINISHED')
    await expectAll(engine.client, 'retention')
  })

  it('is the same when it is stopped in the middle and goes on at another parallelism', async () => {
    const env = { MILLRACE_SAVEPOINT_DIR: folderForTest('retention-savepoints') }
    const first = await engineForTest({ threads: 2, env })
    const log = createLogTopic(first.logRoot, 'events', 3)
    const filled = fillPartitions(engagementEvents(), 3, 'hash').map((events, i) => shuffleWithin(events, HOUR, i))
    await submitJob(first.client, jobText('retention', log.source(), '1h', 2))
    await log.append(filled.map((events) => events.slice(0, events.length >> 1)))
    await untilRead(first.client, 'retention', ECOM_ROWS >> 2)
    await first.client.control.stop('retention', { savepoint: 'middle', drain: false })
    await log.append(filled.map((events) => events.slice(events.length >> 1)))
    await log.close()
    const second = await engineForTest({ threads: 3, env })
    const text = jobText('retention', log.source({ bounded: true }), '1h', 3)
    await second.client.control.submit({ kind: 'text', text }, { savepoint: 'middle', claim: false, dropState: [] })
    await untilJob(second.client, 'retention', ({ state }) => state === 'FINISHED')
    await expectAll(second.client, 'retention')
  })
})
