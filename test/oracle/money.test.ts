/**
 * Money in a whole simulated deployment, against DuckDB: amounts as texts, doubles and integers, in currencies of no, two
 * and three digits, at the rates of their days in Berlin, refunds taken off. DuckDB has the amounts as decimals and rounds in
 * whole numbers of 128 bits; every value must be the same.
 */
import protobuf from 'protobufjs'
import { expect, it } from 'vitest'
import { nextBelow, SeededRandom } from '../../src/core/clock.ts'
import { loadDescriptors } from '../../src/event/descriptor.ts'
import { compileTexts } from '../../src/event/descriptor-text.ts'
import { parseJob } from '../../src/job/parse.ts'
import { MemoryTopic } from '../../src/source/memory-topic.ts'
import { Simulation } from '../../src/testing/simulation.ts'
import { openDuckDb } from '../support/duckdb.ts'

const text = `syntax = "proto3"; package t;
message Value { oneof value { string s = 1; double d = 2; int64 i = 3; bool b = 4; } }
message M {
  string k = 1; int64 at = 2; string name = 3; string currency = 4; string text = 5; double number = 6; int64 minor = 7;
  map<string, Value> props = 8;
}`
const descriptors = loadDescriptors(compileTexts([{ name: 'm.proto', text }]))
const type = protobuf.parse(text, { keepCase: true }).root.lookupType('t.M')

/** Saturday before the clocks of Berlin go forward, 22:00 there. */
const startMs = Date.UTC(2024, 2, 30, 21)
const STEP_MS = 60_000

const digits: Readonly<Record<string, number>> = { EUR: 2, USD: 2, JPY: 0, KWD: 3, GBP: 2 }

/** First day, by Berlin's calendar, in base EUR. */
const rates = [
  { currency: 'USD', from: '2024-01-01', rate: '0.9217' },
  { currency: 'USD', from: '2024-03-31', rate: '0.9305' },
  { currency: 'USD', from: '2024-04-01', rate: '0.95' },
  { currency: 'JPY', from: '2024-03-31', rate: '0.00612345' },
  { currency: 'KWD', from: '', rate: '3.0125' },
] as const

const refunded = `refunds: "name == 'refund'"`
const metrics = {
  net_minor: `sum: { field: minor, currency: currency, in: EUR, minorUnits: true, ${refunded} }`,
  gross_minor: `sum: { field: minor, currency: currency, in: EUR, minorUnits: true }`,
  net_text: `sum: { field: text, currency: currency, in: EUR, ${refunded} }`,
  yen_text: `sum: { field: text, currency: currency, in: JPY, ${refunded} }`,
  fine_number: `sum: { field: number, currency: currency, in: USD, decimals: 4, ${refunded} }`,
  mean_number: `avg: { field: number, currency: currency, in: EUR }`,
  most_property: `max: { field: props.amount, currency: currency, in: EUR }`,
  least_property: `min: { field: props.amount, currency: currency, in: EUR, ${refunded} }`,
  left_out: `sum: { field: text, currency: currency, in: EUR, measure: unconverted }`,
  dollars: `sum: { field: number, currency: USD }`,
} as const

function documentOf(preAggregation: boolean): string {
  // What is folded before the exchange may be sums of one column each.
  const chosen = Object.entries(metrics).filter(([id]) => !preAggregation || !/mean|most|least/.test(id))
  return `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: shop }
sources: [{ id: events, log: { path: none, topic: events, bounded: true } }]
event: { message: t.M, time: at, key: k, maxFuture: 36500d }
watermark: { outOfOrderness: 3d }
parallelism: 2
preAggregation: ${preAggregation}
currencies:
  base: EUR
  timezone: Europe/Berlin
  rates:
${rates.map(({ currency, from, rate }) => `    - { currency: ${currency}, ${from === '' ? '' : `from: ${from}, `}rate: ${rate} }`).join('\n')}
metrics:
${chosen.map(([id, kind]) => `  - { id: ${id}, ${kind}, where: name != 'view', window: { tumbling: 6h }, by: [k] }`).join('\n')}
`
}

/** SQL of the units of an amount, NULL where it has none: a column, what its minor digits are, the currency and decimals. */
function unitsSql(column: string, minorUnits: boolean, target: string, decimals: number, refunds: boolean): string {
  const minus = refunds ? `CASE WHEN name = 'refund' THEN -1 ELSE 1 END` : '1'
  const amount = refunds ? `abs(${column})` : column
  // Amounts have six digits, rates eight: product of whole numbers, then one division.
  const numerator = `abs(${amount} * 1000000)::HUGEINT * (CASE WHEN e.currency = '${target}' THEN 1 ELSE r.rate END * 100000000)::HUGEINT * ${10 ** decimals}`
  const denominator = `(1000000::HUGEINT * (CASE WHEN e.currency = '${target}' THEN 1 ELSE t.rate END * 100000000)::HUGEINT${minorUnits ? ' * d.power' : ''})`
  const sign = refunds ? `CASE WHEN name = 'refund' THEN 1 ELSE sign(${column}) END` : `sign(${column})`
  return `CASE WHEN ${column} = 0 THEN 0 ELSE ${minus} * ${sign} * (
    (${numerator}) // ${denominator} +
    CASE WHEN 2 * ((${numerator}) % ${denominator}) > ${denominator}
           OR (2 * ((${numerator}) % ${denominator}) = ${denominator} AND ((${numerator}) // ${denominator}) % 2 = 1)
         THEN 1 ELSE 0 END)::BIGINT END`
}

