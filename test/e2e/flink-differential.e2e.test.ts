/**
 * The same topic through every engine: the same rows, one by one, as real Flink and as the definition says.
 *
 * The first topic's disorder stays within the bound, so nothing is late. The second has events that are.
 */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { CaseId } from '../../bench/cases/case.ts'
import { deleteTopic } from '../../bench/producer.ts'
import {
  type DifferentialTopic,
  definitionRows,
  differentialStream,
  flinkSide,
  flinkWithLateEvents,
  type LateOutcome,
  type RowSource,
  writeDifferentialTopic,
} from '../support/flink.ts'
import { testBrokers, testRedis } from '../support/infra.ts'
import { lateTopic, takenFromLateTopic, writeFirstPart } from '../support/late-topic.ts'
import { millraceSide, millraceWithLateEvents } from '../support/millrace-side.ts'

const runId = inject('runId')
const redis = { redisUrl: testRedis(), redisPrefix: `differential-${runId}` }

/** Every engine that must agree. */
const sides: Readonly<Record<string, RowSource>> = {
  Millrace: millraceSide(redis),
  'Millrace in one subtask': millraceSide({ ...redis, redisPrefix: `${redis.redisPrefix}-one`, parallelism: 1 }),
  'Flink DataStream': flinkSide('datastream'),
  'Flink SQL': flinkSide('sql'),
}

const from: DifferentialTopic = { brokers: testBrokers(), topic: `differential-${runId}` }

beforeAll(() => writeDifferentialTopic(from))
afterAll(() => deleteTopic(from.brokers, from.topic))

describe.each(['tumbling', 'distinct', 'session', 'sliding'] as const)('%s', (caseId) => {
  it.each(Object.keys(sides))('%s gives the rows of the definition', { timeout: 300_000 }, async (side) => {
    const rows = await sides[side]!(caseId, from)
    const expected = definitionRows(caseId)
    expect(expected.length).toBeGreaterThan(100)
    expect(rows).toEqual(expected)
  })
})

describe.each([
  ['cumulate', 100],
  ['product-actives', 10],
  ['product-sessions', 100],
  ['product-pages', 100],
] as const)('%s', (caseId, rows) => {
  const { 'Flink DataStream': _none, ...some } = sides

  it.each(Object.keys(some))('%s gives the rows of the definition', { timeout: 300_000 }, async (side) => {
    const expected = definitionRows(caseId)
    expect(expected.length).toBeGreaterThan(rows)
    expect(await some[side]!(caseId, from)).toEqual(expected)
  })
})

describe('counted', () => {
  const { 'Flink SQL': _none, ...some } = sides
  /** Which events make five is a matter of order, which a topic of one partition has. */
  const ordered: DifferentialTopic = { brokers: testBrokers(), topic: `differential-ordered-${runId}` }

  beforeAll(() => writeDifferentialTopic(ordered, 1))
  afterAll(() => deleteTopic(ordered.brokers, ordered.topic))

  it.each(Object.keys(some))('%s gives the rows of the definition', { timeout: 300_000 }, async (side) => {
    const expected = definitionRows('counted')
    expect(expected.length).toBeGreaterThan(100)
    expect(await some[side]!('counted', ordered)).toEqual(expected)
  })
})

describe.each(['tumbling', 'distinct'] as const)('%s with events that are late', { timeout: 300_000 }, (caseId) => {
  const late: DifferentialTopic = { brokers: testBrokers(), topic: `differential-late-${caseId}-${runId}` }
  const expected = expectedLate(caseId)
  /** Whoever reads first writes the second part: Millrace, which has to be told when. */
  let millrace: LateOutcome

  beforeAll(async () => {
    await writeFirstPart(late)
    const lateRedis = { ...redis, redisPrefix: `${redis.redisPrefix}-late-${caseId}` }
    millrace = await millraceWithLateEvents(lateRedis)(caseId, late)
  })
  afterAll(() => deleteTopic(late.brokers, late.topic))

  it('Millrace drops those and no others', () => {
    expect(expected.dropped).toBeGreaterThan(100)
    expect(millrace).toEqual(expected)
  })

  it('Flink DataStream drops the same', async () => {
    expect(await flinkWithLateEvents('datastream')(caseId, late)).toEqual(expected)
  })

  it('Flink SQL gives the same rows', async () => {
    // It adds events up before its window drops them, and counts what it drops after that: rows can be compared only.
    const { rows, dropped } = await flinkWithLateEvents('sql')(caseId, late)
    expect(rows).toEqual(expected.rows)
    expect(dropped).toBeGreaterThan(0)
  })
})

function expectedLate(caseId: CaseId): LateOutcome {
  let taken = 0
  const rows = definitionRows(caseId, differentialStream, lateTopic.events, (stream, k, draw) => {
    const takes = takenFromLateTopic(stream, k, draw)
    if (takes) taken++
    return takes
  })
  return { rows, dropped: lateTopic.events - taken }
}
