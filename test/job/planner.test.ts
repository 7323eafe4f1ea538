import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { compileProjection } from '../../src/event/projection.ts'
import { ScanBatch } from '../../src/event/scan.ts'
import { Event } from '../../src/gen/millrace/v1/event.ts'
import { hashDefinition } from '../../src/job/definition-hash.ts'
import { parseJob } from '../../src/job/parse.ts'
import { planJob } from '../../src/job/planner.ts'
import { mapSampleRow } from '../../src/job/sample.ts'
import { compilePredicates } from '../../src/operator/filter.ts'
import { builtInDescriptors, descriptorsOf } from '../support/descriptors.ts'

const descriptors = builtInDescriptors()
const head = `apiVersion: millrace.dev/v1
kind: Job
metadata: { name: j }
sources: [{ kafka: { topic: events } }]
`
const parse = (metrics: string) => parseJob(`${head}metrics:\n${metrics}`, descriptors).definition
const plan = (metrics: string, threads = 2) => planJob(parse(metrics), { threads, descriptors })

describe('a plan', () => {
  it('shares predicates, columns, tables and accumulators', () => {
    const p = plan(`
  - { id: views, count: {}, where: name == 'page_view', window: { tumbling: 1h }, by: [platform] }
  - { id: all, count: {}, window: { tumbling: 1h }, by: [platform] }
  - { id: views_again, count: {}, where: "'page_view' == name", window: { tumbling: 60m }, by: [platform] }
  - { id: revenue, sum: { field: revenue_minor }, window: { tumbling: 1h }, by: [platform] }
  - { id: mean, avg: { field: revenue_minor }, window: { tumbling: 1h }, by: [platform] }
  - { id: later, count: {}, window: { tumbling: 1h }, by: [platform], allowedLateness: 1m }
`)
    expect(p.predicates).toEqual([{ op: 'text', column: 0, relation: '==', values: ['page_view'] }, { op: 'true' }])
    expect(p.schema.columns.map((c) => `${c.field.path}/${c.encoding}`)).toEqual([
      'name/text',
      'platform/text',
      'revenue_minor/number',
    ])
    expect(p.tables.map((t) => t.id)).toEqual([
      'platform|tumbling:1h@UTC|late=0s|retain=90d',
      'platform|tumbling:1h@UTC|late=1m|retain=90d',
    ])
    expect(p.tables[0]!.accumulators).toEqual([
      { kind: 'count', predicate: 0, column: -1, floating: false },
      { kind: 'count', predicate: 1, column: -1, floating: false },
      { kind: 'sum', predicate: 1, column: 2, floating: false, metrics: ['revenue', 'mean'] },
    ])
    expect(p.metrics).toEqual([
      { id: 'views', table: 0, predicate: 0, events: 0, read: { kind: 'value', of: 0 }, integer: true },
      { id: 'all', table: 0, predicate: 1, events: 1, read: { kind: 'value', of: 1 }, integer: true },
      { id: 'views_again', table: 0, predicate: 0, events: 0, read: { kind: 'value', of: 0 }, integer: true },
      { id: 'revenue', table: 0, predicate: 1, events: 1, read: { kind: 'value', of: 2 }, integer: true },
      { id: 'mean', table: 0, predicate: 1, events: 1, read: { kind: 'ratio', of: 2, by: 1 }, integer: false },
      { id: 'later', table: 1, predicate: 1, events: 0, read: { kind: 'value', of: 0 }, integer: true },
    ])
  })

  it('knows the key as a dimension and as what is distinct', () => {
    const p = plan(`
  - { id: mine, count: {}, window: { tumbling: 1h }, by: [person, platform] }
  - { id: users, activeUsers: {}, window: { tumbling: 1h } }
  - { id: persons, distinct: { field: person }, window: { tumbling: 1h } }
  - { id: screens, distinct: { field: screen }, window: { tumbling: 1h } }
  - { id: price, max: { field: properties.price }, window: { tumbling: 1h } }
`)
    expect(p.tables[0]).toMatchObject({ keyed: true, dimensions: [-1, 0], dimensionNames: ['person', 'platform'] })
    expect(p.tables[1]).toMatchObject({ keyed: false, dimensions: [] })
    expect(p.tables[1]!.accumulators).toEqual([
      { kind: 'count', predicate: 0, column: -1, floating: false },
      { kind: 'distinct', predicate: 0, column: -1, floating: false, metrics: ['users', 'persons'] },
      { kind: 'distinct', predicate: 0, column: 1, floating: false, metrics: ['screens'] },
      { kind: 'max', predicate: 0, column: 2, floating: true, metrics: ['price'] },
    ])
    expect(p.metrics.map((m) => [m.id, m.read, m.integer])).toEqual([
      ['mine', { kind: 'value', of: 0 }, true],
      ['users', { kind: 'value', of: 1 }, true],
      ['persons', { kind: 'value', of: 1 }, true],
      ['screens', { kind: 'value', of: 2 }, true],
      ['price', { kind: 'value', of: 3 }, false],
    ])
    expect(p.schema.columns[2]).toMatchObject({ field: { type: 'property' }, encoding: 'number' })
  })

  it('numbers that may be absent are none in aggregates and 0 in conditions; averages count those that are there', () => {
    const source = `syntax = "proto3"; package t; message Point { int32 x = 1; }
      message M { string k = 1; int64 at = 2; int32 plain = 3; optional int32 maybe = 4; Point point = 5; }`
    const own = descriptorsOf(source)
    const text = `${head}event: { message: t.M, time: at, key: k }
metrics:
  - { id: plain, avg: { field: plain }, where: plain >= 0, window: { tumbling: 1h } }
  - { id: maybe, avg: { field: maybe }, where: maybe >= 0, window: { tumbling: 1h } }
  - { id: first, first: { field: maybe }, window: { tumbling: 1h } }
  - { id: x, max: { field: point.x }, window: { tumbling: 1h } }
`
    const p = planJob(parseJob(text, own).definition, { threads: 1, descriptors: own })
    expect(p.schema.columns.map((c) => `${c.field.path}${c.nullable ? '?' : ''}`)).toEqual([
      'plain',
      'maybe',
      'maybe?',
      'point.x?',
    ])
    expect(p.predicates[1]).toMatchObject({ column: 1 })
    expect(p.tables[0]!.accumulators.map(({ kind, column }) => `${kind} ${column}`)).toEqual([
      'count -1',
      'count -1',
      'count -1',
      'sum 0',
      'sum 2',
      'values 2',
      'first 2',
      'max 3',
    ])
    expect(p.metrics[1]!.read).toEqual({ kind: 'ratio', of: 4, by: 5 })
  })

  it('counts up to a number exactly where it is asked to, apart from what is exact', () => {
    const p = plan(`
  - { id: all, activeUsers: {}, window: { tumbling: 1h } }
  - { id: some, activeUsers: { exactUpTo: 100 }, window: { tumbling: 1h } }
  - { id: same, activeUsers: { exactUpTo: 100, error: 0.02 }, window: { tumbling: 1h } }
  - { id: few, approxDistinct: { field: screen, exactUpTo: 5, error: 0.0325 }, window: { tumbling: 1h } }
  - { id: rolling, activeUsers: { exactUpTo: 100 }, window: { sliding: 7d, slide: 1d } }
`)
    const of = (kind: string, column: number, metrics: string[], more: object = {}) => ({
      ...{ kind, predicate: 0, column, floating: false, metrics },
      ...more,
    })
    expect(p.tables[0]!.accumulators.slice(1)).toEqual([
      of('distinct', -1, ['all']),
      of('boundedDistinct', -1, ['some', 'same'], { precision: 12, exactUpTo: 100 }),
      of('boundedDistinct', 0, ['few'], { precision: 10, exactUpTo: 5 }),
    ])
    // Rolling active users that are exact have timelines of persons; these have panes.
    expect(p.tables[1]).not.toHaveProperty('person')
  })

  it('shares a sketch among the metrics that can read it', () => {
    const p = plan(`
  - { id: people, approxDistinct: {}, window: { tumbling: 1h } }
  - { id: screens, approxDistinct: { field: screen, error: 0.005 }, window: { tumbling: 1h } }
  - { id: p50, quantile: { field: properties.price, q: 0.5 }, window: { tumbling: 1h } }
  - { id: p95, quantile: { field: properties.price, q: 0.95 }, window: { tumbling: 1h } }
  - { id: fine, quantile: { field: properties.price, q: 0.95, error: 0.001 }, window: { tumbling: 1h } }
  - { id: top, topK: { field: screen, k: 3 }, window: { tumbling: 1h } }
  - { id: spread, stddev: { field: properties.price, sample: true }, window: { tumbling: 1h } }
  - { id: wide, variance: { field: properties.price }, window: { tumbling: 1h } }
  - { id: prices, histogram: { field: properties.price, bounds: [10, 100] }, window: { tumbling: 1h } }
  - { id: entry, first: { field: screen }, window: { tumbling: 1h } }
  - { id: latest, last: { field: revenue_minor }, window: { tumbling: 1h } }
  - { id: mean, avg: { field: properties.price }, window: { tumbling: 1h } }
`)
    expect(p.tables).toHaveLength(1)
    const [text, price, money] = [0, 1, 2]
    expect(p.schema.columns.map((c) => `${c.field.path}/${c.encoding}`)).toEqual([
      'screen/text',
      'properties.price/number',
      'revenue_minor/number',
    ])
    const of = (kind: string, column: number, metrics: string[], more: object = {}) => ({
      kind,
      predicate: 0,
      column,
      floating: ['quantiles', 'moments', 'sum'].includes(kind),
      metrics,
      ...more,
    })
    expect(p.tables[0]!.accumulators).toEqual([
      { kind: 'count', predicate: 0, column: -1, floating: false },
      of('approxDistinct', -1, ['people'], { precision: 12 }),
      of('approxDistinct', text, ['screens'], { precision: 16 }),
      of('quantiles', price, ['p50', 'p95'], { error: 0.01 }),
      of('quantiles', price, ['fine'], { error: 0.001 }),
      of('topK', text, ['top'], { k: 3 }),
      of('moments', price, ['spread', 'wide']),
      of('histogram', price, ['prices'], { bounds: [10, 100] }),
      of('firstText', text, ['entry']),
      of('last', money, ['latest']),
      of('sum', price, ['mean']),
      of('values', price, ['mean']),
    ])
    expect(p.metrics.map((m) => [m.id, m.read, m.integer])).toEqual([
      ['people', { kind: 'value', of: 1 }, true],
      ['screens', { kind: 'value', of: 2 }, true],
      ['p50', { kind: 'quantile', of: 3, q: 0.5 }, false],
      ['p95', { kind: 'quantile', of: 3, q: 0.95 }, false],
      ['fine', { kind: 'quantile', of: 4, q: 0.95 }, false],
      ['top', { kind: 'topK', of: 5 }, true],
      ['spread', { kind: 'variance', of: 6, sample: true, root: true }, false],
      ['wide', { kind: 'variance', of: 6, sample: false, root: false }, false],
      ['prices', { kind: 'histogram', of: 7 }, true],
      ['entry', { kind: 'text', of: 8 }, false],
      ['latest', { kind: 'value', of: 9 }, true],
      ['mean', { kind: 'ratio', of: 10, by: 11 }, false],
    ])
  })

  it('names tables by what makes them: other metrics come and go', () => {
    const own =
      '  - { id: a, count: {}, window: { tumbling: 1d, timezone: Europe/Berlin, offset: -1h }, by: [platform] }\n'
    const ids = (metrics: string) => plan(metrics).tables.map((t) => t.id)
    expect(ids(own)).toEqual(['platform|tumbling:1d-1h@Europe/Berlin|late=0s|retain=90d'])
    expect(ids(`  - { id: b, count: {}, window: { tumbling: 1m } }\n${own}`)).toContain(ids(own)[0])
  })

  it('tells tables apart whatever their dimensions are called', () => {
    const lists = [['properties.a', 'properties.b'], ['properties.a+properties.b'], ['properties.a\\', 'properties.b']]
    const metrics = lists.map(
      (by, i) => `  - { id: m${i}, count: {}, window: { tumbling: 1m }, by: ${JSON.stringify(by)} }`,
    )
    const p = plan(metrics.join('\n'))
    expect(p.metrics.map(({ table }) => p.tables[table]!.dimensionNames)).toEqual(lists)

    const own = descriptorsOf(
      'syntax = "proto3"; package t; message M { string k = 1; int64 at = 2; int64 total = 3; }',
    )
    const text = `${head}event: { message: t.M, time: at, key: k }
metrics:
  - { id: all, count: {}, window: { tumbling: 1h } }
  - { id: by_total, count: {}, window: { tumbling: 1h }, by: [total] }
`
    const q = planJob(parseJob(text, own).definition, { threads: 1, descriptors: own })
    expect(q.metrics.map(({ table }) => q.tables[table]!.dimensionNames)).toEqual([[], ['total']])
  })

  it('is plain data, and takes its parallelism from the job or the threads', () => {
    const p = plan('  - { id: a, count: {}, where: kind == 2, window: { tumbling: 1m } }', 3)
    expect(structuredClone(p)).toEqual(p)
    expect(p.parallelism).toBe(3)
    const fixed = { ...parse('  - { id: a, count: {}, window: { tumbling: 1m } }'), parallelism: 5, keyGroups: 4 }
    expect(planJob(fixed, { threads: 3, descriptors }).parallelism).toBe(4)
  })

  it('hashes what state depends on and nothing else', () => {
    const a = parse("  - { id: a, count: {}, window: { tumbling: 1m }, where: name == 'x' }")
    const hash = hashDefinition(a)
    expect(hash).toMatch(/^[0-9a-f]{32}$/)
    const reordered = JSON.parse(JSON.stringify(a, Object.keys(a).reverse())) as object
    expect(Object.keys(reordered)).not.toEqual(Object.keys(a))
    const shuffled = Object.fromEntries(Object.entries(a).reverse()) as typeof a
    expect(hashDefinition(shuffled)).toBe(hash)
    expect(hashDefinition({ ...a, parallelism: 7, sinks: [{ id: 'x', output: { kind: 'discard' } }] })).toBe(hash)
    expect(hashDefinition({ ...a, keyGroups: 64 })).not.toBe(hash)
    expect(hashDefinition({ ...a, metrics: [{ ...a.metrics[0]!, where: null }] })).not.toBe(hash)
    expect(hashDefinition({ ...a, event: { ...a.event, key: 'device' } })).not.toBe(hash)
  })
})

