/** Process functions: every kind of state over crashes and changes of parallelism; timers, side outputs, time to live. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { average } from '../../src/program/aggregates.ts'
import { defineJob } from '../../src/program/define.ts'
import { aggregating, list, map, reducing, type StateSpecs, value } from '../../src/program/state.ts'
import type { Stream } from '../../src/program/streams.ts'
import { openHarness } from '../../src/testing/job-harness.ts'
import type { Click } from './reference.ts'
import { clickJob, out } from './support.ts'

function job(build: (clicks: Stream<Click>) => void) {
  return defineJob({ ...clickJob, build })
}

const all = {
  last: value<number>(),
  amounts: list<number>(),
  byAmount: map<number, number>(),
  largest: reducing<number>(Math.max),
  mean: aggregating(average((amount: number) => amount)),
} satisfies StateSpecs

const remembering = job((clicks) =>
  clicks
    .keyBy((click) => click.key)
    .process<string, typeof all>({
      id: 'memory',
      state: all,
      onEvent({ amount }, { state }) {
        state.last.set(amount)
        state.amounts.add(amount)
        state.byAmount.set(amount, (state.byAmount.get(amount) ?? 0) + 1)
        state.largest.add(amount)
        state.mean.add(amount)
      },
    })
    .sinkTo({ id: 'out', to: out('out') }),
)

const click = fc.record({
  key: fc.constantFrom('a', 'b', 'c', 'ä', '\u0000', ''),
  atMs: fc.integer({ min: 0, max: 100 }),
  amount: fc.integer({ min: 1, max: 9 }),
})

describe('state', () => {
  it('holds every event once, whatever crashes and however many subtasks there are', async () => {
    const deed = fc.oneof(
      { weight: 6, arbitrary: click },
      { weight: 1, arbitrary: fc.constant('checkpoint' as const) },
      { weight: 1, arbitrary: fc.integer({ min: 1, max: 4 }) },
    )
    const property = fc.asyncProperty(fc.array(deed, { maxLength: 60 }), fc.nat(), async (deeds, seed) => {
      const harness = await openHarness<Click>(remembering, { seed })
      const clicks: Click[] = []
      for (const one of deeds) {
        if (one === 'checkpoint') await harness.checkpoint()
        else if (typeof one === 'number') await harness.restore({ parallelism: one })
        else {
          harness.push(one)
          clicks.push(one)
        }
      }
      await harness.run()
      for (const key of new Set(clicks.map((c) => c.key))) {
        const amounts = clicks.filter((c) => c.key === key).map((c) => c.amount)
        expect(harness.state('memory', key)).toMatchObject({
          last: amounts.at(-1),
          amounts,
          byAmount: new Map(amounts.map((n) => [n, amounts.filter((m) => m === n).length])),
          largest: Math.max(...amounts),
          mean: { n: amounts.length, total: amounts.reduce((a, b) => a + b, 0) },
        })
      }
      await harness.close()
    })
    await fc.assert(property, { numRuns: 60 })
  })

  it('is written as changes, and comes back whole after many checkpoints', async () => {
    const harness = await openHarness<Click>(remembering, { seed: 2 })
    for (let round = 0; round < 60; round++) {
      for (let i = 0; i < 30; i++) harness.push({ key: `k${(round * 7 + i) % 90}`, atMs: round, amount: 1 })
      await harness.checkpoint()
      if (round % 20 === 19) await harness.restore({ parallelism: 1 + (round % 3) })
    }
    let total = 0
    for (let i = 0; i < 90; i++) total += (harness.state('memory', `k${i}`)!.amounts as number[]).length
    expect(total).toBe(1800)
    await harness.close()
  })

  it('stays gone when it was cleared between two checkpoints', async () => {
    const state = { open: value<number>() }
    const toggling = job((clicks) =>
      clicks
        .keyBy((c) => c.key)
        .process<never, typeof state>({
          id: 'toggle',
          state,
          onEvent: ({ amount }, context) => (amount > 0 ? context.state.open.set(amount) : context.state.open.clear()),
        })
        .sinkTo({ id: 'out', to: out('out') }),
    )
    const harness = await openHarness<Click>(toggling)
    for (const key of ['a', 'b']) harness.push({ key, atMs: 1, amount: 1 })
    await harness.checkpoint()
    harness.push({ key: 'a', atMs: 2, amount: 0 })
    await harness.checkpoint()
    await harness.restore()
    expect(harness.state('toggle', 'a')).toBeUndefined()
    expect(harness.state('toggle', 'b')).toMatchObject({ open: 1 })
    await harness.close()
  })

  it('expires by the wall clock, asked for or not, over a crash too', async () => {
    const seen: (number | undefined)[] = []
    const state = { n: value<number>({ ttl: '10s' }) }
    const expiring = job((clicks) =>
      clicks
        .keyBy((c) => c.key)
        .process<never, typeof state>({
          id: 'expiring',
          state,
          onEvent({ amount }, context) {
            seen.push(context.state.n.get())
            context.state.n.set(amount)
          },
        })
        .sinkTo({ id: 'out', to: out('out') }),
    )
    const harness = await openHarness<Click>(expiring)
    harness.push({ key: 'a', atMs: 1, amount: 1 })
    await harness.advanceTime(9_000)
    harness.push({ key: 'a', atMs: 1, amount: 2 })
    await harness.checkpoint()
    await harness.restore()
    await harness.advanceTime(10_000)
    harness.push({ key: 'a', atMs: 1, amount: 3 })
    await harness.run()
    expect(seen).toEqual([undefined, 1, undefined])
    await harness.advanceTime(10_000)
    expect(harness.state('expiring', 'a')).toBeUndefined()
    await harness.close()
  })

  it('stays when its time to live is taken away, and what is written after that too', async () => {
    const state = (ttl: string | undefined) => ({
      kept: value<number>(),
      n: value<number>(ttl === undefined ? {} : { ttl }),
    })
    const holding = (ttl?: string) =>
      job((clicks) =>
        clicks
          .keyBy((c) => c.key)
          .process<number | undefined, ReturnType<typeof state>>({
            id: 'holding',
            state: state(ttl),
            onEvent({ amount }, context) {
              context.emit(context.state.n.get())
              if (amount > 0) context.state.n.set(amount)
            },
          })
          .sinkTo({ id: 'out', to: out('out') }),
      )
    const harness = await openHarness<Click>(holding('10s'))
    for (const key of ['a', 'b']) harness.push({ key, atMs: 1, amount: 5 })
    await harness.checkpoint()
    await harness.restore({ job: holding() })
    harness.push({ key: 'a', atMs: 1, amount: 6 })
    await harness.advanceTime(20_000)
    for (const key of ['a', 'b']) harness.push({ key, atMs: 1, amount: 0 }, 0)
    await harness.run()
    expect(harness.output('out').slice(3).toSorted()).toEqual([5, 6])
    await harness.close()
  })

  it('refuses what is no plain data, and keys that are none, saying where', async () => {
    const state = { bad: value<unknown>() }
    const bad = job((clicks) =>
      clicks
        .keyBy((c) => c.key)
        .process<never, typeof state>({ id: 'bad', state, onEvent: (_c, context) => context.state.bad.set(() => 1) })
        .sinkTo({ id: 'out', to: out('out') }),
    )
    const harness = await openHarness<Click>(bad)
    harness.push({ key: 'a', atMs: 1, amount: 1 })
    await expect(harness.checkpoint()).rejects.toThrow(/state of bad.*holds a function/)
    const noKey = job((clicks) =>
      clicks
        .keyBy((c) => c.amount / 0 - c.amount / 0)
        .aggregate({ id: 'counts', aggregate: average((c: Click) => c.amount) })
        .sinkTo({ id: 'out', to: out('out') }),
    )
    const other = await openHarness<Click>(noKey)
    other.push({ key: 'a', atMs: 1, amount: 1 })
    await expect(other.run()).rejects.toThrow('the key of a record for counts is NaN')
  })
})

describe('timers', () => {
  const timers = job((clicks) =>
    clicks
      .keyBy((c) => c.key)
      .process<string>({
        id: 'timers',
        onEvent({ amount, atMs }, context) {
          context.setEventTimer(atMs + amount)
          context.setEventTimer(atMs + amount)
          if (amount === 7) context.deleteEventTimer(atMs + 7)
          if (amount === 9) context.setProcessingTimer(context.nowMs + 1000)
        },
        onTimer({ domain, timeMs }, context) {
          context.emit(`${context.key} ${domain} ${domain === 'event' ? timeMs : ''}`)
          if (timeMs === 12) context.setEventTimer(13)
        },
      })
      .sinkTo({ id: 'out', to: out('out') }),
  )

  it('fire once each, in the order of time, when the watermark has come; one set by a timer too', async () => {
    const harness = await openHarness<Click>(timers, { parallelism: 1 })
    for (const [key, amount] of [
      ['b', 5],
      ['a', 2],
      ['a', 2],
      ['c', 7],
      ['a', 1],
      ['b', 2],
    ] as const)
      harness.push({ key, atMs: 10, amount })
    await harness.checkpoint()
    await harness.restore()
    await harness.advanceWatermark(12)
    expect(harness.output('out').slice(0, 1)).toEqual(['a event 11'])
    expect(harness.output<string>('out').toSorted()).toEqual(['a event 11', 'a event 12', 'b event 12'])
    await harness.advanceWatermark(13)
    expect(harness.output<string>('out').slice(3).toSorted()).toEqual(['a event 13', 'b event 13'])
    await harness.finish()
    expect(harness.output('out').slice(5)).toEqual(['b event 15'])
    expect(harness.records('out').at(-1)?.timestampMs).toBe(15)
    await harness.close()
  })

  it('are of whole milliseconds', async () => {
    const halves = job((clicks) =>
      clicks
        .keyBy((c) => c.key)
        .process<number>({
          id: 'halves',
          onEvent({ amount }, context) {
            context.setEventTimer(context.timestampMs + amount / 2)
            if (amount === 3) context.deleteEventTimer(context.timestampMs + amount / 2)
          },
          onTimer: ({ timeMs }, { emit }) => emit(timeMs),
        })
        .sinkTo({ id: 'out', to: out('out') }),
    )
    const harness = await openHarness<Click>(halves)
    for (const amount of [1, 2, 3, 5]) harness.push({ key: 'a', atMs: 10, amount })
    await harness.finish()
    expect(harness.records('out').map(({ value, timestampMs }) => [value, timestampMs])).toEqual([
      [11, 11],
      [13, 13],
    ])
    await harness.close()
  })

  it('go by the wall clock where asked, after a crash too', async () => {
    const harness = await openHarness<Click>(timers)
    harness.push({ key: 'a', atMs: 0, amount: 9 })
    await harness.checkpoint()
    await harness.restore({ parallelism: 3 })
    await harness.advanceTime(999)
    expect(harness.output('out')).toEqual([])
    await harness.advanceTime(1)
    expect(harness.output('out')).toEqual(['a processing '])
    await harness.close()
  })
})
