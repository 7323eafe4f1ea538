/**
 * Windows of jobs in TypeScript against their definition, over any order of records and watermarks, with crashes and
 * changes of parallelism in between.
 */
// tidy: long because all windows of job code are held against the one definition.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sum } from '../../src/program/aggregates.ts'
import { defineJob, sideOutput } from '../../src/program/define.ts'
import type { Aggregate } from '../../src/program/state.ts'
import type { WindowResult } from '../../src/program/window-operator.ts'
import type { WindowSpec } from '../../src/program/windows.ts'
import { openHarness } from '../../src/testing/job-harness.ts'
import { type Click, type Fired, type Step, sumWindows } from './reference.ts'
import { clickJob, out } from './support.ts'

const _HOUR_MS = 3_600_000
const late = sideOutput<Click>('late')

const summing = sum((one: Click) => one.amount)
type Summing = Aggregate<Click, unknown, number>

interface Box {
  n: number
}

/** A sum whose `merge` keeps what it is given, in one of the two ways that authors do. */
const boxed: Aggregate<Click, Map<string, Box>, number> = {
  create: () => new Map(),
  add(boxes, { key, amount }) {
    const box = boxes.get(key)
    if (box === undefined) boxes.set(key, { n: amount })
    else box.n += amount
    return boxes
  },
  merge(a, b) {
    if (a.size === 0) return b
    for (const [key, box] of b) {
      const own = a.get(key)
      if (own === undefined) a.set(key, box)
      else own.n += box.n
    }
    return a
  },
  result: (boxes) => [...boxes.values()].reduce((all, { n }) => all + n, 0),
}

/** Ways to the same sum: overlapping windows share panes where there is a merge, and subtract where there is an inverse. */
const ways: Readonly<Record<string, Summing>> = {
  merged: summing,
  'merged in place': boxed,
  subtracted: { ...summing, inverse: (a: number, b: number) => a - b } as Summing,
  'in each window': { create: summing.create, add: summing.add, result: summing.result },
}

function windowJob(spec: WindowSpec, allowedLateness: number, aggregate: Summing = summing as Summing) {
  return defineJob({
    ...clickJob,
    build(clicks) {
      const results = clicks
        .keyBy((click) => click.key)
        .window(spec)
        .aggregate({ id: 'sums', aggregate, allowedLateness, late })
      results.sinkTo({ id: 'out', to: out('out') })
      results.side(late).sinkTo({ id: 'late', to: out('late') })
    },
  })
}

const specs: readonly WindowSpec[] = [
  { tumbling: 10 },
  { tumbling: 10, offset: 3 },
  { tumbling: 10, offset: -4 },
  { sliding: 10, every: 3 },
  { sliding: 10, every: 5, offset: 2 },
  { sliding: 4, every: 7 },
  { cumulate: 12, step: 3 },
  { session: 4 },
]

const click = fc.record({
  key: fc.constantFrom('a', 'b', 'c'),
  atMs: fc.integer({ min: -30, max: 60 }),
  amount: fc.integer({ min: 1, max: 9 }),
})

type Deed = Step | { readonly crash: number } | { readonly checkpoint: true }

const deed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 6, arbitrary: click.map((c) => ({ click: c })) },
  { weight: 2, arbitrary: fc.integer({ min: -30, max: 70 }).map((watermarkMs) => ({ watermarkMs })) },
  { weight: 1, arbitrary: fc.constant({ checkpoint: true as const }) },
)

/** Results by window and revision: what is written twice after a crash counts once. */
function rows(results: readonly (Fired | WindowResult<string, number>)[]): string[] {
  const all = results.map((r) => `${r.key} ${r.startMs} ${r.endMs} ${r.revision} = ${r.value}`)
  return [...new Set(all)].sort()
}

