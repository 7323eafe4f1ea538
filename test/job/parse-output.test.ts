import { describe, expect, it } from 'vitest'
import { parseJob } from '../../src/job/parse.ts'
import { descriptors, small, violationsOf, withLine } from './parse-support.ts'

const parsed = (line: string) => parseJob(`${small}${line}\n`, descriptors).definition
const sinkOf = (sink: string) => parsed(`sinks: [{ id: out, ${sink} }]`).sinks[0]
const mistakes = (line: string) => violationsOf(withLine(line)).map(({ field, message }) => `${field}: ${message}`)
const sinkMistakes = (sink: string) => mistakes(`sinks: [{ id: out, ${sink} }]`)

describe('outputs', () => {
  it('are read, with defaults', () => {
    expect(sinkOf('redis:')?.output).toEqual({ kind: 'redis', prefix: 'results', stream: '', ttlMs: 0 })
    expect(sinkOf('redis: { prefix: p, ttl: 1h }')?.output).toEqual({
      ...{ kind: 'redis', prefix: 'p', stream: '', ttlMs: 3_600_000 },
    })
    expect(sinkOf('postgres: { table: stats.values }')?.output).toEqual({ kind: 'postgres', table: 'stats.values' })
    expect(sinkOf('http: { url: "https://a.example/in" }')?.output).toEqual({
      ...{ kind: 'http', url: 'https://a.example/in', encoding: 'json', timeoutMs: 30_000, retryMs: 60_000 },
    })
    expect(sinkOf('http: { url: "http://a:8080/in?x=1", encoding: ndjson, timeout: 5s, retry: 0s }')?.output).toEqual({
      ...{ kind: 'http', url: 'http://a:8080/in?x=1', encoding: 'ndjson', timeoutMs: 5000, retryMs: 0 },
    })
  })

  it('of dead letters and late events are streams of Redis with a name of their own', () => {
    const { deadLetters, late } = parsed('deadLetters: { redis: }\nlate: { redis: { stream: slow, prefix: p } }')
    expect(deadLetters?.output).toEqual({ kind: 'redis', prefix: 'results', stream: 'deadLetters', ttlMs: 0 })
    expect(late?.output).toEqual({ kind: 'redis', prefix: 'p', stream: 'slow', ttlMs: 0 })
  })

  it('have a format and a way of corrections, which are not said where they are the default', () => {
    const log = 'log: { path: p, topic: t }'
    const output = { kind: 'log', path: 'p', topic: 't' }
    const once = { id: 'out', output, delivery: 'exactly-once' }
    expect(sinkOf(log)).toEqual(once)
    expect(sinkOf(`format: protobuf, corrections: upsert, ${log}`)).toEqual(once)
    expect(sinkOf(`format: json, corrections: retract, ${log}`)).toEqual({
      ...once,
      ...{ format: 'json', corrections: 'retract' },
    })
  })

  it.each([
    ['redis: { prefix: "a b" }', 'sinks[0].redis.prefix: "a b" is no prefix of keys'],
    ['redis: { prefix: "{a}" }', 'sinks[0].redis.prefix: "{a}" is no prefix of keys'],
    ['redis: { stream: "a:b" }', 'sinks[0].redis.stream: "a:b" is no name of a stream'],
    ['redis: { stream: s, ttl: 1h }', 'sinks[0].redis.ttl: is for rows'],
    ['redis: { url: "redis://a" }', 'sinks[0].redis.url: unknown key'],
    ['postgres: {}', 'sinks[0].postgres.table: is missing'],
    ['postgres: { table: "a; drop table b" }', 'sinks[0].postgres.table: "a; drop table b" is no name of a table'],
    ['postgres: { table: a.b.c }', 'sinks[0].postgres.table: "a.b.c" is no name of a table'],
    ['postgres: { table: s.millrace_outbox }', 'sinks[0].postgres.table: "s.millrace_outbox" is where sinks keep'],
    ['http: { url: "ftp://a" }', 'sinks[0].http.url: must be an http:// or https:// URL'],
    ['http: { url: "a.example" }', 'sinks[0].http.url: must be an http:// or https:// URL'],
    ['http: { url: "https://user:secret@a" }', 'sinks[0].http.url: holds a user or a password'],
    ['http: { url: "https://a/#b" }', 'sinks[0].http.url: has a fragment'],
    ['http: { url: "https://a", encoding: xml }', 'sinks[0].http.encoding: must be json or ndjson'],
    ['http: { url: "https://a", timeout: 0s }', 'sinks[0].http.timeout: must be longer than zero'],
    ['format: xml, log: { path: p, topic: t }', 'sinks[0].format: must be protobuf or json'],
    ['format: json, http: { url: "https://a" }', 'sinks[0].format: is for kafka and log; http always takes JSON'],
    ['format: json, postgres: { table: t }', 'sinks[0].format: is for kafka and log; postgres always takes rows'],
    ['corrections: retract, postgres: { table: t }', 'sinks[0].corrections: a row of postgres is replaced'],
    ['delivery: at-least-once, redis: {}', 'sinks[0].delivery: redis outputs are written by epochs'],
    ['delivery: at-least-once, http: { url: "https://a" }', 'sinks[0].delivery: http outputs are written by epochs'],
    ['corrections: retract, redis: {}', 'sinks[0].corrections: a row of redis is replaced'],
  ])('with a mistake are refused: %s', (sink, message) => {
    expect(sinkMistakes(sink)).toEqual([expect.stringContaining(message) as string])
  })

  it('never say a password of a URL again', () => {
    expect(sinkMistakes('http: { url: "https://user:secret@a" }').join()).not.toContain('secret')
  })

  it.each([
    ['{ id: m, count: {}, window: { tumbling: 1m }, early: 1s }', 'of its early results the last one is not kept'],
    ['{ id: m, count: {}, window: { global: {} }, by: [person], early: 1s }', 'of its early results'],
    ['{ id: m, count: {}, window: { global: {} }, by: [person], trigger: { count: 5 } }', 'of a running value'],
    [
      '{ id: m, count: {}, window: { session: 1m }, by: [person], allowedLateness: 1m }',
      'late events merge its sessions',
    ],
    ['{ id: m, approxDistinct: {}, window: { tumbling: 1m } }', 'approxDistinct is a sketch'],
    ['{ id: m, activeUsers: { exactUpTo: 5 }, window: { tumbling: 1m } }', 'activeUsers with exactUpTo is a sketch'],
    ['{ id: m, quantile: { field: revenue_minor, q: 0.5 }, window: { tumbling: 1m } }', 'quantile is a sketch'],
    ['{ id: m, topK: { field: name, k: 3 }, window: { tumbling: 1m } }', 'topK is a sketch'],
    ['{ id: m, last: { field: name }, window: { tumbling: 1m } }', 'the last of a text'],
  ])('retract only what can be: not %s', (metric, why) => {
    const line = `metrics: [${metric}]\nsinks: [{ id: out, corrections: retract, log: { path: p, topic: t } }]`
    const found = violationsOf(`${withLine('metrics: []').replace(/metrics: \[\]/, '')}\n${line}\n`)
    expect(found.map(({ field, message }) => `${field}: ${message}`)).toEqual([
      expect.stringMatching(
        new RegExp(`^sinks\\[0\\].corrections: retract is not possible with metric "m": ${why}`),
      ) as string,
    ])
  })

  it.each([
    '{ id: m, count: {}, window: { sliding: 1m, slide: 10s }, allowedLateness: 1m }',
    '{ id: m, variance: { field: revenue_minor }, window: { tumbling: 1m } }',
    '{ id: m, histogram: { field: revenue_minor, bounds: [1, 2] }, window: { tumbling: 1m } }',
    '{ id: m, last: { field: occurred_at }, window: { tumbling: 1m } }',
    '{ id: m, count: {}, window: { session: 1m }, by: [person] }',
    '{ id: m, count: {}, window: { global: {} }, by: [person], trigger: { count: 5, purge: true } }',
  ])('retract what can be: %s', (metric) => {
    const line = `metrics: [${metric}]\nsinks: [{ id: out, corrections: retract, log: { path: p, topic: t } }]`
    expect(() =>
      parseJob(`${withLine('metrics: []').replace(/metrics: \[\]/, '')}\n${line}\n`, descriptors),
    ).not.toThrow()
  })
})

