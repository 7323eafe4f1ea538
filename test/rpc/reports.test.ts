/** Whole funnels and retentions over the wire: what arrives is what was answered. */
import { expect, it } from 'vitest'
import { systemClock } from '../../src/core/system.ts'
import { GetFunnelResponse, GetRetentionResponse } from '../../src/gen/millrace/v1/query.ts'
import {
  fromFunnelResponse,
  fromReportSelection,
  fromRetentionResponse,
  toFunnelResponse,
  toReportSelection,
  toRetentionResponse,
} from '../../src/rpc/report-messages.ts'
import { toSelection } from '../../src/rpc/selection-messages.ts'
import { someFunnel, someRetention } from '../support/fakes/reports.ts'

it('a funnel comes over whole, with rates that there are none of', () => {
  const bytes = GetFunnelResponse.encode(toFunnelResponse(someFunnel)).finish()
  const { info, dimensions } = someFunnel
  expect(fromFunnelResponse(GetFunnelResponse.decode(bytes), info, dimensions)).toEqual(someFunnel)
})

it('a retention does', () => {
  const bytes = GetRetentionResponse.encode(toRetentionResponse(someRetention)).finish()
  const { info, dimensions } = someRetention
  expect(fromRetentionResponse(GetRetentionResponse.decode(bytes), info, dimensions)).toEqual(someRetention)
})

it('a part of a report is no report', () => {
  const query = {
    ...{ job: 'j', metric: 'm', fromMs: 0, toMs: systemClock.nowMs(), filters: new Map(), groupBy: ['a'] },
    ...{ limit: 5, where: [] },
  }
  expect(fromReportSelection(toReportSelection(query))).toMatchObject({ ...query, groupBy: ['a'] })
  for (const part of [
    { latest: true },
    { latest: false, values: [{ relation: '>', than: 1 } as const] },
    { latest: false, top: { count: 1, ascending: false } },
  ]) {
    expect(() => fromReportSelection(toSelection({ ...query, ...part }))).toThrow(
      expect.objectContaining({ code: 'QUERY_INVALID' }),
    )
  }
})
