/** What is known of a key over the wire: what arrives is what was answered. */
import { expect, it } from 'vitest'
import { LookupKeyResponse } from '../../src/gen/millrace/v1/query.ts'
import { fromKeyResponse, toKeyResponse } from '../../src/rpc/key-messages.ts'
import { FakeQuery } from '../support/fakes/query.ts'

it.each([0, 10])('an answer does, with %i events', async (events) => {
  const asked = { job: 'engagement', key: 'ann', metrics: [], fromMs: -Infinity, toMs: Infinity, limit: 10, events }
  const found = await new FakeQuery().lookupKey(asked)
  const told = fromKeyResponse(LookupKeyResponse.decode(LookupKeyResponse.encode(toKeyResponse(found)).finish()))
  expect(told.timelines).toEqual(found.timelines)
  expect(told.results.map(({ info, ofPerson }) => [info.metric, ofPerson])).toEqual([['views_of_person', false]])
  expect([told.subtask, told.watermarkMs]).toEqual([found.subtask, found.watermarkMs])
})
