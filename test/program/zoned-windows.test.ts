/** Overlapping windows in time zones around changes of clocks: shared panes give what a state for each window gives. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { sum } from '../../src/program/aggregates.ts'
import { defineJob } from '../../src/program/define.ts'
import type { Aggregate } from '../../src/program/state.ts'
import type { WindowResult } from '../../src/program/window-operator.ts'
import type { WindowSpec } from '../../src/program/windows.ts'
import { openHarness } from '../../src/testing/job-harness.ts'
import type { Click, Step } from './reference.ts'
import { clickJob, out } from './support.ts'

const HOUR_MS = 3_600_000

const merged = sum((one: Click) => one.amount)
const subtracted: Aggregate<Click, number, number> = { ...merged, inverse: (a, b) => a - b }
const { merge: _none, ...apart } = merged

/** Zones, and an instant near which their clocks change; Cairo and Santiago skip midnight. */
const changes = [
  ['Europe/Berlin', Date.UTC(2024, 2, 31, 1)],
  ['Europe/Berlin', Date.UTC(2024, 9, 27, 1)],
  ['Australia/Lord_Howe', Date.UTC(2024, 3, 6, 15)],
  ['Africa/Cairo', Date.UTC(2024, 3, 25, 22)],
  ['America/Santiago', Date.UTC(2024, 3, 7, 3)],
  ['Asia/Kathmandu', Date.UTC(2024, 5, 1)],
] as const

const shapes: readonly WindowSpec[] = [
  { sliding: '2d', every: '1d' },
  { sliding: '12h', every: '6h' },
  { sliding: '36h', every: '1d', offset: '5h' },
  { sliding: '2h', every: '6h', offset: '1h' },
  { cumulate: '1d', step: '6h' },
  { cumulate: '2d', step: '1d', offset: '1d' },
]

async function resultsOf(spec: WindowSpec, aggregate: Aggregate<Click, number, number>, steps: readonly Step[]) {
  const job = defineJob({
    ...clickJob,
    build: (clicks) =>
      clicks
        .keyBy((click) => click.key)
        .window(spec)
        .aggregate({ id: 'sums', aggregate, allowedLateness: '7h' })
        .sinkTo({ id: 'out', to: out('out') }),
  })
  const harness = await openHarness<Click>(job, { parallelism: 1, startMs: Date.UTC(2025, 0, 1) })
  for (const step of steps) {
    if ('watermarkMs' in step) {
      await harness.advanceWatermark(step.watermarkMs)
      await harness.checkpoint()
      await harness.restore()
      continue
    }
    harness.push(step.click)
    await harness.run()
  }
  await harness.finish()
  const results = harness.output<WindowResult<string, number>>('out')
  const late = harness.counts.late
  await harness.close()
  return { late, rows: results.map((r) => `${r.startMs} ${r.endMs} ${r.value} r${r.revision}`).sort() }
}

it.each(shapes.map((shape) => [JSON.stringify(shape), shape] as const))('%s', async (_name, shape) => {
  const near = fc.integer({ min: -200, max: 200 })
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ at: near, amount: fc.integer({ min: 1, max: 9 }) }) },
    { weight: 1, arbitrary: fc.record({ watermark: near }) },
  )
  const property = fc.asyncProperty(
    fc.constantFrom(...changes),
    fc.array(step, { maxLength: 25 }),
    async ([timezone, aroundMs], drawn) => {
      const timeOf = (n: number) => aroundMs + n * (HOUR_MS / 3)
      const steps = drawn.map((one) =>
        'at' in one
          ? { click: { key: 'a', atMs: timeOf(one.at), amount: one.amount } }
          : { watermarkMs: timeOf(one.watermark) - 1 },
      )
      const spec = { ...shape, timezone }
      const expected = await resultsOf(spec, apart, steps)
      expect(await resultsOf(spec, merged, steps)).toEqual(expected)
      expect(await resultsOf(spec, subtracted, steps)).toEqual(expected)
    },
  )
  await fc.assert(property, { numRuns: 15 })
})
