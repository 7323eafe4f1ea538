/** Predicted lifetimes over the wire: what arrives is what was asked, and what was answered. */
import { expect, it } from 'vitest'
import { PredictLifetimeValueRequest, PredictLifetimeValueResponse } from '../../src/gen/millrace/v1/query.ts'
import type { LifetimeQuery } from '../../src/query/lifetime-api.ts'
import {
  fromLifetimeRequest,
  fromLifetimeResponse,
  toLifetimeRequest,
  toLifetimeResponse,
} from '../../src/rpc/lifetime-messages.ts'
import { someLifetime } from '../support/fakes/reports.ts'

const asked: LifetimeQuery = {
  ...{ job: 'revenue', metric: 'days', untilMs: Date.UTC(2024, 5, 1), steps: 6, daysPerStep: 7, discountRate: 0.02 },
  ...{ penalizer: 0.01, persons: ['ann'], limit: 5, margin: 0.4, churn: 0.05 },
}

it.each([asked, { ...asked, untilMs: Infinity, margin: null, churn: null, persons: [] }])(
  'a question does',
  (query) => {
    const bytes = PredictLifetimeValueRequest.encode(toLifetimeRequest(query)).finish()
    expect(fromLifetimeRequest(PredictLifetimeValueRequest.decode(bytes))).toEqual(query)
  },
)

it('what is left out of a question has defaults, but not what it is about', () => {
  const query = fromLifetimeRequest(PredictLifetimeValueRequest.fromPartial({ job: 'revenue', metric: 'days' }))
  expect(query).toMatchObject({
    steps: 12,
    daysPerStep: 30,
    limit: 100,
    discountRate: 0,
    untilMs: Infinity,
    margin: null,
  })
  expect(() => fromLifetimeRequest(PredictLifetimeValueRequest.fromPartial({ job: 'revenue' }))).toThrow(/missing/)
})

it.each([someLifetime, { ...someLifetime, steadyState: null, correlation: NaN }])('an answer does', (result) => {
  const bytes = PredictLifetimeValueResponse.encode(toLifetimeResponse(result)).finish()
  expect(fromLifetimeResponse(PredictLifetimeValueResponse.decode(bytes), result.info)).toEqual(result)
})
