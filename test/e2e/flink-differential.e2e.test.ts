/**
 * The same topic through every engine: the same rows, one by one, as real Flink and as the definition says.
 */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { deleteTopic } from '../../bench/producer.ts'
import {
  type DifferentialTopic,
  definitionRows,
  flinkSide,
  type RowSource,
  writeDifferentialTopic,
} from '../support/flink.ts'
import { testBrokers } from '../support/infra.ts'

/** Every engine that must agree. */
const sides: Readonly<Record<string, RowSource>> = {
  'Flink DataStream': flinkSide('datastream'),
  'Flink SQL': flinkSide('sql'),
}

const from: DifferentialTopic = { brokers: testBrokers(), topic: `differential-${inject('runId')}` }

beforeAll(() => writeDifferentialTopic(from))

afterAll(() => deleteTopic(from.brokers, from.topic))

describe.each(['tumbling', 'distinct'] as const)('%s', (caseId) => {
  it.each(Object.keys(sides))('%s gives the rows of the definition', { timeout: 300_000 }, async (side) => {
    const rows = await sides[side]!(caseId, from)
    const expected = definitionRows(caseId)
    expect(expected.length).toBeGreaterThan(100)
    expect(rows).toEqual(expected)
  })
})
