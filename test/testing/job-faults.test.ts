/** Jobs of authors under seeded faults: in TypeScript and in YAML, sinks hold what they hold when nothing goes wrong. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { defineJob, Event, sum } from '../../src/api.ts'
import { runWithFaults } from '../../src/testing/job-faults.ts'

const noonMs = Date.UTC(2023, 10, 1, 12)
const events = Array.from({ length: 200 }, (_, i) =>
  Event.fromPartial({
    person: `p${i % 7}`,
    name: 'purchase',
    revenueMinor: i,
    occurredAt: new Date(noonMs + i * 1000),
  }),
)

const job = defineJob({
  name: 'revenue',
  source: { input: { log: { path: 'none', topic: 'events' } }, event: Event, time: (event) => event.occurredAt },
  watermark: { outOfOrderness: '5s' },
  build: (stream) =>
    stream
      .keyBy((event) => event.person)
      .window({ tumbling: '30s' })
      .aggregate({ id: 'revenue', aggregate: sum((event: Event) => event.revenueMinor) })
      .sinkTo({ id: 'out', to: { log: { path: 'none', topic: 'revenue' } } }),
})

it('a job in TypeScript gives each result once, whatever goes wrong', async () => {
  const good = await runWithFaults(job, { seed: 1, events, plan: [] })
  const expected = good
    .values('out')
    .map((value) => JSON.stringify(value))
    .sort()
  expect(expected.length).toBeGreaterThan(30)
  let faults = 0
  for (let seed = 1; seed <= 30; seed++) {
    const run = await runWithFaults(job, { seed, events })
    if (run.plan !== 'no faults') faults++
    expect(
      run
        .values('out')
        .map((value) => JSON.stringify(value))
        .sort(),
      `seed ${seed}: ${run.plan}`,
    ).toEqual(expected)
  }
  expect(faults).toBeGreaterThan(15)
})

it('so does one in YAML, of events as bytes', async () => {
  const descriptorSet = readFileSync(new URL('../../src/gen/descriptors.binpb', import.meta.url))
  const text = `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: spent }
sources: [{ id: events, log: { path: none, topic: events } }]
event: { message: millrace.v1.Event, time: occurred_at, key: person, maxFuture: 3650d }
watermark: { outOfOrderness: 5s }
metrics: [{ id: spent, sum: { field: revenue_minor }, window: { tumbling: 30s }, by: [person] }]
sinks: [{ id: out, log: { path: none, topic: out } }]
`
  const bytes = events.map((event) => Event.encode(event).finish())
  const keysOf = async (seed: number, plan?: []) => {
    const run = await runWithFaults(text, {
      seed,
      events: bytes,
      descriptorSet,
      ...(plan === undefined ? {} : { plan }),
    })
    return run
      .records('out')
      .map(({ key }) => new TextDecoder().decode(key!))
      .sort()
  }
  const expected = await keysOf(1, [])
  expect(expected.length).toBeGreaterThan(30)
  for (let seed = 1; seed <= 10; seed++) expect(await keysOf(seed)).toEqual(expected)
})

it('is the same run for the same seed', async () => {
  const first = await runWithFaults(job, { seed: 5, events })
  expect((await runWithFaults(job, { seed: 5, events })).trace).toEqual(first.trace)
})
