/** Interval joins, broadcast state, lookups, triggers and running aggregates, over a crash each. */
import { expect, it } from 'vitest'
import { collect, count } from '../../src/program/aggregates.ts'
import { defineJob, sideOutput } from '../../src/program/define.ts'
import { list } from '../../src/program/state.ts'
import type { KeyedStream, Stream } from '../../src/program/streams.ts'
import { countTrigger } from '../../src/program/triggers.ts'
import type { WindowResult } from '../../src/program/window-operator.ts'
import { openHarness } from '../../src/testing/job-harness.ts'
import type { Click } from './reference.ts'
import { clickJob, out } from './support.ts'

function job(build: (clicks: Stream<Click>) => void) {
  return defineJob({ ...clickJob, build })
}

type Clicks = KeyedStream<string, Click>
const join = (): never => {
  throw new Error('not called')
}

it('an interval join gives every pair within the bounds once, and forgets what can have none', async () => {
  const joining = job((clicks) => {
    const odd = clicks.filter((c) => c.amount % 2 === 1).keyBy((c) => c.key)
    const even = clicks.filter((c) => c.amount % 2 === 0).keyBy((c) => c.key)
    odd
      .intervalJoin(even, { id: 'pairs', lower: -5, upper: 10, join: (l, r) => `${l.key} ${l.atMs} ${r.atMs}` })
      .sinkTo({ id: 'out', to: out('out') })
  })
  const harness = await openHarness<Click>(joining, { parallelism: 3 })
  const clicks = Array.from({ length: 60 }, (_, i) => ({ key: 'ab'[i % 2]!, atMs: (i * 7) % 50, amount: 1 + (i % 5) }))
  for (const click of clicks.slice(0, 30)) harness.push(click)
  await harness.checkpoint()
  await harness.restore({ parallelism: 2 })
  for (const click of clicks.slice(30)) harness.push(click)
  await harness.run()
  const pairs = clicks.flatMap((l) =>
    clicks
      .filter((r) => l.amount % 2 === 1 && r.amount % 2 === 0 && l.key === r.key)
      .filter((r) => r.atMs >= l.atMs - 5 && r.atMs <= l.atMs + 10)
      .map((r) => `${l.key} ${l.atMs} ${r.atMs}`),
  )
  expect(harness.output<string>('out').toSorted()).toEqual(pairs.toSorted())
  await harness.finish()
  expect(harness.state('pairs', 'a')).toBeUndefined()
  await harness.close()
})

it('broadcast state reaches every subtask and comes back at another parallelism', async () => {
  const rules = job((clicks) => {
    const rule = clicks.filter((c) => c.key === 'rule')
    clicks
      .filter((c) => c.key !== 'rule')
      .keyBy((c) => c.key)
      .withBroadcast<Click, number, string>(rule, {
        id: 'rules',
        onBroadcast: (r, broadcast) => broadcast.set('least', r.amount),
        onEvent(click, context) {
          if (click.amount >= (context.broadcast.get('least') ?? 0)) context.emit(click.key)
        },
      })
      .sinkTo({ id: 'out', to: out('out') })
  })
  const harness = await openHarness<Click>(rules, { parallelism: 2 })
  harness.push({ key: 'rule', atMs: 1, amount: 5 })
  await harness.checkpoint()
  await harness.restore({ parallelism: 4 })
  for (let i = 0; i < 20; i++) harness.push({ key: `k${i}`, atMs: 1, amount: i % 10 })
  await harness.run()
  expect(harness.output('out')).toHaveLength(10)
  await harness.close()
})

it('broadcast state that is changed in place is part of the next checkpoint', async () => {
  const collecting = job((clicks) => {
    const rule = clicks.filter((c) => c.key === 'rule')
    clicks
      .filter((c) => c.key !== 'rule')
      .keyBy((c) => c.key)
      .withBroadcast<Click, number[], readonly number[]>(rule, {
        id: 'rules',
        onBroadcast(r, broadcast) {
          if (broadcast.get('all') === undefined) broadcast.set('all', [])
          for (const [, amounts] of r.amount === 2 ? [['', broadcast.get('all')!] as const] : broadcast.entries())
            amounts.push(r.amount)
        },
        onEvent: (_click, context) => context.emit(context.broadcast.get('all') ?? []),
      })
      .sinkTo({ id: 'out', to: out('out') })
  })
  const harness = await openHarness<Click>(collecting)
  for (const amount of [1, 2, 3]) {
    harness.push({ key: 'rule', atMs: 1, amount })
    await harness.checkpoint()
  }
  await harness.restore({ parallelism: 3 })
  harness.push({ key: 'a', atMs: 1, amount: 0 })
  await harness.run()
  expect(harness.output('out')).toEqual([[1, 2, 3]])
  await harness.close()
})

