/** Records on their way through a job: filters, maps, unions, side outputs, dead letters, failures. */
import { describe, expect, it } from 'vitest'
import { defineJob, sideOutput } from '../../src/program/define.ts'
import type { Stream } from '../../src/program/streams.ts'
import { openHarness } from '../../src/testing/job-harness.ts'
import type { Click } from './reference.ts'
import { clickJob, out } from './support.ts'

function job(build: (clicks: Stream<Click>) => void) {
  return defineJob({ ...clickJob, build })
}

describe('records', () => {
  it('are filtered, mapped, multiplied, united, keyed again, and sent aside', async () => {
    const odd = sideOutput<number>('odd')
    const graph = job((clicks) => {
      const small = clicks.filter((c) => c.amount < 5)
      const large = clicks.filter((c) => c.amount >= 5).map((c) => ({ ...c, key: 'large' }))
      const processed = small
        .union(large)
        .keyBy((c) => [c.key, c.amount % 2 === 0] as const)
        .process<number>({
          id: 'split',
          onEvent({ amount }, context) {
            if (amount % 2 === 1) context.emitTo(odd, amount)
            else context.emit(amount)
          },
        })
      processed
        .flatMap((n) => [n, n])
        .keyBy((n) => n)
        .aggregate({
          id: 'counts',
          aggregate: { create: () => 0, add: (n: number) => n + 1, result: (n: number) => n },
        })
        .sinkTo({ id: 'out', to: out('out') })
      processed.side(odd).sinkTo({ id: 'odd', to: out('odd'), key: String })
    })
    const harness = await openHarness<Click>(graph, { parallelism: 3, partitions: 3 })
    for (let amount = 1; amount <= 8; amount++) harness.push({ key: 'a', atMs: 1, amount })
    await harness.run()
    expect(harness.output<number>('odd').toSorted()).toEqual([1, 3, 5, 7])
    const counts = harness.output<{ key: number; value: number }>('out')
    expect(counts.map((c) => `${c.key} ${c.value}`).toSorted()).toEqual([
      '2 1',
      '2 2',
      '4 1',
      '4 2',
      '6 1',
      '6 2',
      '8 1',
      '8 2',
    ])
    await harness.close()
  })

  it('of a stream united with itself come as often as it is in it', async () => {
    const twice = job((clicks) => {
      const both = clicks.union(clicks)
      both.sinkTo({ id: 'out', to: out('out') })
      const counting = { create: () => 0, add: (n: number) => n + 1, result: (n: number) => n }
      const counts = both
        .map((c) => c)
        .union(clicks)
        .keyBy((c) => c.key)
        .aggregate({ id: 'n', aggregate: counting })
      counts.sinkTo({ id: 'counts', to: out('counts') })
    })
    const harness = await openHarness<Click>(twice)
    harness.push({ key: 'a', atMs: 1, amount: 1 })
    await harness.run()
    expect(harness.output('out')).toHaveLength(2)
    expect(harness.output<{ value: number }>('counts').map((r) => r.value)).toEqual([1, 2, 3])
    await harness.close()
  })

  it('that cannot be used are dead letters; those that nothing wants are filtered', async () => {
    const harness = await openHarness<Click>(
      defineJob({
        ...clickJob,
        deadLetters: out('dead'),
        build: (clicks) => clicks.filter((c) => c.amount > 1).sinkTo({ id: 'out', to: out('out') }),
      }),
    )
    harness.pushBytes(new TextEncoder().encode('{'))
    harness.pushBytes(null)
    harness.push({ key: 'a', amount: 2 } as Click)
    harness.push({ key: 'a', atMs: harness.nowMs + 10 ** 9, amount: 2 })
    harness.push({ key: 'a', atMs: 1, amount: 1 })
    harness.push({ key: 'a', atMs: 1, amount: 2 })
    await harness.run()
    expect(harness.counts).toEqual({ read: 6, deadLettered: 4, filtered: 1, late: 0 })
    expect(harness.output('out')).toHaveLength(1)
    expect(harness.output('deadLetters')).toHaveLength(4)
    await harness.close()
  })
})