describe.each(specs.map((spec) => [JSON.stringify(spec), spec] as const))('%s', (_name, spec) => {
  const own = Object.keys(ways).filter((way) => 'sliding' in spec || 'cumulate' in spec || way === 'merged')
  it.each(own)('gives what the definition says, %s', async (way) => {
    const property = fc.asyncProperty(
      fc.array(deed, { maxLength: 40 }),
      fc.constantFrom(0, 5, 12),
      fc.nat(),
      async (deeds, latenessMs, seed) => {
        const harness = await openHarness<Click>(windowJob(spec, latenessMs, ways[way]!), {
          seed,
          parallelism: 1 + (seed & 1),
        })
        const steps: Step[] = []
        for (const one of deeds) {
          if ('click' in one) {
            harness.push(one.click)
            // A record is judged by the watermark that was before it.
            await harness.run()
          } else if ('watermarkMs' in one) await harness.advanceWatermark(one.watermarkMs)
          else if ('checkpoint' in one) {
            // Everything before it is in it: a crash at once takes nothing back.
            await harness.checkpoint()
            await harness.restore({ parallelism: 1 + ((seed + steps.length) % 3) })
          }
          if ('click' in one || 'watermarkMs' in one) steps.push(one)
        }
        await harness.finish()
        const expected = sumWindows(spec, latenessMs, [...steps, { watermarkMs: Number.POSITIVE_INFINITY }])
        expect(rows(harness.output<WindowResult<string, number>>('out'))).toEqual(rows(expected.fired))
        expect(harness.output('late')).toHaveLength(expected.late)
        expect(harness.counts.late).toBe(expected.late)
        for (const key of ['a', 'b', 'c']) expect(harness.state('sums', key)).toBeUndefined()
        // A result is of the last instant of its window.
        for (const { value, timestampMs } of harness.records<WindowResult<string, number>>('out'))
          expect(timestampMs).toBe(value.endMs - 1)
        await harness.close()
      },
    )
    await fc.assert(property, { numRuns: 40 })
  })
})

it('panes stay as they are, whatever a merge keeps of them', async () => {
  const harness = await openHarness<Click>(windowJob({ sliding: 30, every: 10 }, 0, boxed))
  for (const atMs of [5, 15]) harness.push({ key: 'a', atMs, amount: 1 })
  await harness.advanceWatermark(19)
  // Into a pane that has been added up already: the next window is added up anew.
  harness.push({ key: 'a', atMs: 16, amount: 1 })
  await harness.checkpoint()
  await harness.restore({ parallelism: 1 })
  await harness.finish()
  const found = harness.output<WindowResult<string, number>>('out').map(({ endMs, value }) => [endMs, value])
  expect(found.sort(([a = 0], [b = 0]) => a - b)).toEqual([
    [10, 1],
    [20, 2],
    [30, 3],
    [40, 2],
  ])
  await harness.close()
})

describe('times', () => {
  it('are whole milliseconds: one between two of them is in a window, or late', async () => {
    const harness = await openHarness<Click>(windowJob({ tumbling: 10 }, 0))
    harness.push({ key: 'a', atMs: 1, amount: 1 })
    await harness.advanceWatermark(9)
    harness.push({ key: 'a', atMs: 9.5, amount: 2 })
    harness.push({ key: 'a', atMs: -0.5, amount: 4 })
    harness.push({ key: 'a', atMs: 10.5, amount: 8 })
    await harness.finish()
    expect(rows(harness.output<WindowResult<string, number>>('out'))).toEqual(['a 0 10 1 = 1', 'a 10 20 1 = 8'])
    expect(harness.counts.late).toBe(2)
    await harness.close()
  })
})