describe('the output of episodes', () => {
  const detectors = 'detectors: [{ id: d, metric: events, ewma: {} }]'

  it('is a topic', () => {
    expect(parsed('').episodes).toBeUndefined()
    expect(parsed(`${detectors}\nepisodes: { kafka: { topic: e } }`).episodes).toEqual({
      ...{ kind: 'kafka', topic: 'e', brokers: '' },
    })
    expect(parsed(`${detectors}\nepisodes: { log: { path: p, topic: e } }`).episodes).toEqual({
      ...{ kind: 'log', path: 'p', topic: 'e' },
    })
  })

  it('is refused where it cannot be', () => {
    expect(mistakes('episodes: { kafka: { topic: e } }')).toEqual([
      'episodes: needs detectors: there is nothing that would find any',
    ])
    expect(mistakes(`${detectors}\nepisodes: { kafka: { topic: events } }`)).toEqual([
      'episodes.kafka.topic: is the topic that the job reads: its results would come back as events',
    ])
    expect(mistakes(`${detectors}\nepisodes: { kafka: { topic: "a b" } }`)).toEqual([
      'episodes.kafka.topic: "a b" is no topic name: letters, digits, ".", "_" and "-", at most 249',
    ])
    expect(mistakes(`${detectors}\nepisodes: { redis: }`)[0]).toMatch(/^episodes/)
  })
})

describe('exactly-once outputs of a job without periodic checkpoints', () => {
  const off = 'checkpoint: { every: 0s }'
  const log = 'log: { path: p, topic: t }'

  it.each([
    [`sinks: [{ id: out, ${log} }, { id: again, ${log}, delivery: at-least-once }]`, 'out', 'out'],
    [`deadLetters: { ${log} }`, 'deadLetters', 'deadLetters'],
    ['late: { redis: }', 'lateEvents', ''],
    [`sinks: [{ id: rows, redis: }]\nlate: { ${log} }`, 'rows, lateEvents', 'lateEvents'],
  ])('are refused: %s', (outputs, named, instead) => {
    const other = instead === '' ? '' : `, or delivery: at-least-once for ${instead}`
    expect(mistakes(`${off}\n${outputs}`)).toEqual([
      `checkpoint.every: switches checkpoints off, but with delivery: exactly-once what goes to ${named} leaves with checkpoints only: it never would. Set a period, as 1s${other}`,
    ])
  })

  it('are taken where input ends, and the others always', () => {
    const atOnce = `sinks: [{ id: out, ${log}, delivery: at-least-once }, { id: none, discard: }]`
    expect(parsed(`${off}\n${atOnce}`).checkpoint.everyMs).toBe(0)
    const bounded = small.replace('topic: events }', 'topic: events, bounded: true }')
    expect(bounded).not.toBe(small)
    const { definition } = parseJob(`${bounded}${off}\nsinks: [{ id: out, ${log} }]\n`, descriptors)
    expect(definition).toMatchObject({ checkpoint: { everyMs: 0 }, source: { bounded: true } })
  })
})
