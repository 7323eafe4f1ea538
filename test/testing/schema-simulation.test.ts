/**
 * Framed values in a whole simulated deployment: schemas that come late, fail and come again, threads that die while a
 * record waits for its schema. Every event is counted once, or put aside once.
 */
import protobuf from 'protobufjs'
import { expect, it } from 'vitest'
import { nextBelow, SeededRandom } from '../../src/core/clock.ts'
import { MillraceError } from '../../src/core/errors.ts'
import { loadDescriptors } from '../../src/event/descriptor.ts'
import { compileTexts } from '../../src/event/descriptor-text.ts'
import { parseJob } from '../../src/job/parse.ts'
import { MemoryTopic } from '../../src/source/memory-topic.ts'
import { Simulation } from '../../src/testing/simulation.ts'
import { framed } from '../support/registry-stub.ts'

/** Version i has a field more than the one before, and each its own name for the amount. */
const versions = [1, 2, 3, 4, 5, 6].map(
  (i) =>
    `syntax = "proto3"; package t; message Other {} message M { string key = 1; int64 at = 2; int64 amount_${i} = 3; string f${i} = ${10 + i}; }`,
)
const readerText = versions[0]!.replace('amount_1', 'amount')
const sets = versions.map((text) => compileTexts([{ name: 'm.proto', text }]))
const types = versions.map((text) => protobuf.parse(text, { keepCase: true }).root.lookupType('t.M'))
const descriptors = loadDescriptors(compileTexts([{ name: 'm.proto', text: readerText }]))
const UNKNOWN = 77

const { definition } = parseJob(
  `
apiVersion: millrace.dev/v1
kind: Job
metadata: { name: framed }
sources: [{ id: events, log: { path: none, topic: events, bounded: true } }]
event: { message: t.M, time: at, key: key, maxFuture: 36500d, schema: { registry: { subject: m } } }
watermark: { outOfOrderness: 1h }
checkpoint: { every: 20ms }
parallelism: 3
metrics:
  - { id: amounts, sum: { field: amount }, window: { tumbling: 1d }, by: [key] }
deadLetters: { log: { path: none, topic: dead } }
`,
  descriptors,
)

const PARTITIONS = 4
const startMs = 1_700_000_000_000

interface Drawn {
  readonly value: Uint8Array
  readonly key: string
  /** NaN for what is put aside, Infinity for another type. */
  readonly amount: number
}

function draw(seed: number, count: number): Drawn[] {
  const random = new SeededRandom(seed)
  return Array.from({ length: count }, (_, i) => {
    const key = `k${nextBelow(random, 10)}`
    const kind = nextBelow(random, 50)
    if (kind === 0)
      return { value: framed(UNKNOWN + nextBelow(random, 3), [1], Uint8Array.of()), key, amount: Number.NaN }
    if (kind === 1) return { value: framed(1, [0], Uint8Array.of()), key, amount: Number.POSITIVE_INFINITY }
    // Later versions come later, so that schemas are met all along.
    const version = Math.min(5, Math.floor((i / count) * 6) + (nextBelow(random, 20) === 0 ? 1 : 0))
    const amount = nextBelow(random, 1000)
    const type = types[version]!
    const message = type.fromObject({
      key,
      at: String(startMs + i),
      [`amount_${version + 1}`]: String(amount),
      [`f${version + 1}`]: 'x',
    })
    return { value: framed(version + 1, [1], type.encode(message).finish()), key, amount }
  })
}

async function run(seed: number, crashes: number): Promise<void> {
  const events = draw(seed, 6000)
  const topic = new MemoryTopic('events', PARTITIONS, new SeededRandom(seed))
  for (let at = 0; at < events.length; at += 25) {
    const records = events.slice(at, at + 25).map(({ value }) => ({ key: null, value, timestampMs: startMs }))
    topic.append((at / 25) % PARTITIONS, records)
  }
  const random = new SeededRandom(seed + 1)
  let asked = 0
  const schemas = {
    byId: async (id: number): Promise<Uint8Array | null> => {
      asked++
      await new Promise<void>((resolve) => simulation.scheduler.after(nextBelow(random, 40), resolve))
      if (nextBelow(random, 3) === 0) throw new MillraceError('SCHEMA_REGISTRY_UNREACHABLE', 'away')
      return sets[id - 1] ?? null
    },
  }
  const simulation: Simulation = new Simulation({ seed, workers: 2, topic, descriptors, schemas })
  await simulation.submit(definition)
  await simulation.runUntilState('framed', 'RUNNING')
  for (let i = 0; i < crashes; i++) {
    await simulation.scheduler.runFor(20 + nextBelow(random, 150))
    const { attempt } = simulation.status('framed')
    simulation.workers.crash(nextBelow(random, 2))
    await simulation.scheduler.runUntil(() => simulation.status('framed').attempt > attempt, 'the next attempt')
  }
  await simulation.runUntilState('framed', 'FINISHED')
  const sums = new Map<string, number>()
  for (const rows of await simulation.rows('framed', 0))
    for (let i = 0; i < rows.count; i++) sums.set(rows.dimensions[i]!.join(), rows.values[i]!)
  const expected = new Map<string, number>()
  for (const { key, amount } of events)
    if (Number.isFinite(amount)) expected.set(key, (expected.get(key) ?? 0) + amount)
  expect(sums).toEqual(expected)
  // Threads are asked for their numbers from time to time.
  await simulation.scheduler.runFor(5000)
  const stats = simulation.manager.statsOf(simulation.manager.job('framed')).map((reading) => reading.stats)
  const total = (name: 'read' | 'deadLettered' | 'filtered' | 'applied') =>
    stats.reduce((sum, each) => sum + each[name], 0)
  expect([total('read'), total('applied'), total('deadLettered'), total('filtered')]).toEqual([
    events.length,
    events.filter(({ amount }) => Number.isFinite(amount)).length,
    events.filter(({ amount }) => Number.isNaN(amount)).length,
    events.filter(({ amount }) => amount === Number.POSITIVE_INFINITY).length,
  ])
  expect(asked).toBeGreaterThanOrEqual(9)
  await simulation.close()
}

it.each([1, 2, 3])('counts every framed event once while schemas come late (seed %i)', (seed) => run(seed, 0))
it.each([4, 5, 6, 7])('counts every framed event once over crashes (seed %i)', (seed) => run(seed, 3))