describe('sessions', () => {
  it('have a revision above those of all that merged', async () => {
    const harness = await openHarness<Click>(windowJob({ session: 10 }, 100))
    harness.push({ key: 'a', atMs: 0, amount: 1 })
    await harness.advanceWatermark(9)
    harness.push({ key: 'a', atMs: 3, amount: 1 })
    await harness.run()
    harness.push({ key: 'a', atMs: 20, amount: 1 })
    await harness.advanceWatermark(29)
    harness.push({ key: 'a', atMs: 11, amount: 1 })
    await harness.run()
    const results = harness.output<WindowResult<string, number>>('out')
    expect(results.map((r) => `${r.startMs} ${r.endMs} ${r.value} r${r.revision}`)).toEqual([
      '0 10 1 r1',
      '0 13 2 r2',
      '20 30 1 r1',
      '0 30 4 r3',
    ])
    await harness.close()
  })

  it('keep the timers of a trigger when they merge, and ask it to merge only what there is', async () => {
    const merges: number[] = []
    const job = defineJob({
      ...clickJob,
      build: (clicks) =>
        clicks
          .keyBy((one) => one.key)
          .window({ session: 5 })
          .aggregate({
            id: 'sums',
            aggregate: summing,
            allowedLateness: 1000,
            trigger: {
              onRecord(_one, timestampMs, _window, context) {
                context.setEventTimer(timestampMs + 99.5)
                return 'continue'
              },
              onTimer: () => 'fire',
              merge: (states) => merges.push(states.length),
            },
          })
          .sinkTo({ id: 'out', to: out('out') }),
    })
    const harness = await openHarness<Click>(job)
    for (const atMs of [1, 9, 5]) {
      harness.push({ key: 'a', atMs, amount: 1 })
      await harness.checkpoint()
      await harness.restore()
    }
    await harness.finish()
    const results = rows(harness.output<WindowResult<string, number>>('out'))
    expect(results).toEqual(['a 1 14 1 = 3', 'a 1 14 2 = 3', 'a 1 14 3 = 3'])
    expect(new Set(merges)).toEqual(new Set([2]))
    await harness.close()
  })

  it('take an old record that joins a live session, and no other', async () => {
    const harness = await openHarness<Click>(windowJob({ session: 10 }, 0))
    harness.push({ key: 'a', atMs: 20, amount: 1 })
    await harness.advanceWatermark(25)
    // By itself [11, 21) is closed at 25; with [20, 30) it is not. What is apart from it is late.
    harness.push({ key: 'a', atMs: 11, amount: 2 })
    harness.push({ key: 'b', atMs: 11, amount: 4 })
    await harness.checkpoint()
    await harness.restore()
    await harness.finish()
    expect(rows(harness.output<WindowResult<string, number>>('out'))).toEqual(['a 11 30 1 = 3'])
    expect(harness.counts.late).toBe(1)
    await harness.close()
  })
})

describe('the work of sliding windows', () => {
  it('is one add a record, and a window from the one before it where there is an inverse', async () => {
    const calls = { add: 0, merge: 0, inverse: 0 }
    const counting = <A extends unknown[], R>(name: keyof typeof calls, fn: (...args: A) => R): ((...args: A) => R) => {
      return (...args) => {
        calls[name]++
        return fn(...args)
      }
    }
    const counted: Aggregate<Click, number, number> = {
      create: () => 0,
      add: counting('add', (acc: number, one: Click) => acc + one.amount),
      merge: counting('merge', (a: number, b: number) => a + b),
      inverse: counting('inverse', (a: number, b: number) => a - b),
      result: (acc) => acc,
    }
    const { inverse: _none, ...merging } = counted
    const run = async (aggregate: Summing): Promise<readonly number[]> => {
      Object.assign(calls, { add: 0, merge: 0, inverse: 0 })
      const harness = await openHarness<Click>(windowJob({ sliding: 100, every: 5 }, 0, aggregate), { parallelism: 1 })
      for (let atMs = 0; atMs < 1000; atMs += 5) harness.push({ key: 'a', atMs, amount: atMs })
      await harness.finish()
      const results = harness.output<WindowResult<string, number>>('out')
      expect(results).toHaveLength(219)
      await harness.close()
      return results.map(({ value }) => value)
    }
    const subtracted = await run(counted)
    expect(calls.add).toBe(200)
    expect(calls.merge + calls.inverse).toBeLessThan(450)
    expect(await run(merging)).toEqual(subtracted)
    expect(calls.merge).toBeGreaterThan(3500)
  })
})

