/** What an author's code does wrong: it is said where, at which record; and code that is async is refused. */
import { expect, it } from 'vitest'
import { count } from '../../src/program/aggregates.ts'
import { defineJob } from '../../src/program/define.ts'
import { reducing, value } from '../../src/program/state.ts'
import type { KeyedStream, Stream } from '../../src/program/streams.ts'
import { openHarness } from '../../src/testing/job-harness.ts'
import type { Click } from './reference.ts'
import { clickJob, out } from './support.ts'

/** What the job fails with when it is given `clicks`, and event time then ends. */
async function failureOf(build: (clicks: Stream<Click>) => Stream<unknown>, clicks: readonly Click[]): Promise<string> {
  const job = defineJob({ ...clickJob, build: (events) => build(events).sinkTo({ id: 'out', to: out('out') }) })
  const harness = await openHarness<Click>(job)
  for (const click of clicks) harness.push(click, 0)
  const failure = await harness.finish().then(
    () => 'nothing',
    (error: { code: string; message: string }) => `${error.code}: ${error.message}`,
  )
  await harness.close()
  return failure
}

const boom = (): never => {
  throw new TypeError('boom')
}
const noon = Date.UTC(2023, 10, 1, 12)
const clicks: readonly Click[] = [
  { key: 'ada', atMs: noon, amount: 1 },
  { key: 'ada', atMs: noon, amount: 2 },
]
const byKey = (stream: Stream<Click>): KeyedStream<string, Click> => stream.keyBy((click) => click.key)
const record = 'the record of 2023-11-01T12:00:00.000Z with key "ada"'

