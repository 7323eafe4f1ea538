/**
 * Revenue and historic lifetime value of the purchases of CDNOW, as jobs/revenue.yaml gives them, against DuckDB over the file: totals
 * and cohorts to the cent, and the means that are made of them to the last bit.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { parse } from 'yaml'
import { SeededRandom } from '../../src/core/clock.ts'
import { Event } from '../../src/gen/millrace/v1/event.ts'
import { parseJob } from '../../src/job/parse.ts'
import { purchaseStatistics } from '../../src/metrics/purchase-statistics.ts'
import { jobViews } from '../../src/query/job-views.ts'
import type { LifetimeQuery, LifetimeResult } from '../../src/query/lifetime-api.ts'
import type { MetricValue } from '../../src/query/metric-info.ts'
import { createQueryService } from '../../src/query/service.ts'
import { MemoryTopic } from '../../src/source/memory-topic.ts'
import { Simulation } from '../../src/testing/simulation.ts'
import { builtInDescriptors } from '../support/descriptors.ts'
import { openDuckDb, sqlString } from '../support/duckdb.ts'
import { allOf } from '../support/engine-numbers.ts'
import { projectRoot } from '../support/infra-process.ts'
import { cdnowPath, lifetimesOracle, readCdnow } from '../support/lifetimes/lifetimes.ts'

const DAY_MS = 86_400_000
/** jobs/revenue.yaml as it is shipped, over a topic in memory. */
const document = JSON.stringify({
  ...(parse(readFileSync(join(projectRoot, 'jobs/revenue.yaml'), 'utf8')) as object),
  ...{
    metadata: { name: 'cdnow' },
    event: { message: 'millrace.v1.Event', time: 'occurred_at', key: 'person', maxFuture: '36500d' },
  },
  ...{
    sources: [{ id: 'events', log: { path: 'none', topic: 'events', bounded: true } }],
    watermark: { outOfOrderness: '2d' },
  },
  parallelism: 2,
})

const purchases = `
  lines AS (SELECT regexp_split_to_array(trim(line), '\\s+') AS cells
    FROM read_csv(${sqlString(cdnowPath)}, columns = {'line': 'VARCHAR'}, delim = '|', header = false, skip = 1)),
  purchases AS (SELECT cells[1] AS person, strptime(cells[2], '%Y%m%d') AS bought, cells[4]::DECIMAL(12,2) AS amount FROM lines),
  months AS (SELECT *, date_trunc('month', bought) AS month FROM purchases)`

const monthly = (value: string): string => `WITH ${purchases}
  SELECT epoch_ms(month)::BIGINT AS start, '' AS age, ${value} AS value FROM months GROUP BY ALL`

const cohorts = (value: string): string => `WITH ${purchases},
  came AS (SELECT person, min(month) AS cohort FROM months GROUP BY ALL)
  SELECT epoch_ms(cohort)::BIGINT AS start, age::TEXT AS age,
    (sum(amount * 100) FILTER (datediff('month', cohort, month) <= age))::BIGINT AS revenue,
    count(DISTINCT person) AS persons, ${value} AS value
  FROM months JOIN came USING (person), range(0, 7) AS ages(age) GROUP BY ALL`

const sql: Readonly<Record<string, string>> = {
  revenue: monthly('sum(amount * 100)::BIGINT'),
  unconverted: monthly('0'),
  orders: monthly('count(*)'),
  paying: monthly('count(DISTINCT person)'),
  average_order: monthly('sum(amount * 100)::BIGINT::DOUBLE / count(*)'),
  arppu: monthly('sum(amount * 100)::BIGINT::DOUBLE / count(DISTINCT person) * 0.01'),
  ltv: cohorts('revenue::DOUBLE / persons'),
  ltv_revenue: cohorts('revenue'),
  ltv_persons: cohorts('persons'),
  repeat_buyers: cohorts("count(DISTINCT person) FILTER (datediff('month', cohort, month) = age)"),
}

const found = new Map<string, readonly MetricValue[]>()
const asked: LifetimeQuery = {
  ...{ job: 'cdnow', metric: 'days', untilMs: Infinity, steps: 12, daysPerStep: 30, discountRate: 0.01, penalizer: 0 },
  ...{ persons: [], limit: 100_000, margin: 0.4, churn: 0.1 },
}
let predicted: LifetimeResult
let refused: string