describe('panes that windows share', () => {
  it('correct every window that a late record is in, whichever sum is kept', async () => {
    const oneKey = click.map((one) => ({ click: { ...one, key: 'a', atMs: (one.atMs + 30) >> 2 } }))
    const time = fc.integer({ min: 0, max: 30 }).map((watermarkMs) => ({ watermarkMs }))
    const dense = fc.array(fc.oneof({ weight: 3, arbitrary: oneKey }, { weight: 2, arbitrary: time }), {
      maxLength: 25,
    })
    const spec = { sliding: 12, every: 3 } as const
    const property = fc.asyncProperty(dense, fc.constantFrom('merged', 'subtracted'), async (steps, way) => {
      const harness = await openHarness<Click>(windowJob(spec, 20, ways[way]!), { parallelism: 1 })
      for (const step of steps) {
        if ('watermarkMs' in step) await harness.advanceWatermark(step.watermarkMs)
        else {
          harness.push(step.click)
          await harness.run()
        }
      }
      expect(rows(harness.output<WindowResult<string, number>>('out'))).toEqual(rows(sumWindows(spec, 20, steps).fired))
      await harness.close()
    })
    await fc.assert(property, { numRuns: 150 })
  })

  it('are dropped with their last window, and so is what is known of results', async () => {
    const harness = await openHarness<Click>(windowJob({ sliding: 12, every: 3 }, 6), { parallelism: 1 })
    for (let atMs = 0; atMs < 300; atMs += 3) {
      harness.push({ key: 'a', atMs, amount: 1 })
      await harness.advanceWatermark(atMs)
    }
    const { panes } = harness.state('sums', 'a') as { panes: { p: unknown[]; f: unknown[] } }
    expect(panes.p.length).toBeLessThan(9)
    expect(panes.f.length).toBeLessThan(9)
    await harness.finish()
    expect(harness.state('sums', 'a')).toBeUndefined()
    await harness.close()
  })

  it('keep what is theirs where a merge with nothing gives back the pane itself', async () => {
    interface Total {
      n: number
    }
    const aliasing: Aggregate<Click, Total, number> = {
      create: () => ({ n: 0 }),
      add(total, { amount }) {
        total.n += amount
        return total
      },
      merge(a, b) {
        if (a.n === 0) return b
        a.n += b.n
        return a
      },
      result: ({ n }) => n,
    }
    const job = defineJob({
      ...clickJob,
      build: (clicks) =>
        clicks
          .keyBy((one) => one.key)
          .window({ sliding: 20, every: 5 })
          .aggregate({ id: 'sums', aggregate: aliasing })
          .sinkTo({ id: 'out', to: out('out') }),
    })
    const harness = await openHarness<Click>(job, { parallelism: 1 })
    for (const atMs of [1, 6, 11]) harness.push({ key: 'a', atMs, amount: 1 })
    await harness.advanceWatermark(10)
    await harness.checkpoint()
    await harness.restore()
    await harness.finish()
    const results = harness.output<WindowResult<string, number>>('out')
    expect(results.map(({ endMs, value }) => [endMs, value])).toEqual([
      [5, 1],
      [10, 2],
      [15, 3],
      [20, 3],
      [25, 2],
      [30, 1],
    ])
    await harness.close()
  })
})

describe('windows of processing time', () => {
  it.each([
    { tumbling: 1000, time: 'processing' },
    { sliding: 1000, every: 500, time: 'processing' },
    { session: 1000, time: 'processing' },
  ] as const)('end with a bounded input: %j', async (spec) => {
    const harness = await openHarness<Click>(windowJob(spec, 0), { startMs: 1_700_000_000_000 })
    harness.push({ key: 'a', atMs: 1, amount: 3 })
    await harness.advanceTime(10)
    harness.push({ key: 'a', atMs: 1, amount: 4 })
    await harness.finish()
    const results = harness.output<WindowResult<string, number>>('out')
    expect(results.map(({ value, revision }) => [value, revision])).toEqual(
      'sliding' in spec
        ? [
            [7, 1],
            [7, 1],
          ]
        : [[7, 1]],
    )
    expect(harness.state('sums', 'a')).toBeUndefined()
    await harness.close()
  })
})
