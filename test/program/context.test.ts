/** How the context of process functions may be used. */
import { expect, it } from 'vitest'
import { defineJob } from '../../src/program/define.ts'
import { openHarness } from '../../src/testing/job-harness.ts'
import type { Click } from './reference.ts'
import { clickJob, out } from './support.ts'

it('hands out a context whose functions can be taken out of it', async () => {
  const tallying = defineJob({
    ...clickJob,
    build: (clicks) =>
      clicks
        .keyBy((click) => click.key)
        .process<string>({
          id: 'tally',
          onEvent({ amount }, { emit, setEventTimer, timestampMs }) {
            emit(`${amount}`)
            setEventTimer(timestampMs + 5)
          },
          onTimer: ({ timeMs }, { key, emit }) => emit(`${key} ${timeMs}`),
        })
        .sinkTo({ id: 'out', to: out('out') }),
  })
  const harness = await openHarness<Click>(tallying)
  harness.push({ key: 'a', atMs: 1, amount: 3 })
  await harness.finish()
  expect(harness.output('out')).toEqual(['3', 'a 6'])
  await harness.close()
})
