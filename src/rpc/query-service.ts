/**
 * QueryService over a QueryApi.
 *
 * Owns: how calls become questions, and the life of a watch: it ends with the call, whoever ends that.
 */
import type { ServerWritableStream } from '@grpc/grpc-js'
import { MillraceError } from '../core/errors.ts'
import type { EpisodeApi } from '../detection/api.ts'
import type { QueryServiceServer, WatchMetricRequest, WatchMetricResponse } from '../gen/millrace/v1/query.ts'
import { maxQueryLimit, type QueryApi } from '../query/api.ts'
import type { MetricResult, MetricValue } from '../query/metric-info.ts'
import { valueKey } from '../query/render.ts'
import { createEpisodeHandlers } from './episode-handlers.ts'
import { toCallError } from './errors.ts'
import { toKeyResponse } from './key-messages.ts'
import { LatestWriter } from './latest-writer.ts'
import { fromLifetimeRequest, toLifetimeResponse } from './lifetime-messages.ts'
import { toDescription, toValues } from './query-messages.ts'
import { fromReportSelection, toFunnelResponse, toRetentionResponse } from './report-messages.ts'
import { fromLookup, fromSelection } from './selection-messages.ts'
import { unary } from './unary.ts'

/** Values in one message of a watch: some 100 KB, far below what clients take. */
const watchBatchMax = 1000

/** Most watches at a time on one server. */
const watchesMax = 1000

/** The handlers of QueryService, and how many watches are open. */
export function createQueryHandlers(
  query: QueryApi,
  episodes: EpisodeApi,
): { readonly handlers: QueryServiceServer; watches(): number } {
  let watches = 0
  const open = (): (() => void) => {
    if (watches >= watchesMax) {
      const message = `the server follows ${watchesMax} watches already; end some, or try again later`
      throw new MillraceError('UNAVAILABLE', message)
    }
    watches++
    return () => {
      watches--
    }
  }
  const handlers: QueryServiceServer = {
    listMetrics: unary(async (request) => ({ metrics: (await query.listMetrics(request.job)).map(toDescription) })),
    queryMetric: unary(async (request) => {
      const result = await query.query(fromSelection(request.selection))
      return { metric: toDescription(result.info), values: toValues(result), truncated: result.truncated }
    }),
    getFunnel: unary(async ({ selection }) => toFunnelResponse(await query.funnel(fromReportSelection(selection)))),
    getRetention: unary(async ({ selection }) =>
      toRetentionResponse(await query.retention(fromReportSelection(selection))),
    ),
    predictLifetimeValue: unary(async (request) =>
      toLifetimeResponse(await query.lifetime(fromLifetimeRequest(request))),
    ),
    lookupKey: unary(async (request) => toKeyResponse(await query.lookupKey(fromLookup(request)))),
    watchMetric: (call) => {
      try {
        serveWatch(query, call, open())
      } catch (thrown) {
        call.emit('error', toCallError(thrown))
      }
    },
    ...createEpisodeHandlers(episodes, open),
  }
  return { handlers, watches: () => watches }
}

function serveWatch(
  query: QueryApi,
  call: ServerWritableStream<WatchMetricRequest, WatchMetricResponse>,
  released: () => void,
): void {
  let cancel = () => {}
  let open = true
  let shape: MetricResult | null = null
  const writer = new LatestWriter<MetricValue, WatchMetricResponse>(call, {
    // Within one answer a window's end tells cumulating windows apart; a session that grows is told in order.
    keyOf: (value) => valueKey(value, { kind: 'cumulate' }),
    messageOf: (values) => ({ values: shape === null ? [] : toValues(shape, values), metric: undefined, waiting: '' }),
    batchMax: watchBatchMax,
    keysMax: maxQueryLimit,
  })
  const release = () => {
    if (!open) return
    open = false
    cancel()
    writer.close()
    released()
  }
  const fail = (thrown: unknown) => {
    if (!open) return
    release()
    call.emit('error', toCallError(thrown))
  }
  call.on('cancelled', release)
  call.on('close', release)
  call.on('error', release)
  try {
    const selection = fromSelection(call.request.selection)
    const stop = query.watch(
      selection,
      {
        onValues: (result) => {
          if (!open) return
          if (shape === null) writer.send({ values: [], metric: toDescription(result.info), waiting: '' })
          shape = result
          try {
            writer.offer(result.values)
          } catch (thrown) {
            fail(thrown)
          }
        },
        onWaiting: (why) => {
          if (open) writer.notify({ values: [], metric: undefined, waiting: why ?? '' })
        },
        onEnd: (error) => {
          if (error !== null) fail(error)
          else writer.finish(() => call.end())
        },
      },
      { changesOnly: call.request.changesOnly },
    )
    cancel = stop
    if (!open) stop()
  } catch (thrown) {
    fail(thrown)
  }
}