function valueSql(id: keyof typeof metrics): string {
  const [, field = ''] = /field: (?:props\.)?(\w+)/.exec(metrics[id])!
  const column = { minor: 'minor', text: 'amount', number: 'amount', amount: 'property' }[field]!
  const target = /in: (\w+)/.exec(metrics[id])?.[1] ?? 'USD'
  const decimals = Number(/decimals: (\d)/.exec(metrics[id])?.[1] ?? digits[target])
  const units = unitsSql(column, field === 'minor', target, decimals, metrics[id].includes('refunds'))
  // A currency in itself needs no rate.
  const source = `SELECT e.*, ${units} AS units FROM events e
    LEFT JOIN rates r ON r.currency = ${id === 'dollars' ? "'USD'" : 'e.currency'} AND e.day >= r.first AND e.day < r.last
    LEFT JOIN rates t ON t.currency = '${target}' AND e.day >= t.first AND e.day < t.last
    LEFT JOIN digits d ON d.currency = e.currency WHERE name <> 'view'`
  const of = {
    ...{ mean_number: 'avg(units)', most_property: 'max(units)', least_property: 'min(units)' },
    left_out: `count(*) FILTER (units IS NULL)`,
  }
  const sql = (of as Record<string, string>)[id] ?? 'coalesce(sum(units), 0)::BIGINT'
  return `SELECT ms - ms % ${6 * 3_600_000} AS start, k, ${sql} AS value FROM (${source}) GROUP BY ALL`
}

it.each([
  [1, false],
  [2, false],
  [3, true],
] as const)('money is what exact decimals give (seed %i, folded: %s)', async (seed, folded) => {
  const random = new SeededRandom(seed)
  const pick = <T>(of: readonly T[]): T => of[nextBelow(random, of.length)]!
  const events = Array.from({ length: 2500 }, (_, i) => {
    const k = `k${nextBelow(random, 3)}`
    const name = pick(['purchase', 'purchase', 'refund', 'view'])
    const currency = pick(['EUR', 'USD', 'usd', 'JPY', 'KWD', 'GBP', 'XYZ', ''])
    const minor = nextBelow(random, 5) === 0 ? 0 : nextBelow(random, 200_000) - 20_000
    const cents = (nextBelow(random, 4) === 0 ? 5 : nextBelow(random, 1_000_000)) - 1000
    const places = pick([0, 1, 2, 3, 4, 5])
    const amount = (cents / 10 ** places).toFixed(places)
    const at = startMs + i * STEP_MS
    const property = pick([{ s: amount }, { d: Number(amount) }, { i: String(minor) }, null])
    const message = {
      ...{ k, at: String(at), name, currency, text: amount, number: Number(amount), minor: String(minor) },
      ...(property === null ? {} : { props: { amount: property } }),
    }
    const own = property === null ? 'NULL' : 'i' in property ? String(minor) : amount
    const row = `('${k}', ${at}, '${name}', '${currency.toUpperCase()}', ${minor}, ${amount}, ${own})`
    return { value: type.encode(type.fromObject(message)).finish(), row }
  })
  const topic = new MemoryTopic('events', 3, new SeededRandom(seed))
  events.forEach(({ value }, i) => {
    topic.append(i % 3, [{ key: null, value, timestampMs: startMs }])
  })
  const { definition } = parseJob(documentOf(folded), descriptors)
  const simulation = new Simulation({ seed, workers: 2, topic, descriptors })
  await simulation.submit(definition)
  await simulation.runUntilState('shop', 'FINISHED')

  const db = await openDuckDb()
  const amounts = 'minor DECIMAL(20,6), amount DECIMAL(20,6), property DECIMAL(20,6)'
  await db.query(`CREATE TABLE raw (k TEXT, ms BIGINT, name TEXT, currency TEXT, ${amounts})`)
  await db.query(`INSERT INTO raw VALUES ${events.map(({ row }) => row).join()}`)
  await db.query(`CREATE TABLE events AS SELECT *,
    timezone('Europe/Berlin', timezone('UTC', make_timestamp(ms * 1000)))::DATE AS day FROM raw`)
  await db.query('CREATE TABLE given (currency TEXT, first DATE, rate DECIMAL(20,8))')
  const given = rates.map(({ currency, from, rate }) => `('${currency}', '${from || '1900-01-01'}', ${rate})`)
  await db.query(`INSERT INTO given VALUES ('EUR', '1900-01-01', 1), ${given.join()}`)
  await db.query(`CREATE TABLE rates AS SELECT currency, first, rate,
    lead(first, 1, DATE '2999-01-01') OVER (PARTITION BY currency ORDER BY first) AS last FROM given`)
  await db.query('CREATE TABLE digits (currency TEXT, power BIGINT)')
  const powers = Object.entries(digits).map(([currency, count]) => `('${currency}', ${10 ** count})`)
  await db.query(`INSERT INTO digits VALUES ${powers.join()}`)
  for (const [index, { id }] of definition.metrics.entries()) {
    const wanted = new Map<string, number | null>()
    for (const row of await db.query(valueSql(id as keyof typeof metrics)))
      wanted.set(`${row.start} ${row.k}`, row.value === null ? null : Number(row.value))
    const found = new Map<string, number>()
    for (const rows of await simulation.rows('shop', index))
      for (let i = 0; i < rows.count; i++)
        found.set(`${rows.windowStartMs[i]} ${rows.dimensions[i]!.join()}`, rows.values[i]!)
    expect([...found.keys()].sort(), id).toEqual([...wanted.keys()].sort())
    for (const [name, value] of wanted) expect(found.get(name), `${id} ${name}`).toBe(value)
    expect(new Set(wanted.values()).size, id).toBeGreaterThan(5)
  }
  db.close()
  await simulation.close()
})
