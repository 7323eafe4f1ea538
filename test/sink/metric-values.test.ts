import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MetricValue, ValueStatus } from '../../src/gen/millrace/v1/metric.ts'
import type { JobPlan, MetricPlan } from '../../src/job/plan.ts'
import { BoundedWriter } from '../../src/sink/bounded-writer.ts'
import { type MetricValueOptions, MetricValueSink } from '../../src/sink/metric-values.ts'
import { accumulator, tablePlan } from '../operator/support.ts'
import { type Fired, firedRows, RecordingWriter } from './support.ts'

const metric = (id: string, table: number, events: number, of: number, integer: boolean): MetricPlan => ({
  id,
  table,
  predicate: 0,
  events,
  read: { kind: 'value', of },
  integer,
})

// Table 0 by one text, table 1 by two, table 2 in total.
const plan = {
  jobName: 'shop',
  tables: [
    { ...tablePlan([2], [accumulator('count', 0)]), dimensionNames: ['platform'] },
    { ...tablePlan([2, -1], [accumulator('count', 0)]), dimensionNames: ['platform', 'person'] },
    tablePlan([], [accumulator('count', 0)]),
    { ...tablePlan([2, -2], [accumulator('count', 0)]), dimensionNames: ['platform', 'step'], person: {} },
  ],
  metrics: [
    metric('views', 0, 0, 0, true),
    metric('spent', 0, 1, 2, true),
    { ...metric('rate', 0, 1, 2, false), read: { kind: 'ratio', of: 2, by: 3 } },
    metric('pairs', 1, 0, 0, true),
    metric('all', 2, 0, 0, true),
    metric('steps', 3, 0, 1, true),
  ],
} as unknown as JobPlan

function sinkTo(writer: RecordingWriter, attempt = 3, options: MetricValueOptions = {}): MetricValueSink {
  return new MetricValueSink(plan, attempt, new BoundedWriter(writer, () => undefined), options)
}

function valuesOf(
  rows: readonly Fired[],
  change: Parameters<typeof firedRows>[1] = {},
  options: MetricValueOptions = {},
) {
  const writer = new RecordingWriter()
  const sink = sinkTo(writer, 3, options)
  for (const row of firedRows(rows, change)) sink.accept(row)
  return writer.records.map(({ key, value, timestampMs }) => ({
    key: Buffer.from(key!).toString(),
    timestampMs,
    message: MetricValue.decode(value),
  }))
}

/** A group key of two texts: each behind its length. */
const pair = (first: string, second: string) =>
  Buffer.concat([first, second].flatMap((text) => [Buffer.of(Buffer.byteLength(text)), Buffer.from(text)]))

