/** The harness of job tests: that it ends, and that work is interrupted in it as in a thread. */
import { expect, it } from 'vitest'
import { defineJob } from '../../src/program/define.ts'
import { list } from '../../src/program/state.ts'
import { openHarness } from '../../src/testing/job-harness.ts'
import type { Click } from '../program/reference.ts'
import { clickJob, out } from '../program/support.ts'

const heartbeat = (untilMs: number) =>
  defineJob({
    ...clickJob,
    build: (clicks) =>
      clicks
        .keyBy((click) => click.key)
        .process<number>({
          id: 'beat',
          onEvent: (_click, { setEventTimer, timestampMs }) => setEventTimer(timestampMs + 1),
          onTimer({ timeMs }, { setEventTimer, emit }) {
            if (timeMs < untilMs) setEventTimer(timeMs + 1)
            if (timeMs % 1000 === 0) emit(timeMs)
          },
        })
        .sinkTo({ id: 'out', to: out('out') }),
  })

it('says so when a job does not come to rest', async () => {
  const harness = await openHarness<Click>(heartbeat(Number.POSITIVE_INFINITY), { seed: 4, parallelism: 1 })
  harness.push({ key: 'a', atMs: 1, amount: 1 })
  await harness.advanceWatermark(5)
  await expect(harness.finish()).rejects.toThrow(/not come to rest .*\(seed 4\).*watermarkMs is Infinity/)
})

it('lets work that takes long go on', async () => {
  const harness = await openHarness<Click>(heartbeat(200_000), { seed: 4, parallelism: 1 })
  harness.push({ key: 'a', atMs: 1, amount: 1 })
  await harness.finish()
  expect(harness.output('out')).toHaveLength(200)
})

it('keeps outputs as they were when they were written', async () => {
  const state = { all: list<number>() }
  const growing = defineJob({
    ...clickJob,
    build: (clicks) =>
      clicks
        .keyBy((click) => click.key)
        .process<readonly number[], typeof state>({
          id: 'grow',
          state,
          onEvent({ amount }, { state, emit }) {
            state.all.add(amount)
            emit(state.all.get())
          },
        })
        .sinkTo({ id: 'out', to: out('out') }),
  })
  const harness = await openHarness<Click>(growing)
  for (const amount of [1, 2]) harness.push({ key: 'a', atMs: 1, amount })
  await harness.run()
  expect(harness.output('out')).toEqual([[1], [1, 2]])
})