beforeAll(async () => {
  const random = new SeededRandom(7)
  const topic = new MemoryTopic('events', 3, random)
  const events = [...readCdnow()].flatMap(([person, list]) => list.map((one) => ({ person, ...one })))
  events.sort((a, b) => a.period - b.period || (a.person < b.person ? -1 : 1))
  events.forEach(({ person, period, amount }, i) => {
    // Amounts as texts and as doubles.
    const text = amount.toFixed(2)
    const stringValue = { value: { $case: 'stringValue' as const, value: text } }
    const doubleValue = { value: { $case: 'doubleValue' as const, value: amount } }
    const properties = { amount: i % 2 === 0 ? stringValue : doubleValue }
    const occurredAt = new Date(period * DAY_MS)
    const value = Event.encode(Event.fromPartial({ person, name: 'purchase', occurredAt, properties })).finish()
    topic.append(i % 3, [{ key: null, value, timestampMs: period * DAY_MS }])
  })
  const descriptors = builtInDescriptors()
  const simulation = new Simulation({ seed: 7, workers: 2, topic, descriptors })
  const { definition } = parseJob(document, descriptors)
  await simulation.submit(definition)
  await simulation.runUntilState('cdnow', 'FINISHED')
  const queries = createQueryService(jobViews(simulation.manager), simulation.scheduler, 10)
  for (const metric of [...Object.keys(sql), 'days'])
    found.set(metric, (await simulation.settle(queries.query(allOf('cdnow', metric)))).values)
  predicted = await simulation.settle(queries.lifetime(asked))
  refused = await simulation.settle(
    queries.lifetime({ ...asked, metric: 'revenue' }).then(() => 'was answered', String),
  )
  await simulation.close()
}, 240_000)

it.each(Object.keys(sql))('%s is what the file says', async (metric) => {
  const db = await openDuckDb()
  const rows = await db.query(sql[metric]!)
  db.close()
  const line = (startMs: unknown, age: unknown, value: unknown) => `${startMs} ${age} = ${value}`
  const wanted = rows.map(({ start, age, value }) => line(start, age, value)).sort()
  const got = found
    .get(metric)!
    .map((one) => line(one.windowStartMs, one.dimensions.join(), one.value))
    .sort()
  expect(got).toEqual(wanted)
  expect(got.length).toBeGreaterThan(17)
})

it('comes to 2,500,315.63 dollars of 69,659 purchases, of which none is left out', () => {
  const total = (metric: string) => found.get(metric)!.reduce((sum, { value }) => sum + value, 0)
  expect([total('revenue'), total('orders'), total('unconverted')]).toEqual([250_031_563, 69_659, 0])
})

it('has by person and day what the models of lifetime value are fitted to', () => {
  const endDay = Date.UTC(1998, 5, 30) / DAY_MS
  const days = Map.groupBy(found.get('days')!, ({ dimensions }) => dimensions[0]!)
  const wanted = readCdnow()
  expect(days.size).toBe(wanted.size)
  for (const [person, list] of wanted) {
    const purchases = days.get(person)!.map(({ windowStartMs, value }) => ({
      ...{ period: windowStartMs / DAY_MS, amount: value },
    }))
    const cents = list.map(({ period, amount }) => ({ period, amount: Math.round(amount * 100) }))
    expect(purchaseStatistics(purchases, endDay), person).toEqual(purchaseStatistics(cents, endDay))
  }
})

it('predicts of every customer what the package lifetimes predicts, from the rows of the job', {
  timeout: 240_000,
}, async () => {
  const oracle = await lifetimesOracle()
  const { purchases, spend, persons, total } = predicted
  // Where two searches stop: test/golden/lifetime-value.golden.test.ts derives it. `v` is money: here it is cents.
  const near = (ours: number, theirs: number) => expect(Math.abs(ours / theirs - 1)).toBeLessThan(1e-4)
  for (const [name, value] of Object.entries(purchases.parameters)) near(value, oracle.purchases.params[name]!)
  for (const [name, value] of Object.entries(spend.parameters))
    near(value, oracle.spend.params[name]! * (name === 'v' ? 100 : 1))
  expect([purchases.persons, spend.persons, predicted.days]).toEqual([23_570, 11_515, 546])
  const told = new Map(persons.map((one) => [one.person, one]))
  expect(told.size).toBe(oracle.customers.id.length)
  oracle.customers.id.forEach((id, i) => {
    const one = told.get(id)!
    expect([one.frequency, one.recency, one.age]).toEqual([
      ...[oracle.customers.frequency[i], oracle.customers.recency[i], oracle.customers.age[i]],
    ])
    expect(Math.abs(one.alive - oracle.probabilityAlive[i]!)).toBeLessThan(1e-4)
    near(one.expectedAmount, oracle.amount[i]! * 100)
    expect(Math.abs(one.value / (oracle.value12Months[i]! * 100) - 1)).toBeLessThan(1e-3)
  })
  near(total, oracle.value12Months.reduce((sum, value) => sum + value, 0) * 100)
  expect(persons.every(({ value }, i) => i === 0 || value <= persons[i - 1]!.value)).toBe(true)
})

it('says the steady state by the formula that it names, of the last 30 days', () => {
  const last = found.get('days')!.filter(({ windowStartMs }) => windowStartMs > Date.UTC(1998, 5, 30) - 30 * DAY_MS)
  const buyers = new Set(last.map(({ dimensions }) => dimensions[0])).size
  const arppu = last.reduce((sum, { value }) => sum + value, 0) / buyers
  expect(predicted.steadyState).toEqual({ arppu, buyers, margin: 0.4, churn: 0.1, value: (arppu * 0.4) / 0.1 })
})

it('refuses a metric that is not by person and day', () => {
  expect(refused).toMatch(/what each person spends on each day, which cdnow\/revenue is not/)
})