describe('MetricValueSink', () => {
  it('writes each metric of a row that has events, with all that is known of it', () => {
    const found = valuesOf([{ key: 'web', startMs: 120_000, values: [5, 2, 1234, 4], revision: 1 }], {
      watermarkMs: 179_999,
      lateCount: (accumulatorIndex) => accumulatorIndex + 10,
    })
    expect(found.map(({ message }) => message.metric)).toEqual(['views', 'spent', 'rate'])
    expect(found[0]!.message).toEqual({
      job: 'shop',
      metric: 'views',
      dimensions: [{ name: 'platform', value: 'web' }],
      windowStart: new Date(120_000),
      windowEnd: new Date(180_000),
      value: { $case: 'intValue', value: 5 },
      status: ValueStatus.VALUE_STATUS_FINAL,
      revision: 1,
      watermark: new Date(179_999),
      lateCount: 10,
      eventCount: 5,
      attempt: 3,
      items: [],
      retraction: false,
      immature: false,
      otherGroups: 0,
    })
    expect(found[1]!.message).toMatchObject({ value: { $case: 'intValue', value: 1234 }, eventCount: 2, lateCount: 11 })
    expect(found[2]!.message.value).toEqual({ $case: 'doubleValue', value: 308.5 })
    // Records carry the window's last instant: retention and time index of the topic follow event time.
    expect(found.map(({ timestampMs }) => timestampMs)).toEqual([179_999, 179_999, 179_999])
  })

  it('leaves metrics out that had no events in the group', () => {
    const found = valuesOf([{ key: 'web', startMs: 0, values: [5, 0, Infinity] }])
    expect(found.map(({ message }) => message.metric)).toEqual(['views'])
  })

  it('tells that persons have left a number that they were in when it was told', () => {
    const left = (revision: number) => ({ key: pair('web', '2'), startMs: 0, values: [0, 0], revision })
    expect(valuesOf([left(1)], { table: 3 })).toEqual([])
    const [told, ...others] = valuesOf([left(2)], { table: 3 })
    expect(others).toEqual([])
    expect(told!.message).toMatchObject({
      ...{ metric: 'steps', value: { $case: 'intValue', value: 0 }, eventCount: 0, revision: 2 },
      status: ValueStatus.VALUE_STATUS_CORRECTED,
    })
    // And what they were in before, where that is wanted.
    const both = valuesOf(
      [left(2)],
      { table: 3, before: Float64Array.of(4, 3), beforeAt: 0 },
      { corrections: 'retract' },
    )
    expect(both.map(({ message }) => [message.retraction, message.value?.value])).toEqual([
      [true, 3],
      [false, 0],
    ])
  })

  it('tells that events are taken back from a number that they were in when it was told', () => {
    const taking = { ...plan, tables: plan.tables.map((table) => ({ ...table, takesBack: true })) } as JobPlan
    const told = (revision: number, views: number) => {
      const writer = new RecordingWriter()
      const sink = new MetricValueSink(taking, 3, new BoundedWriter(writer, () => undefined))
      for (const fired of firedRows([{ key: 'web', startMs: 0, values: [views, 0, Infinity], revision }]))
        sink.accept(fired)
      return writer.records.map(({ value }) => MetricValue.decode(value)).filter(({ metric }) => metric === 'views')
    }
    // Taken back before it came, or before the result.
    expect([told(1, 0), told(1, -1)]).toEqual([[], []])
    expect(told(2, 0)).toMatchObject([{ value: { $case: 'intValue', value: 0 }, eventCount: 0, revision: 2 }])
    expect(told(2, 3)).toMatchObject([{ value: { $case: 'intValue', value: 3 }, eventCount: 3 }])
  })

  it('says of early results whether those they are about have had their time', () => {
    const window = { kind: 'tumbling', sizeMs: 60_000, offsetMs: 0, timezone: 'UTC', time: 'event' }
    const early = {
      ...plan,
      tables: plan.tables.map((table) => ({ ...table, earlyMs: 1000 })),
      definition: {
        metrics: plan.metrics.map(({ id }) => ({ id, kind: { kind: 'funnel', withinMs: 10_000 }, window })),
      },
    } as unknown as JobPlan
    const immatureAt = (watermarkMs: number) => {
      const writer = new RecordingWriter()
      const sink = new MetricValueSink(early, 3, new BoundedWriter(writer, () => undefined))
      const row = { key: pair('web', '2'), startMs: 0, values: [4, 3], revision: 0 }
      for (const fired of firedRows([row], { table: 3, watermarkMs })) sink.accept(fired)
      return MetricValue.decode(writer.records[0]!.value).immature
    }
    expect([69_998, 69_999].map(immatureAt)).toEqual([true, false])
  })

  it('marks what comes after the on-time result as a correction', () => {
    const found = valuesOf([{ key: 'web', startMs: 0, values: [5, 0, 0], revision: 2 }])
    expect(found[0]!.message).toMatchObject({ status: ValueStatus.VALUE_STATUS_CORRECTED, revision: 2 })
  })

  it('says before a correction what it corrects, where that is wanted, and where there was something', () => {
    const row = [{ key: 'web', startMs: 120_000, values: [6, 2, 50, 4], revision: 3 }]
    // Of before: no event of the metrics `spent` and `rate`.
    const change = { before: Float64Array.of(0, 0, 5, 0, 0, 0), beforeAt: 2 }
    const brief = (options: MetricValueOptions, more: object = change) =>
      valuesOf(row, more, options).map(
        ({ key, message: { metric, value, revision, status, eventCount, retraction } }) => {
          return [JSON.parse(key)[0] === metric, metric, value?.value, revision, status, eventCount, retraction]
        },
      )
    const { VALUE_STATUS_CORRECTED: corrected } = ValueStatus
    const newer = [
      [true, 'views', 6, 3, corrected, 6, false],
      [true, 'spent', 50, 3, corrected, 2, false],
      [true, 'rate', 12.5, 3, corrected, 2, false],
    ]
    expect(brief({})).toEqual(newer)
    expect(brief({ corrections: 'upsert' })).toEqual(newer)
    expect(brief({ corrections: 'retract' }, { before: null })).toEqual(newer)
    expect(brief({ corrections: 'retract' })).toEqual([[true, 'views', 5, 2, corrected, 5, true], ...newer])
  })

  it('writes JSON where that is wanted', () => {
    const writer = new RecordingWriter()
    const sink = sinkTo(writer, 3, { format: 'json' })
    const rows = [{ key: 'web', startMs: 120_000, values: [5, 2, 1234, 4], revision: 1 }]
    for (const fired of firedRows(rows, { watermarkMs: 179_999 })) sink.accept(fired)
    expect(JSON.parse(Buffer.from(writer.records[1]!.value).toString())).toMatchObject({
      metric: 'spent',
      intValue: '1234',
      status: 'VALUE_STATUS_FINAL',
    })
  })

  it('says the end of time as the last instant that a Timestamp holds', () => {
    const found = valuesOf([{ key: 'web', startMs: 0, values: [5, 0, 0] }], { watermarkMs: Infinity })
    expect(found[0]!.message.watermark).toEqual(new Date('9999-12-31T23:59:59.999Z'))
  })

  it('keys a value by metric, window and group, the same at each correction and attempt, and no two alike', () => {
    const texts = fc.oneof(fc.string({ maxLength: 4 }), fc.constantFrom('', '"', ',', '","', '\\'))
    const rows = fc.array(
      fc.record({ first: texts, second: texts, window: fc.nat(3), revision: fc.integer({ min: 1, max: 3 }) }),
      { maxLength: 20 },
    )
    fc.assert(
      fc.property(rows, (all) => {
        const found = valuesOf(
          all.map(({ first, second, window, revision }) => ({
            key: pair(first, second),
            startMs: window * 60_000,
            values: [1],
            revision,
          })),
          { table: 1 },
        )
        const names = new Map<string, string>()
        found.forEach(({ key, message }, i) => {
          const { first, second, window } = all[i]!
          expect(message.dimensions).toEqual([
            { name: 'platform', value: first },
            { name: 'person', value: second },
          ])
          const name = JSON.stringify([first, second, window])
          expect(names.get(name) ?? key).toBe(key)
          names.set(name, key)
        })
        expect(new Set(names.values()).size).toBe(names.size)
      }),
    )
    expect(valuesOf([{ key: 'web', startMs: 60_000, values: [1, 1, 1] }]).map(({ key }) => key)).toEqual([
      '["views",60000,"web"]',
      '["spent",60000,"web"]',
      '["rate",60000,"web"]',
    ])
    expect(valuesOf([{ key: '', startMs: 0, values: [1] }], { table: 2 })[0]!.key).toBe('["all",0]')
  })

  it('holds integers up to 2^53 either way', () => {
    for (const value of [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 0, -1]) {
      const found = valuesOf([{ key: 'web', startMs: 0, values: [1, 1, value] }])
      expect(found[1]!.message.value).toEqual({ $case: 'intValue', value })
    }
  })

  it('says what no whole number on the wire can hold as a double: the extremes of no values, sizes beyond 2^53', () => {
    for (const value of [Infinity, -Infinity, 2 ** 60, -(2 ** 63)]) {
      const found = valuesOf([{ key: 'web', startMs: 0, values: [1, 1, value] }])
      expect(found[1]!.message.value).toEqual({ $case: 'doubleValue', value })
    }
  })

  it('is full while the writer is, and closes it', async () => {
    const writer = new RecordingWriter()
    const sink = sinkTo(writer)
    expect(sink.full).toBe(false)
    writer.bufferedBytes = 100_000_000
    expect(sink.full).toBe(true)
    await sink.close()
    expect(writer.closed).toBe(true)
  })
})
