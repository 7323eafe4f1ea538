import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseJob, parseJobMessage } from '../../src/job/parse.ts'
import { descriptors, errorOf, small, told, violationsOf, withLine } from './parse-support.ts'

describe('mistakes', () => {
  it('behind a mistyped message are told with it, judged by the message that was meant', () => {
    const metrics = `metrics:
  - { id: a, count: {}, where: "name = 'x'", window: { tumbling: 1m }, by: [plattform] }
`
    const event = (text: string) => small.replace(/metrics: .*\n/, `event: ${text}\n${metrics}`)
    const fields = (text: string) => violationsOf(event(text)).map((v) => v.field)
    expect(fields('{ message: millrace.v1.Evnt, time: occured_at }')).toEqual([
      'event.message',
      'event.time',
      'metrics[0].where',
      'metrics[0].by[0]',
    ])
    expect(fields('{ message: Order }')).toEqual(['event.message', 'metrics[0].where'])
  })

  it('are told all at once, of shape and of sense, in order and in place', () => {
    expect(
      told(`apiVersion: millrace.dev/v2
kind: Jobb
metadata: { name: Bad_Name }
sources: [{ id: merge, kafka: { topik: events, isolation: read_comitted } }]
event: { message: millrace.v1.Event, time: occured_at, key: revenue }
watermark: { outOfOrderness: 5, idleness: 30x }
metrics:
  - { id: A, count: {}, where: "name == 'page_view' && platfrom == 3", window: { tumbling: 1m }, by: [platfrm] }
  - id: s
    sum: { field: name }
    where: >-
      name ==
      'x' && kind == 'EVENT_KIND_PAGE'
    window: { tumbling: 7h, timezone: Europe/Berln }
    wher: x
  - { id: s, window: {} }
sinks:
  - { id: out, kafka: { topic: a b } }
`),
    ).toEqual([
      '1:13 apiVersion: must be millrace.dev/v1',
      '2:7 kind: must be Job',
      '3:19 metadata.name: "Bad_Name" is no DNS label: lower-case letters, digits and "-", at most 63',
      '4:17 sources[0].id: "merge" is the id of another operator of every job',
      '4:31 sources[0].kafka.topic: is missing',
      '4:33 sources[0].kafka.topik: unknown key; did you mean "topic"?',
      '4:59 sources[0].kafka.isolation: must be read_committed or read_uncommitted; did you mean "read_committed"?',
      '5:44 event.time: millrace.v1.Event has no field "occured_at"; did you mean "occurred_at"?',
      expect.stringContaining('5:61 event.key: millrace.v1.Event has no field "revenue"'),
      '6:30 watermark.outOfOrderness: must be a duration such as 500ms, 5s, 1m, 1h, 1d or 1w, not 5; a number needs a unit',
      '6:43 watermark.idleness: must be a duration such as 500ms, 5s, 1m, 1h, 1d or 1w, not "30x"',
      '8:11 metrics[0].id: "A" must be lower-case snake_case, at most 63 characters',
      '8:56 metrics[0].where: millrace.v1.Event has no field "platfrom"; did you mean "platform"?',
      '8:103 metrics[0].by[0]: millrace.v1.Event has no field "platfrm"; did you mean "platform"?',
      '10:19 metrics[1].sum.field: sum takes a number; "name" is string; for its different values use distinct',
      '13:18 metrics[1].where: == does not take "kind" (enum) and a string; an enum compares with its number: EVENT_KIND_PAGE is 2',
      '14:39 metrics[1].window.timezone: there is no time zone "Europe/Berln"; use an IANA name, as Europe/Berlin',
      '15:5 metrics[1].wher: unknown key; did you mean "where"?',
      '16:5 metrics[2]: needs a kind of metric: count, sum, min, max, avg, distinct, activeUsers, approxDistinct, quantile, topK, first, last, variance, stddev, histogram, funnel, lifecycle, retention, stickiness, ratio, lifetimeValue, sessions or paths',
      '16:11 metrics[2].id: metric "s" is defined twice',
      '16:22 metrics[2].window: needs a kind of window: tumbling, calendar, sliding, cumulate, session or global',
      '18:32 sinks[0].kafka.topic: "a b" is no topic name: letters, digits, ".", "_" and "-", at most 249',
    ])
  })

  it('have one message that says how many there are and where the first is', () => {
    const error = errorOf(() => parseJob(small.replace('Job', 'Jab').replace('1m', '1x'), descriptors))
    expect(error.code).toBe('JOB_INVALID')
    expect(error.message).toBe('the job definition has 2 mistakes; the first: line 2, column 7: kind: must be Job')
  })

  it.each([
    [
      'sources: [{ kafka: { topic: a } }, { kafka: { topic: b } }]',
      'sources: a job reads exactly one source for now, not 2',
    ],
    ['sources: []', 'sources: a job needs a source'],
    ['sources: [{ kafka: { topic: a }, log: { path: b } }]', 'sources[0]: has kafka and log: only one kind of source'],
    ['sources: [kafka]', 'sources[0]: must be a mapping, not "kafka"'],
    ['sources: [{ kafka: { topic: 5 } }]', 'sources[0].kafka.topic: must be a text, not 5; put it in quotes'],
    ['sources: [{ kafka: { topic: t, start: now } }]', 'start: must be earliest, latest, { timestamp'],
    ['sources: [{ kafka: { topic: t, start: { timestamp: yesterday } } }]', 'must be a time such as'],
    [
      'sources: [{ kafka: { topic: t, start: { offsets: { partitions: { x: 1 } } } } }]',
      'must be the number of a partition',
    ],
    ['sinks: [{ id: out, kafka: { topic: events } }]', 'sinks[0].kafka.topic: is the topic that the job reads'],
    ['deadLetters: { kafka: { topic: events } }', 'deadLetters.kafka.topic: is the topic that the job reads'],
    ['late: { discard: {} }', 'late: needs a kind of output: kafka, log, redis, postgres or http'],
    ['sinks: [{ id: events, discard: {} }]', 'sinks[0].id: id "events" is taken'],
    ['stateLimit: 64Q', 'stateLimit: must be a size such as 64Mi'],
    ['parallelism: 1.5', 'parallelism: must be a whole number'],
    ['keyGroups: 40000', 'keyGroups: must be a whole number from 0 to 32768'],
    ['metrics: []', 'metrics: a job needs a metric'],
    ['metrics: [{ id: a, count: {}, sum: { field: x }, window: { tumbling: 1m } }]', 'metrics[0]: has count and sum'],
    ['metrics: [{ id: a, count: {} }]', 'metrics[0].window: is missing'],
    ['metrics: [{ id: a, count: {}, window: { tumbling: 0s } }]', 'tumbling: must be longer than zero'],
    [
      'metrics: [{ id: a, count: {}, window: { tumbling: 1m, offset: 1m } }]',
      'offset: must be shorter than the window',
    ],
    [
      'metrics: [{ id: a, count: {}, window: { tumbling: 7h, timezone: Europe/Berlin } }]',
      'whole days or divides a day',
    ],
    [
      'metrics: [{ id: a, count: {}, window: { tumbling: 36h, timezone: Europe/Berlin } }]',
      'whole days or divides a day',
    ],
    ['metrics: [{ id: a, count: {}, window: { tumbling: 1m }, by: [occurred_at] }]', 'is a time: windows divide time'],
    ['metrics: [{ id: a, count: {}, window: { tumbling: 1m }, by: [name, name] }]', 'dimension "name" is named twice'],
    ['metrics: [{ id: a, count: {}, window: { tumbling: 1m }, by: platform }]', 'by: must be a list, not "platform"'],
    ['metrics: [{ id: a, count: { field: x }, window: { tumbling: 1m } }]', 'metrics[0].count.field: unknown key'],
    ['metrics: [{ id: a, min: { field: name }, window: { tumbling: 1m } }]', 'min takes a number'],
    ['metrics: [{ id: a, sum: { field: occurred_at }, window: { tumbling: 1m } }]', 'sum takes a number'],
    [
      'metrics: [{ id: a, approxDistinct: { error: 0.001 }, window: { tumbling: 1m } }]',
      'error: must be a number from 0.0040625 to 1, not 0.001',
    ],
    [
      'metrics: [{ id: a, activeUsers: { exactUpTo: 70000 }, window: { tumbling: 1m } }]',
      'exactUpTo: must be a whole number from 1 to 65536, not 70000',
    ],
    [
      'metrics: [{ id: a, activeUsers: { error: 0.02 }, window: { tumbling: 1m } }]',
      'error: is that of what is beyond exactUpTo',
    ],
    [
      'metrics: [{ id: a, quantile: { field: revenue_minor }, window: { tumbling: 1m } }]',
      'quantile.q: is missing: which quantile',
    ],
    [
      'metrics: [{ id: a, quantile: { field: revenue_minor, q: 95 }, window: { tumbling: 1m } }]',
      'q: must be a number from 0 to 1, not 95',
    ],
    [
      'metrics: [{ id: a, quantile: { field: name, q: 0.5 }, window: { tumbling: 1m } }]',
      'quantile takes a number; "name" is string',
    ],
    [
      'metrics: [{ id: a, topK: { field: screen }, window: { tumbling: 1m } }]',
      'topK.k: is missing: how many, 1 to 100',
    ],
    [
      'metrics: [{ id: a, topK: { field: screen, k: 1000 }, window: { tumbling: 1m } }]',
      'k: must be a whole number from 1 to 100',
    ],
    [
      'metrics: [{ id: a, histogram: { field: revenue_minor }, window: { tumbling: 1m } }]',
      'bounds: is missing: where buckets begin',
    ],
    [
      'metrics: [{ id: a, histogram: { field: revenue_minor, bounds: [1, 1] }, window: { tumbling: 1m } }]',
      'bounds[1]: must be greater than the bound before, 1',
    ],
    [
      'metrics: [{ id: a, histogram: { field: revenue_minor, bounds: [a] }, window: { tumbling: 1m } }]',
      'bounds[0]: must be a number, not "a"',
    ],
    [
      'metrics: [{ id: a, stddev: { field: screen }, window: { tumbling: 1m } }]',
      'stddev takes a number; "screen" is string',
    ],
    [
      'metrics: [{ id: a, variance: { field: revenue_minor, sampel: true }, window: { tumbling: 1m } }]',
      'sampel: unknown key; did you mean "sample"?',
    ],
    ['event: { key: occurred_at }', 'event.key: "occurred_at" is timestamp'],
    ['event: { time: name }', 'event.time: "name" is string'],
    ['event: { message: millrace.v1.Evnt }', 'did you mean "millrace.v1.Event"?'],
    [
      'sample: { file: x, columns: { persn: a } }',
      'sample.columns.persn: a sample event has no field "persn"; did you mean "person"?',
    ],
    ['sample: { file: x, columns: { event_id: { row: false } } }', 'row: must be true'],
    ['sample: { columns: {} }', 'sample.file: is missing'],
  ])('%s', (line, expected) => {
    const all = violationsOf(withLine(line)).map((v) => `${v.field}: ${v.message}`)
    expect(all.length).toBeGreaterThan(0)
    expect(all.join('\n')).toContain(expected)
    expect(all.length, all.join('\n')).toBeLessThan(3)
  })

  it('have limits', () => {
    const metrics = (n: number, where = '') =>
      `metrics:\n${Array.from({ length: n }, (_, i) => `  - { id: m${i}, count: {}, window: { tumbling: 1m }${where.replaceAll('#', String(i))} }`).join('\n')}`
    expect(told(withLine(metrics(101))).join()).toContain('at most 100 metrics')
    expect(told(withLine(metrics(32, `, where: "name == 'n#'"`))).join()).toContain('at most 31 different "where"')
    expect(() => parseJob(withLine(metrics(31, `, where: "name == 'n#'"`)), descriptors)).not.toThrow()
    const by = ['name', 'kind', 'device', 'session', 'platform', 'screen', 'currency', 'event_id', 'person']
    expect(
      told(withLine(`metrics: [{ id: a, count: {}, window: { tumbling: 1m }, by: [${by.join()}] }]`)).join(),
    ).toContain('at most 8 dimensions')
  })
})