describe('jobs/engagement.yaml', () => {
  const text = readFileSync(new URL('../../jobs/engagement.yaml', import.meta.url), 'utf8')
  const { definition, sample } = parseJob(text, descriptors)
  const rows = gunzipSync(readFileSync(new URL('../../jobs/data/ecom.csv.gz', import.meta.url)))
    .toString('utf8')
    .trim()
    .split('\n')
    .map((line) => line.trim().split(','))
  const header = rows.shift()!

  it('parses and plans', () => {
    const p = planJob(definition, { threads: 2, descriptors })
    expect(p.metrics.map((m) => m.id)).toEqual([
      'page_views',
      'active_users',
      'active_users_by_platform',
      'feature_interactions',
      'purchases',
    ])
    expect(p.tables.length).toBe(4)
  })

  it('maps every row of its sample, and its predicates sort them', () => {
    const p = planJob(definition, { threads: 2, descriptors })
    const projection = compileProjection(p.schema)
    const filter = compilePredicates(p.predicates, p.schema)
    const batch = new ScanBatch(p.schema.columns)
    const taken = p.predicates.map(() => 0)
    const ids = new Set<string>()
    rows.forEach((cells, i) => {
      const mapped = mapSampleRow(sample!, Object.fromEntries(header.map((h, c) => [h, cells[c]])), i + 1)
      if ('problem' in mapped) throw new Error(mapped.problem)
      ids.add(mapped.event.eventId)
      expect(sample!.names[cells[2]!]).toBeDefined()
      if (batch.rows === batch.capacity) batch.reset()
      const bytes = Event.encode(mapped.event).finish()
      expect(projection.decode(bytes, 0, bytes.length, batch)).toBe(0)
      if (batch.rows === batch.capacity || i === rows.length - 1) {
        filter.evaluate(batch)
        for (const mask of batch.mask.subarray(0, batch.rows)) {
          for (let b = 0; b < taken.length; b++) taken[b]! += (mask >>> b) & 1
        }
      }
    })
    const views = /^(home|catalog|.*_page|product_view|cart|shipping_details|payment_details)$/
    const count = (of: (name: string) => boolean) => rows.filter((r) => of(r[2]!)).length
    expect(ids.size).toBe(rows.length)
    expect(taken).toEqual([
      count((n) => views.test(n) && n !== 'error_page'),
      rows.length,
      count((n) => /^(search|filter_results|compare|wishlist_add|add_to_cart|support_chat)$/.test(n)),
      count((n) => n === 'purchase'),
    ])
  })
})
