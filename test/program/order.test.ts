/**
 * Order between what a stage takes and what it sends: results before the watermark that caused them and before a barrier,
 * answers of lookups too; and lateness after a restart as before it. In whatever order things happen to run.
 */
import { expect, it } from 'vitest'
import { count } from '../../src/program/aggregates.ts'
import { defineJob } from '../../src/program/define.ts'
import { openHarness } from '../../src/testing/job-harness.ts'
import type { Click } from './reference.ts'
import { clickJob, out } from './support.ts'

const seeds = Array.from({ length: 30 }, (_, i) => i + 1)

const counting = { tumbling: 10 } as const

it('results of windows are in time for windows behind them, and so are answers of lookups', async () => {
  const chained = defineJob({
    ...clickJob,
    build(clicks) {
      const counts = clicks
        .keyBy((click) => click.key)
        .window(counting)
        .aggregate({ id: 'first', aggregate: count() })
      const asked = counts
        .keyBy(({ key }) => key)
        .lookup({
          id: 'ask',
          async lookup() {
            for (let turn = 0; turn < 20; turn++) await Promise.resolve()
          },
          join: (one) => one,
        })
      for (const [id, stream] of [
        ['plain', counts],
        ['asked', asked],
      ] as const)
        stream
          .keyBy(({ startMs }) => startMs)
          .window(counting)
          .aggregate({ id, aggregate: count() })
          .sinkTo({ id: `${id}-out`, to: out(id) })
    },
  })
  for (const seed of seeds) {
    const harness = await openHarness<Click>(chained, { seed, partitions: 2 })
    for (let i = 0; i < 40; i++) harness.push({ key: `k${i % 10}`, atMs: i, amount: 1 })
    await harness.advanceWatermark(19)
    await harness.finish()
    for (const id of ['plain-out', 'asked-out']) {
      const results = harness.output<{ key: number; value: number }>(id).map(({ key, value }) => `${key}: ${value}`)
      expect(results.toSorted(), `seed ${seed}`).toEqual(['0: 10', '10: 10', '20: 10', '30: 10'])
    }
    expect(harness.counts.late).toBe(0)
    await harness.close()
  }
})

it('a barrier comes behind everything that was before it, asynchronous work too', async () => {
  const asking = defineJob({
    ...clickJob,
    build: (clicks) =>
      clicks
        .keyBy((click) => click.key)
        .lookup({
          id: 'ask',
          async lookup() {
            for (let turn = 0; turn < 20; turn++) await Promise.resolve()
          },
          join: (click) => click,
        })
        .keyBy((click) => click.amount)
        .aggregate({ id: 'counts', aggregate: count() })
        .sinkTo({ id: 'out', to: out('out') }),
  })
  for (const seed of seeds) {
    const harness = await openHarness<Click>(asking, { seed, partitions: 2 })
    for (let i = 0; i < 60; i++) {
      harness.push({ key: `k${i % 10}`, atMs: 1, amount: i % 3 })
      if (i % 20 === 10) await harness.checkpoint()
      if (i === 45) await harness.restore({ parallelism: 3 })
    }
    await harness.run()
    for (const amount of [0, 1, 2])
      expect(harness.state('counts', amount), `seed ${seed}`).toMatchObject({ accumulator: 20 })
    await harness.close()
  }
})

it('what is late before a crash is late after it, whichever of several sources speaks first', async () => {
  const windows = defineJob({
    ...clickJob,
    build: (clicks) =>
      clicks
        .keyBy((click) => click.key)
        .window(counting)
        .aggregate({ id: 'counts', aggregate: count() })
        .sinkTo({ id: 'out', to: out('out') }),
  })
  for (const seed of seeds) {
    const harness = await openHarness<Click>(windows, { seed, partitions: 2 })
    harness.push({ key: 'a', atMs: 1, amount: 1 })
    await harness.advanceWatermark(9)
    await harness.checkpoint()
    // Read while those behind hear for the first time where event time is.
    for (const partition of [0, 1]) harness.push({ key: 'a', atMs: 2, amount: 1 }, partition)
    await harness.restore({ parallelism: 1 + (seed % 3) })
    expect(harness.counts.late, `seed ${seed}`).toBe(2)
    expect(harness.output('out')).toHaveLength(1)
    await harness.close()
  }
})