describe('hostile documents', () => {
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${['b', 'c', 'd', 'e', 'f', 'g', 'h'].map((k, i) => `${k}: &${k} [${Array(9).fill(`*${'abcdefg'[i]}`).join()}]`).join('\n')}\n`
  it.each([
    ['an alias bomb', bomb, 'too many aliases'],
    ['duplicate keys', `${small}kind: Job\n`, '6:1 : the key "kind" stands here twice'],
    ['no YAML', 'a: [1, 2', 'Flow sequence'],
    ['a tag', `${small}x: !!js/function 'x'\n`, 'Unresolved tag'],
    ['two documents', `${small}---\n${small}`, 'multiple documents'],
    ['nothing', '', 'the document is empty'],
    ['a text', 'hello', 'must be a mapping, not "hello"'],
    ['a list', '[1]', 'must be a mapping, not a list'],
    ['two megabytes', ' '.repeat(2 * 1024 * 1024), 'larger than 128 KiB'],
    ['depth', '['.repeat(20_000), 'nests too deeply'],
    ['ten thousand keys', Array.from({ length: 10_000 }, (_, i) => `k${i}: 1`).join('\n'), 'k7: unknown key'],
    ['a prototype', `${small}__proto__: { kind: x }\n`, '__proto__: unknown key'],
  ])('%s', (_, text, expected) => {
    expect(told(text).join('\n')).toContain(expected)
  })

  it('never throw anything but JOB_INVALID', () => {
    const piece = fc.oneof(
      fc.constantFrom(...small.split('\n')),
      fc.string({ maxLength: 20 }),
      fc.constantFrom('- ', '  ', ': ', '[', '{', '&a ', '*a', '|', '>', "'"),
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), fc.constantFrom('\n', ' ', ''), (pieces, glue) => {
        try {
          parseJob(pieces.join(glue), descriptors)
        } catch (error) {
          expect(error).toMatchObject({ code: 'JOB_INVALID' })
        }
      }),
      { numRuns: 500 },
    )
    fc.assert(
      fc.property(
        fc.jsonValue(),
        fc.constantFrom('metadata', 'sources', 'event', 'metrics', 'sinks', 'late', 'sample'),
        (value, key) => {
          expect(errorOf(() => parseJobMessage({ [key]: value }, descriptors))).toMatchObject({ code: 'JOB_INVALID' })
        },
      ),
      { numRuns: 500 },
    )
  })
})

describe('places inside expressions', () => {
  const place = (where: string, needle: string) => {
    const text = `${small.split('metrics:')[0]}metrics:\n  - id: a\n    count: {}\n    window: { tumbling: 1m }\n    where: ${where}\n`
    const [violation] = violationsOf(text)
    const lines = text.split('\n')
    expect(
      lines[violation!.line - 1]!.slice(violation!.column - 1).startsWith(needle),
      `${violation!.line}:${violation!.column}`,
    ).toBe(true)
  }
  it.each([
    ["name == 'x' && oops == 1", 'oops'],
    ['"name == \'x\' && oops == 1"', 'oops'],
    ["'name == ''x'' && oops == 1'", 'oops'],
    ['"name == \\"x\\" && oops == 1"', 'oops'],
    ["|\n      name == 'x' &&\n        oops == 1", 'oops'],
    ["|-\n      name == 'x' &&\n\n      oops == 1", 'oops'],
    [">\n      name == 'x'\n      && oops == 1", 'oops'],
    ["name ==\n      'x' && oops == 1", 'oops'],
    ['name = "x"', '= "x"'],
  ])('%s', (where, needle) => {
    place(where, needle)
  })
})
