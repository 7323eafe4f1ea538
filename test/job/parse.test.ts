import { describe, expect, it } from 'vitest'
import { parseJob, parseJobMessage } from '../../src/job/parse.ts'
import { descriptors, errorOf, small, withLine } from './parse-support.ts'

describe('a job document', () => {
  it('has every default filled in', () => {
    const { definition, sample } = parseJob(small, descriptors)
    expect(sample).toBeNull()
    expect(definition).toEqual({
      name: 'small',
      source: {
        id: 'events',
        input: {
          kind: 'kafka',
          topic: 'events',
          brokers: '',
          isolation: 'read_committed',
          groupId: '',
          skipLost: false,
          checkCrcs: true,
          discoveryMs: 30_000,
        },
        start: { kind: 'earliest' },
        bounded: false,
      },
      event: { message: 'millrace.v1.Event', time: 'occurred_at', timeUnit: 'ms', key: 'person', maxFutureMs: 300_000 },
      watermark: { outOfOrdernessMs: 5000, idlenessMs: 30_000, maxDriftMs: 0 },
      checkpoint: { everyMs: 1000, retain: 3, timeoutMs: 600_000, tolerableFailures: 0 },
      parallelism: 0,
      keyGroups: 128,
      preAggregation: true,
      stateLimitBytes: 1024 ** 3,
      metrics: [
        {
          id: 'events',
          description: '',
          kind: { kind: 'count' },
          where: null,
          by: [],
          window: { kind: 'tumbling', sizeMs: 60_000, offsetMs: 0, timezone: 'UTC', time: 'event' },
          trigger: null,
          earlyMs: 0,
          allowedLatenessMs: 0,
          retainMs: 90 * 86_400_000,
        },
      ],
      sinks: [],
      deadLetters: null,
      late: null,
    })
  })

  it('takes everything that can be said', () => {
    const { definition } = parseJob(
      `${small.replace('metrics:', 'old:').split('old:')[0]}
parallelism: 3
keyGroups: 64
stateLimit: 64Mi
event: { message: millrace.v1.Event, time: received_at, key: device, maxFuture: 0 }
watermark: { outOfOrderness: 1m30s, idleness: 0s, maxDrift: 1h }
checkpoint: { every: 500ms, retain: 1, timeout: 1m, tolerableFailures: 5 }
metrics:
  - { id: s, sum: { field: revenue_minor }, where: name == 'purchase', by: [currency, person], allowedLateness: 1h, retain: 1w, window: { tumbling: 1h, offset: -15m } }
  - { id: d, distinct: { field: session }, window: { tumbling: 1w, timezone: America/New_York } }
  - { id: u, activeUsers:, window: { tumbling: 6h, timezone: Europe/Berlin } }
  - { id: m, max: { field: sent_at }, window: { tumbling: 1d } }
  - { id: a, avg: { field: properties.price }, window: { tumbling: 1d } }
sinks:
  - { id: k, kafka: { topic: metrics, brokers: 'a:1' } }
  - { id: x, discard: {} }
deadLetters: { kafka: { topic: dead } }
late: { log: { path: /tmp/x, topic: late } }
`,
      descriptors,
    )
    expect(definition).toMatchObject({
      parallelism: 3,
      keyGroups: 64,
      stateLimitBytes: 64 * 1024 * 1024,
      event: { time: 'received_at', maxFutureMs: 0 },
      watermark: { outOfOrdernessMs: 90_000, idlenessMs: 0, maxDriftMs: 3_600_000 },
      checkpoint: { everyMs: 500, retain: 1, timeoutMs: 60_000, tolerableFailures: 5 },
      sinks: [{ output: { kind: 'kafka', brokers: 'a:1' } }, { output: { kind: 'discard' } }],
      deadLetters: { output: { kind: 'kafka', topic: 'dead' } },
      late: { output: { kind: 'log', path: '/tmp/x' } },
    })
    expect(definition.metrics.map((m) => m.kind.kind)).toEqual(['sum', 'distinct', 'activeUsers', 'max', 'avg'])
    expect(definition.metrics[0]).toMatchObject({
      window: { offsetMs: -900_000 },
      retainMs: 604_800_000,
      by: ['currency', 'person'],
    })
  })

  it.each([
    ['earliest', { kind: 'earliest' }],
    ['latest', { kind: 'latest' }],
    ['{ latest: {} }', { kind: 'latest' }],
    ["{ timestamp: '2024-03-01T00:00:00Z' }", { kind: 'timestamp', timestampMs: 1_709_251_200_000 }],
    [
      '{ offsets: { partitions: { 0: 5, 1: 9 }, otherwise: latest } }',
      { kind: 'offsets', offsets: { 0: 5, 1: 9 }, otherwise: 'latest' },
    ],
  ])('starts at %s', (start, expected) => {
    const { definition } = parseJob(withLine(`sources: [{ kafka: { topic: t, start: ${start} } }]`), descriptors)
    expect(definition.source.start).toEqual(expected)
  })

  it('reads the other sources', () => {
    expect(
      parseJob(withLine('sources: [{ id: l, log: { path: /x, topic: t, bounded: true } }]'), descriptors).definition
        .source,
    ).toEqual({
      id: 'l',
      input: { kind: 'log', path: '/x', topic: 't' },
      start: { kind: 'earliest' },
      bounded: true,
    })
    const generated = parseJob(
      withLine('sources: [{ generator: { seed: 7, maxEvents: 100, start: 2024-01-02 } }]'),
      descriptors,
    )
    expect(generated.definition.source).toMatchObject({
      bounded: true,
      input: { kind: 'generator', seed: 7, maxEvents: 100, persons: 10_000, startMs: Date.UTC(2024, 0, 2) },
    })
  })

  it('is the same as JSON with tabs, and as a message', () => {
    const yaml = parseJob(small, descriptors)
    const document = {
      apiVersion: 'millrace.dev/v1',
      kind: 'Job',
      metadata: { name: 'small' },
      sources: [{ kafka: { topic: 'events' } }],
      metrics: [{ id: 'events', count: {}, window: { tumbling: '1m' } }],
    }
    expect(parseJob(JSON.stringify(document, null, '\t'), descriptors)).toEqual(yaml)
    expect(parseJobMessage(document, descriptors)).toEqual(yaml)
    const generator = { generator: { maxEvents: '9007199254740991', seed: '3' } }
    expect(parseJobMessage({ ...document, sources: [generator] }, descriptors).definition.source.input).toMatchObject({
      maxEvents: Number.MAX_SAFE_INTEGER,
      seed: 3,
    })
    const error = errorOf(() => parseJobMessage({ ...document, kind: 'Jab' }, descriptors))
    expect(error.violations).toEqual([{ field: 'kind', message: 'must be Job', line: 0, column: 0 }])
  })
})
