import { describe, expect, it } from 'vitest'
import { defineJob } from '../../src/program/define.ts'
import { list, type StateSpecs, type ValueState, value } from '../../src/program/state.ts'
import type { Stream } from '../../src/program/streams.ts'
import { openHarness } from '../../src/testing/job-harness.ts'
import type { Click } from './reference.ts'
import { clickJob, out } from './support.ts'

function job(build: (clicks: Stream<Click>) => void) {
  return defineJob({ ...clickJob, build })
}

function touchAll(state: Readonly<Record<string, unknown>>): void {
  for (const handle of Object.values(state)) {
    const { set } = handle as { set(v: unknown): void }
    set(1)
  }
}

describe('state', () => {
  it('is found by its name and kind; what is gone, or of another kind, is dropped only if it is named', async () => {
    const counting = (state: StateSpecs) =>
      job((clicks) =>
        clicks
          .keyBy((c) => c.key)
          .process({ id: 'counter', state, onEvent: (_click, context) => touchAll(context.state) })
          .sinkTo({ id: 'out', to: out('out') }),
      )
    const harness = await openHarness<Click>(counting({ n: value<number>(), gone: value<number>() }))
    harness.push({ key: 'a', atMs: 1, amount: 1 })
    await harness.checkpoint()
    const next = counting({ extra: value<number>(), n: value<number>() })
    await harness.restore({ job: next, dropState: ['counter/gone'] })
    expect(harness.state('counter', 'a')).toMatchObject({ n: 1, extra: undefined })
    await harness.checkpoint()
    await harness.restore({ job: counting({ n: list<number>() }), dropState: ['counter'] })
    expect(harness.state('counter', 'a')?.n).toBeUndefined()
    await expect(harness.restore({ job: counting({ m: value<number>() }) })).rejects.toMatchObject({
      code: 'STATE_INCOMPATIBLE',
      message: expect.stringMatching(/slot counter\/\w+: the operator does not declare it any more.*--drop-state/),
    })
  })

  it('stays right when parts change places, also for keys that nothing touched since', async () => {
    const pair = (...names: readonly string[]) =>
      job((clicks) =>
        clicks
          .keyBy((c) => c.key)
          .process({
            id: 'pair',
            state: Object.fromEntries(names.map((name) => [name, value<number>()])) as StateSpecs,
            onEvent: ({ amount }, { state }) => {
              for (const name of names)
                (state as Record<string, ValueState<number>>)[name]!.set(amount + name.charCodeAt(0))
            },
          })
          .sinkTo({ id: 'out', to: out('out') }),
      )
    const harness = await openHarness<Click>(pair('a', 'b'))
    harness.push({ key: 'k', atMs: 1, amount: 0 })
    for (const names of [
      ['b', 'a'],
      ['c', 'b', 'a'],
      ['a', 'c', 'b'],
    ]) {
      await harness.checkpoint()
      await harness.restore({ job: pair(...names) })
      expect(harness.state('pair', 'k')).toMatchObject({ a: 97, b: 98 })
    }
    await harness.checkpoint()
    await harness.restore({ job: pair('b'), dropState: ['pair/a', 'pair/c'] })
    await harness.checkpoint()
    await harness.restore({ job: pair('b', 'a') })
    expect(harness.state('pair', 'k')).toMatchObject({ a: undefined, b: 98 })
    await harness.close()
  })
})
