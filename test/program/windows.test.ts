/**
 * Windows of jobs in TypeScript against their definition, over any order of records and watermarks, with crashes and
 * changes of parallelism in between.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sum } from '../../src/program/aggregates.ts'
import { defineJob, sideOutput } from '../../src/program/define.ts'
import type { WindowResult } from '../../src/program/window-operator.ts'
import { planWindows, type WindowSpec } from '../../src/program/windows.ts'
import { openHarness } from '../../src/testing/job-harness.ts'
import { type Click, type Fired, type Step, sumWindows } from './reference.ts'
import { clickJob, out } from './support.ts'

const late = sideOutput<Click>('late')

function windowJob(spec: WindowSpec, allowedLateness: number) {
  return defineJob({
    ...clickJob,
    build(clicks) {
      const results = clicks
        .keyBy((click) => click.key)
        .window(spec)
        .aggregate({ id: 'sums', aggregate: sum((click: Click) => click.amount), allowedLateness, late })
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
  it('gives what the definition says', async () => {
    const property = fc.asyncProperty(
      fc.array(deed, { maxLength: 40 }),
      fc.constantFrom(0, 5, 12),
      fc.nat(),
      async (deeds, latenessMs, seed) => {
        const harness = await openHarness<Click>(windowJob(spec, latenessMs), { seed, parallelism: 1 + (seed & 1) })
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
        await harness.close()
      },
    )
    await fc.assert(property, { numRuns: 40 })
  })
})

describe('sessions', () => {
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

describe('the definition of windows', () => {
  it.each([
    [{ tumbling: '0s' }, 'tumbling'],
    [{ tumbling: 'soon' }, 'tumbling'],
    [{ tumbling: '1h', offset: '1h' }, 'offset'],
    [{ tumbling: '1d', timezone: 'Europe/Nowhere' }, 'time zone'],
    [{ sliding: '1h', every: '-1m' }, 'every'],
    [{ sliding: '1d', every: 1 }, '10,000'],
    [{ cumulate: '1h', step: '7m' }, 'multiple'],
    [{ session: 0 }, 'session'],
  ] as const)('%j is refused', (spec, word) => {
    expect(() => planWindows(spec, 'sums')).toThrow(expect.objectContaining({ code: 'JOB_INVALID' }))
    expect(() => planWindows(spec, 'sums')).toThrow(word)
  })

  it('takes days of 23 and 25 hours', () => {
    const windows: number[] = []
    const { assign } = planWindows({ tumbling: '1d', timezone: 'Europe/Berlin' }, 'days')
    for (const at of ['2024-03-31T12:00Z', '2024-10-27T12:00Z', '2024-07-01T12:00Z'])
      assign(Date.parse(at), (startMs, endMs) => windows.push((endMs - startMs) / 3_600_000))
    expect(windows).toEqual([23, 25, 24])
  })
})
