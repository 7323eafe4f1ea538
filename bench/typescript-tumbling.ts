/**
 * The case `tumbling` as a job in TypeScript: events and revenue by person and minute, with the text of rows that the
 * discarding sink of declarative jobs hashes, so that both jobs have the same checksum.
 *
 * What to read is in the environment, which worker threads inherit: BENCH_BROKERS, BENCH_TOPIC, BENCH_PARALLELISM,
 * BENCH_CHECKPOINT.
 */
import { type Aggregate, defineJob, Event } from 'millrace'

interface Totals {
  count: number
  revenueMinor: number
}

const totals: Aggregate<Event, Totals, Totals> = {
  create: () => ({ count: 0, revenueMinor: 0 }),
  add(acc, event) {
    acc.count++
    acc.revenueMinor += event.revenueMinor
    return acc
  },
  merge: (a, b) => ({ count: a.count + b.count, revenueMinor: a.revenueMinor + b.revenueMinor }),
  result: (acc) => acc,
}

const encoder = new TextEncoder()
const { BENCH_BROKERS: brokers = '', BENCH_TOPIC: topic = 'events' } = process.env

export default defineJob({
  name: 'bench-typescript-tumbling',
  source: {
    input: { kafka: { topic, brokers } },
    event: Event,
    time: (event) => event.occurredAt,
    bounded: true,
    maxFuture: '36500d',
  },
  watermark: { outOfOrderness: '5s' },
  checkpoint: { every: process.env.BENCH_CHECKPOINT ?? '1s', retain: 1 },
  parallelism: Number(process.env.BENCH_PARALLELISM ?? 2),
  build: (events) =>
    events
      .keyBy((event) => event.person)
      .window({ tumbling: '1m' })
      .aggregate({ id: 'minutes', aggregate: totals })
      .sinkTo({
        id: 'out',
        to: { discard: {} },
        encode: ({ key, startMs, value }) => encoder.encode(`${key}|${startMs}|${value.count}|${value.revenueMinor}`),
      }),
})
