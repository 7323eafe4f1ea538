/** Interval joins against their definition, over any order of records and watermarks, crashes and bounds of any sign. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { defineJob } from '../../src/program/define.ts'
import { openHarness } from '../../src/testing/job-harness.ts'
import type { Click } from './reference.ts'
import { clickJob, out } from './support.ts'

/** Clicks of an odd amount are left, the others right. */
const isLeft = ({ amount }: Click): boolean => amount % 2 === 1

function joining(lower: number, upper: number) {
  return defineJob({
    ...clickJob,
    build: (clicks) =>
      clicks
        .filter(isLeft)
        .keyBy((c) => c.key)
        .intervalJoin(
          clicks.filter((c) => !isLeft(c)).keyBy((c) => c.key),
          { id: 'pairs', lower, upper, join: (l, r) => `${l.key} ${l.atMs} ${l.amount} ${r.atMs} ${r.amount}` },
        )
        .sinkTo({ id: 'out', to: out('out') }),
  })
}

type Step = { readonly click: Click } | { readonly watermarkMs: number } | { readonly crash: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .record({
        key: fc.constantFrom('a', 'b'),
        atMs: fc.integer({ min: -4, max: 10 }),
        amount: fc.integer({ min: 1, max: 4 }),
      })
      .map((click) => ({ click })),
  },
  { weight: 2, arbitrary: fc.integer({ min: -6, max: 12 }).map((watermarkMs) => ({ watermarkMs })) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 3 }).map((crash) => ({ crash })) },
)

const bounds = fc.tuple(fc.integer({ min: -4, max: 4 }), fc.nat(3)).map(([lower, width]) => [lower, lower + width])

it('give each pair within the bounds once, count what is late, and keep nothing for ever', async () => {
  const property = fc.asyncProperty(
    fc.array(step, { maxLength: 50 }),
    bounds,
    fc.nat(),
    async (steps, [lower, upper], seed) => {
      const harness = await openHarness<Click>(joining(lower!, upper!), { seed })
      const taken: Click[] = []
      let watermarkMs = Number.NEGATIVE_INFINITY
      let late = 0
      for (const one of steps) {
        if ('watermarkMs' in one) {
          await harness.advanceWatermark(one.watermarkMs)
          watermarkMs = Math.max(watermarkMs, one.watermarkMs)
        } else if ('crash' in one) {
          await harness.checkpoint()
          await harness.restore({ parallelism: one.crash })
        } else {
          harness.push(one.click)
          await harness.run()
          if (one.click.atMs <= watermarkMs) late++
          else taken.push(one.click)
        }
      }
      const pairs = taken
        .filter(isLeft)
        .flatMap((l) =>
          taken
            .filter((r) => !isLeft(r) && r.key === l.key && r.atMs >= l.atMs + lower! && r.atMs <= l.atMs + upper!)
            .map((r) => `${l.key} ${l.atMs} ${l.amount} ${r.atMs} ${r.amount}`),
        )
      expect(harness.output<string>('out').toSorted()).toEqual(pairs.toSorted())
      expect(harness.counts.late).toBe(late)
      // What waits at most: until the watermark has passed the time by the larger bound.
      const reachMs = Math.max(0, upper!, -lower!)
      for (const key of ['a', 'b']) {
        const { left = [], right = [] } = (harness.state('pairs', key) ?? {}) as Record<string, { t: number }[]>
        for (const { t } of [...left, ...right]) expect(t + reachMs).toBeGreaterThan(watermarkMs)
      }
      await harness.finish()
      for (const key of ['a', 'b']) expect(harness.state('pairs', key)).toBeUndefined()
      await harness.close()
    },
  )
  // The last moment for a partner, on either side.
  const [left, right] = [1, 2].map((amount) => ({ key: 'a', atMs: 0, amount })) as [Click, Click]
  const examples: [Step[], number[], number][] = [
    [[{ click: left }, { watermarkMs: 2 }, { click: { ...right, atMs: 3 } }], [0, 3], 0],
    [[{ click: right }, { watermarkMs: 2 }, { click: { ...left, atMs: 3 } }], [-3, 0], 0],
  ]
  await fc.assert(property, { numRuns: 200, examples })
})