it('lookups keep the order, and are answered before a checkpoint', async () => {
  const asked: number[] = []
  const looking = job((clicks) =>
    clicks
      .keyBy((c) => c.key)
      .lookup({
        id: 'ask',
        concurrency: 3,
        lookup: async ({ amount }) => {
          asked.push(amount)
          for (let turn = 0; turn < 10 - amount; turn++) await Promise.resolve()
          return amount * 2
        },
        join: ({ amount }, answer) => `${amount} ${answer}`,
      })
      .sinkTo({ id: 'out', to: out('out') }),
  )
  const harness = await openHarness<Click>(looking, { parallelism: 1 })
  for (let amount = 1; amount <= 9; amount++) harness.push({ key: 'a', atMs: 1, amount })
  await harness.checkpoint()
  expect(harness.output('out')).toEqual(Array.from({ length: 9 }, (_, i) => `${i + 1} ${(i + 1) * 2}`))
  await harness.restore()
  expect(asked).toHaveLength(9)
  await harness.close()
})

it('a global window fires by its trigger, and running aggregates with each record', async () => {
  const counting = job((clicks) => {
    const keyed = clicks.keyBy((c) => c.key)
    keyed
      .window({ global: true })
      .aggregate({ id: 'threes', aggregate: collect<Click>(), trigger: countTrigger(3, { purge: true }) })
      .sinkTo({ id: 'threes-out', to: out('threes') })
    keyed.aggregate({ id: 'running', aggregate: count() }).sinkTo({ id: 'running-out', to: out('running') })
  })
  const harness = await openHarness<Click>(counting)
  for (let amount = 1; amount <= 4; amount++) harness.push({ key: 'a', atMs: amount, amount })
  await harness.checkpoint()
  await harness.restore()
  for (let amount = 5; amount <= 7; amount++) harness.push({ key: 'a', atMs: amount, amount })
  await harness.run()
  const threes = harness.output<WindowResult<string, readonly Click[]>>('threes-out')
  expect(threes.map((r) => r.value.map((c) => c.amount))).toEqual([
    [1, 2, 3],
    [4, 5, 6],
  ])
  expect(harness.output<{ value: number }>('running-out').map((r) => r.value)).toEqual([1, 2, 3, 4, 5, 6, 7])
  await harness.close()
})

it('a job says all that is wrong with it', () => {
  const build = (clicks: Stream<Click>) => {
    for (const id of ['Same', 'same', 'same'])
      clicks.keyBy((c) => c.key).process({ id, state: { l: list() }, onEvent: () => {} })
  }
  const wrong = () => defineJob({ ...clickJob, build })
  expect(wrong).toThrow(expect.objectContaining({ code: 'JOB_INVALID' }))
  try {
    wrong()
  } catch (error) {
    expect((error as { violations: unknown[] }).violations).toHaveLength(3)
  }
  expect(() => defineJob({ ...clickJob, name: 'No Name', parallelism: -1, build })).toThrow('DNS label')
  expect(() => defineJob({ ...clickJob, name: undefined as never, build })).toThrow('DNS label')
  const unnamed = (clicks: Stream<Click>) => clicks.sinkTo({ id: undefined as never, to: out('out') })
  expect(() => defineJob({ ...clickJob, build: unnamed })).toThrow('must be lower-case letters')
  const later = async (clicks: Stream<Click>) => clicks.sinkTo({ id: 'out', to: out('out') })
  expect(() => defineJob({ ...clickJob, build: later as never })).toThrow('it is async')
})

it.each([
  [
    'bounds that are the wrong way round',
    (c: Clicks) => c.intervalJoin(c, { id: 'x', lower: 5, upper: 1, join }),
    'wrong',
  ],
  ['bounds that are no time', (c: Clicks) => c.intervalJoin(c, { id: 'x', lower: 'soon', upper: 1, join }), 'soon'],
  ['no lookup at a time', (c: Clicks) => c.lookup({ id: 'x', concurrency: 0, lookup: join, join }), 'concurrency'],
  ['a count of none', () => countTrigger(0), 'countTrigger'],
  ['a side output without a name', () => sideOutput(''), 'name'],
])('a job is refused when it is defined: %s', (_name, build, word) => {
  const wrong = () => job((clicks) => void build(clicks.keyBy((c) => c.key)))
  expect(wrong).toThrow(expect.objectContaining({ code: 'JOB_INVALID' }))
  expect(wrong).toThrow(word)
})