it.each([
  [
    'a filter, at the record as it was read',
    (s: Stream<Click>) => s.filter(({ amount }) => amount < 2 || boom()),
    /filter-1 threw TypeError: boom \(code-failure.*on the record at offset 1 of partition 0 of topic clicks$/,
  ],
  [
    'what is behind a filter, not the filter',
    (s: Stream<Click>) => s.filter(() => true).map(boom),
    /map-2 threw TypeError: boom .*offset 0/,
  ],
  [
    'a generator',
    (s: Stream<Click>) =>
      s.flatMap(function* () {
        yield boom()
      }),
    /flatMap-1 threw TypeError: boom/,
  ],
  [
    'a process function, with the key and the time of the record',
    (s: Stream<Click>) => byKey(s).process({ id: 'p', onEvent: boom }),
    new RegExp(
      `operator p threw TypeError: boom .*; operator p was at ${record}, on the record at offset 0 of partition 0$`,
    ),
  ],
  [
    'what is chained to a process function',
    (s: Stream<Click>) =>
      byKey(s)
        .process<number>({ id: 'p', onEvent: (_click, { emit }) => emit(1) })
        .map(boom),
    new RegExp(`operator map-2 threw .*; operator p was at ${record}, on the record at offset 0 of partition 0$`),
  ],
  [
    'a timer',
    (s: Stream<Click>) =>
      byKey(s).process({ id: 'p', onEvent: (_c, { setEventTimer }) => setEventTimer(noon + 5), onTimer: boom }),
    /p was at the event timer of 2023-11-01T12:00:00.005Z with key "ada"$/,
  ],
  [
    'a tuple of a key',
    (s: Stream<Click>) => s.keyBy((c) => [c.key, 5n, null] as const).process({ id: 'p', onEvent: boom }),
    /with key \["ada","5n",null\],/,
  ],
  [
    'a key that is cut off',
    (s: Stream<Click>) => s.keyBy((c) => c.key.repeat(100)).process({ id: 'p', onEvent: boom }),
    /with key "(ada)+…,/,
  ],
  [
    'a broadcast record',
    (s: Stream<Click>) => byKey(s).withBroadcast(s, { id: 'b', onBroadcast: boom, onEvent() {} }),
    /b was at the record of .* that is broadcast,/,
  ],
  [
    'a lookup',
    (s: Stream<Click>) => byKey(s).lookup({ id: 'l', lookup: async () => boom(), join: () => 1 }),
    new RegExp(
      `operator l threw TypeError: boom .*; operator l was at ${record}, on the record at offset 0 of partition 0$`,
    ),
  ],
  [
    'the join of a lookup',
    (s: Stream<Click>) => byKey(s).lookup({ id: 'l', lookup: async () => 1, join: boom }),
    new RegExp(
      `operator l threw TypeError: boom .*; operator l was at ${record}, on the record at offset 0 of partition 0$`,
    ),
  ],
])('names %s', async (_name, build, expected) => {
  expect(await failureOf(build as (s: Stream<Click>) => Stream<unknown>, clicks)).toMatch(expected)
})

const state = { n: value<unknown>(), r: reducing<unknown>(async () => 1) }

it.each([
  ['filter', (s: Stream<Click>) => s.filter((async () => false) as never)],
  ['map', (s: Stream<Click>) => s.map(async () => 1)],
  ['flatMap', (s: Stream<Click>) => s.flatMap((async () => [1]) as never)],
  ['onEvent', (s: Stream<Click>) => byKey(s).process({ id: 'p', onEvent: (async () => boom()) as never })],
  [
    'onTimer',
    (s: Stream<Click>) =>
      byKey(s).process({
        id: 'p',
        onEvent: (_c, { setEventTimer }) => setEventTimer(noon),
        onTimer: (async () => {}) as never,
      }),
  ],
  [
    'onOther',
    (s: Stream<Click>) => byKey(s).connect(byKey(s), { id: 'p', onEvent() {}, onOther: (async () => {}) as never }),
  ],
  [
    'onBroadcast',
    (s: Stream<Click>) => byKey(s).withBroadcast(s, { id: 'b', onBroadcast: (async () => {}) as never, onEvent() {} }),
  ],
  [
    'a value',
    (s: Stream<Click>) =>
      byKey(s).process<never, typeof state>({
        id: 'p',
        state,
        onEvent: (_c, context) => context.state.n.set(Promise.resolve(1)),
      }),
  ],
  [
    'reducing',
    (s: Stream<Click>) =>
      byKey(s).process<never, typeof state>({ id: 'p', state, onEvent: (_c, context) => context.state.r.add(1) }),
  ],
  ['join', (s: Stream<Click>) => byKey(s).intervalJoin(byKey(s), { id: 'j', lower: 0, upper: 1, join: async () => 1 })],
  [
    'running',
    (s: Stream<Click>) => byKey(s).aggregate({ id: 'a', aggregate: { ...count(), add: async () => 1 } as never }),
  ],
  [
    'windows',
    (s: Stream<Click>) =>
      byKey(s)
        .window({ tumbling: 5 })
        .aggregate({ id: 'a', aggregate: { ...count(), add: async () => 1 } as never }),
  ],
  [
    'panes',
    (s: Stream<Click>) =>
      byKey(s)
        .window({ sliding: 6, every: 3 })
        .aggregate({ id: 'a', aggregate: { ...count(), add: async () => 1 } as never }),
  ],
  [
    'trigger',
    (s: Stream<Click>) =>
      byKey(s)
        .window({ tumbling: 5 })
        .aggregate({ id: 'a', aggregate: count(), trigger: { onRecord: async () => 'fire' } as never }),
  ],
])('refuses a promise, which nobody waits for: %s', async (_name, build) => {
  const failure = await failureOf(build as (s: Stream<Click>) => Stream<unknown>, clicks)
  expect(failure).toMatch(/^JOB_CODE_FAILED: .*promise.*not async/)
})

it('refuses a source whose decode or time is async', async () => {
  for (const wrong of [{ time: async () => 1 }, { event: { decode: async () => clicks[0] } }] as const) {
    const source = { ...clickJob.source, ...wrong } as unknown as typeof clickJob.source
    const job = defineJob({ ...clickJob, source, build: (s) => s.sinkTo({ id: 'out', to: out('out') }) })
    const harness = await openHarness<Click>(job)
    harness.pushBytes(new TextEncoder().encode('{}'))
    await expect(harness.run()).rejects.toThrow(/operator events gave back a promise.*offset 0/)
  }
})

it.each([
  [async () => 'key', 'an object'],
  [() => 5, 'a number'],
])('refuses a key of a sink that is neither text nor bytes', async (key, what) => {
  const build = (s: Stream<Click>): void => s.sinkTo({ id: 'out', to: out('out'), key: key as never })
  const harness = await openHarness<Click>(defineJob({ ...clickJob, build }))
  harness.push(clicks[0]!)
  await expect(harness.run()).rejects.toThrow(`the key of a record for sink out is ${what}: give a text or bytes, on`)
})

it("does not let code that comes later touch what is another record's by then", async () => {
  const later: (() => void)[] = []
  const state = { n: value<number>() }
  const build = (s: Stream<Click>): void => {
    const kept = byKey(s).process<number, typeof state>({
      id: 'p',
      state,
      onEvent: ({ amount }, context) => {
        later.push(
          () => context.state.n.set(amount),
          () => context.emit(amount),
          () => context.setEventTimer(1),
        )
      },
    })
    const rules = byKey(s).withBroadcast<Click, number, number>(s, {
      id: 'b',
      onBroadcast: (click, broadcast) => void later.push(() => broadcast.set('a', click.amount)),
      onEvent: (_click, { emit }) => void later.push(() => emit(1)),
    })
    kept.union(rules).sinkTo({ id: 'out', to: out('out') })
  }
  const harness = await openHarness<Click>(defineJob({ ...clickJob, build }))
  harness.push(clicks[0]!)
  await harness.run()
  expect(later.length).toBeGreaterThanOrEqual(5)
  for (const deed of later) expect(deed).toThrow('outside the handling of a record or timer')
  expect(harness.state('p', 'ada')).toBeUndefined()
})
