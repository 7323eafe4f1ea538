/**
 * Numbers that are not there, in a whole simulated deployment, against DuckDB: absent is NULL in aggregates and the default
 * in conditions; a default that Protobuf leaves out is a value.
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
message Point { int64 x = 1; }
message M {
  string k = 1; int64 at = 2; int64 plain = 3; optional int64 maybe = 4; Point point = 5; map<string, Value> props = 6;
}`
const descriptors = loadDescriptors(compileTexts([{ name: 'm.proto', text }]))
const type = protobuf.parse(text, { keepCase: true }).root.lookupType('t.M')

const fields = ['plain', 'maybe', 'point.x', 'props.p'] as const
const columns = ['plain', 'maybe', 'x', 'p'] as const
const startMs = 1_700_006_400_000
const HOUR = 3_600_000

/** Kinds that rows may be folded for before they cross, and the others: each its SQL over a column. */
const folded = { sum: 'coalesce(sum(#), 0)' }
const single = {
  sum: 'coalesce(sum(#), 0)',
  avg: 'avg(#)',
  min: "coalesce(min(#), 'Infinity'::DOUBLE)",
  max: "coalesce(max(#), '-Infinity'::DOUBLE)",
  variance: 'var_pop(#)',
  first: 'first(# ORDER BY ms) FILTER (# IS NOT NULL)',
  last: 'last(# ORDER BY ms) FILTER (# IS NOT NULL)',
}

function metricsOf(kinds: object): string {
  const metrics = fields.flatMap((field, i) =>
    Object.keys(kinds)
      // The first of a property is a text; sums of doubles are not folded.
      .filter((kind) => field !== 'props.p' || !(kinds === folded || kind === 'first' || kind === 'last'))
      .map(
        (kind) => `  - { id: ${kind}_${columns[i]}, ${kind}: { field: ${field} }, window: { tumbling: 1h }, by: [k] }`,
      ),
  )
  return [
    '  - { id: events, count: {}, window: { tumbling: 1h }, by: [k] }',
    '  - { id: low, count: {}, where: maybe < 3 && props.p < 3, window: { tumbling: 1h }, by: [k] }',
    '  - { id: low_sum, sum: { field: maybe }, where: maybe < 3, window: { tumbling: 1h }, by: [k] }',
    ...metrics,
  ].join('\n')
}

it.each([
  [1, 'each row by itself', single],
  [2, 'each row by itself', single],
  [3, 'rows folded before the exchange', folded],
] as const)('absent numbers are NULL in aggregates (seed %i, %s)', async (seed, _, kinds) => {
  const random = new SeededRandom(seed)
  const some = (chance: number): boolean => nextBelow(random, 100) < chance
  const events = Array.from({ length: 2000 }, (__, i) => {
    const plain = nextBelow(random, 5)
    // Key k0 has hardly any values, so that some of its windows have none.
    const k = `k${nextBelow(random, 4)}`
    const chance = k === 'k0' ? 1 : 60
    const maybe = some(chance) ? nextBelow(random, 5) : null
    const x = some(chance) ? nextBelow(random, 5) : null
    const p = some(chance) ? nextBelow(random, 5) : null
    // A property of another type has no number.
    const property = p !== null ? (some(50) ? { i: String(p) } : { d: p }) : some(50) ? { s: 'text' } : null
    const at = startMs + i * 10_000
    const message = {
      ...{ k, at: String(at), ...(plain === 0 ? {} : { plain: String(plain) }) },
      ...(maybe === null ? {} : { maybe: String(maybe) }),
      // Proto3 leaves a default out: then the message alone says that it is there.
      ...(x === null ? {} : { point: x === 0 ? {} : { x: String(x) } }),
      ...(property === null ? {} : { props: { p: property } }),
    }
    return { value: type.encode(type.fromObject(message)).finish(), row: [`'${k}'`, at, plain, maybe, x, p] }
  })

  const topic = new MemoryTopic('events', 3, new SeededRandom(seed))
  events.forEach(({ value }, i) => {
    topic.append(i % 3, [{ key: null, value, timestampMs: startMs }])
  })
  const document = `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: absent }
sources: [{ id: events, log: { path: none, topic: events, bounded: true } }]
event: { message: t.M, time: at, key: k, maxFuture: 36500d }
watermark: { outOfOrderness: 1d }
parallelism: 2
metrics:
${metricsOf(kinds)}
`
  const { definition } = parseJob(document, descriptors)
  const simulation = new Simulation({ seed, workers: 2, topic, descriptors })
  await simulation.submit(definition)
  await simulation.runUntilState('absent', 'FINISHED')

  const db = await openDuckDb()
  await db.query('CREATE TABLE events (k TEXT, ms BIGINT, plain DOUBLE, maybe DOUBLE, x DOUBLE, p DOUBLE)')
  await db.query(
    `INSERT INTO events VALUES ${events.map(({ row }) => `(${row.map((v) => v ?? 'NULL').join()})`).join()}`,
  )
  for (const [index, metric] of definition.metrics.entries()) {
    const [kind, column] = metric.id.split('_')
    const sql =
      metric.id === 'events'
        ? 'count(*)'
        : metric.id === 'low'
          ? 'count(*) FILTER (coalesce(maybe, 0) < 3 AND coalesce(p, 0) < 3)'
          : metric.id === 'low_sum'
            ? 'coalesce(sum(maybe) FILTER (maybe < 3), 0)'
            : (single[kind as keyof typeof single] as string).replaceAll('#', column!)
    const wanted = new Map<string, number>()
    for (const row of await db.query(`SELECT ms - ms % ${HOUR} AS start, k, ${sql} AS value FROM events GROUP BY ALL`))
      wanted.set(`${row.start} ${row.k}`, row.value === null ? Number.NaN : Number(row.value))
    const found = new Map<string, number>()
    for (const rows of await simulation.rows('absent', index))
      for (let i = 0; i < rows.count; i++)
        found.set(`${rows.windowStartMs[i]} ${rows.dimensions[i]!.join()}`, rows.values[i]!)
    expect([...found.keys()].sort(), metric.id).toEqual([...wanted.keys()].sort())
    for (const [name, value] of wanted)
      if (Number.isFinite(value)) expect(found.get(name), `${metric.id} ${name}`).toBeCloseTo(value, 9)
      else expect(found.get(name), `${metric.id} ${name}`).toBe(value)
  }
  db.close()
  await simulation.close()
})
