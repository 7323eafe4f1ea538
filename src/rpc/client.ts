/**
 * A client of a Millrace server: the same ControlApi, QueryApi and EpisodeApi, over gRPC.
 *
 * Owns: one channel, deadlines, and turning failed calls back into MillraceErrors. Nothing connects before the first
 * call. A description of a job stays a message: it has no use as domain values on this side.
 */
import { Metadata } from '@grpc/grpc-js'
import type { ControlApi, JobRedeploy, JobSummary } from '../control/api.ts'
import type { TransactionOutcome } from '../control/transactions.ts'
import type { Clock } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import type { EpisodeApi } from '../detection/api.ts'
import * as wire from '../gen/millrace/v1/control.ts'
import * as queryWire from '../gen/millrace/v1/query.ts'
import type {
  EndTransactionRequest,
  EndTransactionResponse,
  ListTransactionsRequest,
  ListTransactionsResponse,
} from '../gen/millrace/v1/transaction.ts'
import { isPersonKind, ownDimensions } from '../job/person-definition.ts'
import type { QueryApi } from '../query/api.ts'
import type { MetricInfo, MetricResult } from '../query/metric-info.ts'
import { type Call, type Caller, follow } from './calls.ts'
import { type ClientTls, channelOf } from './channel.ts'
import { fromCheckpoint, fromGraph, fromRedeploy, fromStateChange, fromSummary } from './control-messages.ts'
import { remoteEpisodes } from './episode-client.ts'
import { fromServiceError } from './errors.ts'
import { fromJobDocument } from './job-document.ts'
import { fromKeyResponse } from './key-messages.ts'
import { fromLifetimeResponse, toLifetimeRequest } from './lifetime-messages.ts'
import { fromDescription, fromValue } from './query-messages.ts'
import { fromFunnelResponse, fromRetentionResponse, toReportSelection } from './report-messages.ts'
import { fromJobStart, fromSavepoint } from './savepoint-messages.ts'
import { toLookup, toSelection } from './selection-messages.ts'
import { fromTarget, fromTransaction } from './transaction-messages.ts'

/** The ControlApi as a client has it. */
export type RemoteControl = Omit<ControlApi, 'describe'> & {
  /** JOB_NOT_FOUND. */
  describe(name: string): Promise<wire.DescribeJobResponse>
  /** Follows a job; the function that it returns ends that, silently. `onEnd` gets null once the job has ended. */
  watch(name: string, watcher: RemoteJobWatcher): () => void
}

/** Where a client's watch of a job delivers. */
export interface RemoteJobWatcher {
  /** The job as it is; the first update has its graph, later ones only when it has changed. */
  readonly onUpdate: (update: wire.WatchJobResponse) => void
  /** Called once, last. */
  readonly onEnd: (error: MillraceError | null) => void
}

/** A connection to a server. */
export interface MillraceClient {
  readonly address: string
  readonly control: RemoteControl
  readonly query: QueryApi
  readonly episodes: EpisodeApi
  /** Ends all calls and the channel. */
  close(): void
}

/** How a client connects. */
export interface ClientOptions {
  /** `host:port`. */
  readonly address: string
  readonly clock: Clock
  /** Deadline of every call but watches. */
  readonly timeoutMs?: number
  /** TLS unless absent. CONFIG_INVALID when the key pair is none. */
  readonly tls?: ClientTls
  /** Bearer token sent with every call. */
  readonly token?: string
}

/** Makes a client. */
export function createClient(options: ClientOptions): MillraceClient {
  const { address } = options
  const timeoutMs = options.timeoutMs ?? 30_000
  const { credentials, channelOptions } = channelOf(address, options.tls, options.token)
  const control = new wire.ControlServiceClient(address, credentials, channelOptions)
  const queries = new queryWire.QueryServiceClient(address, credentials, channelOptions)
  const call = <Q, S>(method: Call<Q, S>, request: Q): Promise<S> =>
    new Promise((resolve, reject) => {
      const deadline = options.clock.nowMs() + timeoutMs
      method(request, new Metadata(), { deadline }, (error, response) => {
        if (error === null) resolve(response)
        else reject(fromServiceError(error, address))
      })
    })
  return {
    address,
    control: remoteControl(control, call, address),
    query: remoteQuery(queries, call, address),
    episodes: remoteEpisodes(queries, call, address),
    close: () => {
      control.close()
      queries.close()
    },
  }
}

function remoteControl(client: wire.ControlServiceClient, call: Caller, address: string): RemoteControl {
  return {
    validate: async (job) => {
      const response = await call<wire.ValidateJobRequest, wire.ValidateJobResponse>(
        client.validateJob.bind(client),
        fromJobDocument(job),
      )
      return {
        valid: response.valid,
        violations: response.violations.map(({ description, ...place }) => ({ ...place, message: description })),
        name: response.name,
        graph: response.graph === undefined ? null : fromGraph(response.graph),
      }
    },
    submit: async (job, start = null) => {
      const response = await call<wire.SubmitJobRequest, wire.SubmitJobResponse>(client.submitJob.bind(client), {
        ...fromJobDocument(job),
        startFrom: fromJobStart(start),
      })
      return summaryOf(response.job)
    },
    rescale: async (name, parallelism) => {
      const response = await call<wire.RescaleJobRequest, wire.RescaleJobResponse>(client.rescaleJob.bind(client), {
        name,
        parallelism,
      })
      return { summary: summaryOf(response.job), redeploy: redeployOf(response.redeploy) }
    },
    upgrade: async (job, { name = '', dropState, dryRun }) => {
      const response = await call<wire.UpgradeJobRequest, wire.UpgradeJobResponse>(client.upgradeJob.bind(client), {
        ...fromJobDocument(job),
        ...{ name, dropState: [...dropState], dryRun },
      })
      return {
        summary: summaryOf(response.job),
        changes: response.changes.map(fromStateChange),
        refusal: response.refusal,
        redeploy: redeployOf(response.redeploy),
      }
    },
    list: async () => {
      const response = await call<wire.ListJobsRequest, wire.ListJobsResponse>(client.listJobs.bind(client), {})
      return response.jobs.map(fromSummary)
    },
    describe: (name) =>
      call<wire.DescribeJobRequest, wire.DescribeJobResponse>(client.describeJob.bind(client), { name }),
    watch: (name, watcher) => follow(client.watchJob({ name }), address, watcher.onUpdate, watcher.onEnd),
    cancel: async (name) => {
      const response = await call<wire.CancelJobRequest, wire.CancelJobResponse>(client.cancelJob.bind(client), {
        name,
      })
      return summaryOf(response.job)
    },
    stop: async (name, { savepoint = null, drain = false } = { savepoint: null, drain: false }) => {
      const response = await call<wire.StopJobRequest, wire.StopJobResponse>(client.stopJob.bind(client), {
        ...{ name, savepoint: savepoint !== null, savepointName: savepoint ?? '', drain },
      })
      return {
        summary: summaryOf(response.job),
        checkpointId: response.checkpointId,
        savepoint: response.savepoint === undefined ? null : fromSavepoint(response.savepoint),
      }
    },
    triggerCheckpoint: async (name) => {
      const response = await call<wire.TriggerCheckpointRequest, wire.TriggerCheckpointResponse>(
        client.triggerCheckpoint.bind(client),
        { name },
      )
      return fromCheckpoint(present(response.checkpoint, 'checkpoint'))
    },
    listCheckpoints: async (name) => {
      const response = await call<wire.ListCheckpointsRequest, wire.ListCheckpointsResponse>(
        client.listCheckpoints.bind(client),
        { name },
      )
      return response.checkpoints.map(fromCheckpoint)
    },
    listTransactions: async (job, idle) => {
      const response = await call<ListTransactionsRequest, ListTransactionsResponse>(
        client.listTransactions.bind(client),
        { name: job, idle },
      )
      return { transactions: response.transactions.map(fromTransaction), unasked: response.unasked }
    },
    endTransaction: async (target, force) => {
      const response = await call<EndTransactionRequest, EndTransactionResponse>(
        client.endTransaction.bind(client),
        fromTarget(target, force),
      )
      const { outcome, name: job, ...which } = response
      return { ...which, outcome: outcome as TransactionOutcome, job }
    },
    triggerSavepoint: async (name, savepoint) => {
      const response = await call<wire.TriggerSavepointRequest, wire.TriggerSavepointResponse>(
        client.triggerSavepoint.bind(client),
        { name, savepoint },
      )
      return fromSavepoint(present(response.savepoint, 'savepoint'))
    },
    listSavepoints: async (name) => {
      const response = await call<wire.ListSavepointsRequest, wire.ListSavepointsResponse>(
        client.listSavepoints.bind(client),
        { name },
      )
      return response.savepoints.map(fromSavepoint)
    },
    deleteSavepoint: async (name, savepoint) => {
      await call<wire.DeleteSavepointRequest, wire.DeleteSavepointResponse>(client.deleteSavepoint.bind(client), {
        name,
        savepoint,
      })
    },
  }
}

function redeployOf(redeploy: wire.JobRedeploy | undefined): JobRedeploy | null {
  return redeploy === undefined ? null : fromRedeploy(redeploy)
}

function summaryOf(job: wire.JobSummary | undefined): JobSummary {
  return fromSummary(present(job, 'job'))
}

function present<T>(value: T | undefined, field: string): T {
  if (value === undefined) throw new MillraceError('INTERNAL', `the server's answer lacks \`${field}\``)
  return value
}

function remoteQuery(client: queryWire.QueryServiceClient, call: Caller, address: string): QueryApi {
  return {
    listMetrics: async (job) => {
      const response = await call<queryWire.ListMetricsRequest, queryWire.ListMetricsResponse>(
        client.listMetrics.bind(client),
        { job },
      )
      return response.metrics.map(fromDescription)
    },
    query: async (query) => {
      const response = await call<queryWire.QueryMetricRequest, queryWire.QueryMetricResponse>(
        client.queryMetric.bind(client),
        { selection: toSelection(query) },
      )
      const info = fromDescription(present(response.metric, 'metric'))
      return {
        info,
        dimensions: query.groupBy ?? info.dimensions,
        values: response.values.map(fromValue),
        truncated: response.truncated,
      }
    },
    funnel: async (query) => {
      const response = await call<queryWire.GetFunnelRequest, queryWire.GetFunnelResponse>(
        client.getFunnel.bind(client),
        { selection: toReportSelection(query) },
      )
      const info = fromDescription(present(response.metric, 'metric'))
      return fromFunnelResponse(response, info, query.groupBy ?? othersOf(info))
    },
    retention: async (query) => {
      const response = await call<queryWire.GetRetentionRequest, queryWire.GetRetentionResponse>(
        client.getRetention.bind(client),
        { selection: toReportSelection(query) },
      )
      const info = fromDescription(present(response.metric, 'metric'))
      return fromRetentionResponse(response, info, query.groupBy ?? othersOf(info))
    },
    lifetime: async (query) => {
      const response = await call<queryWire.PredictLifetimeValueRequest, queryWire.PredictLifetimeValueResponse>(
        client.predictLifetimeValue.bind(client),
        toLifetimeRequest(query),
      )
      return fromLifetimeResponse(response, fromDescription(present(response.metric, 'metric')))
    },
    lookupKey: async (query) => {
      const response = await call<queryWire.LookupKeyRequest, queryWire.LookupKeyResponse>(
        client.lookupKey.bind(client),
        toLookup(query),
      )
      return fromKeyResponse(response)
    },
    watch: (query, watcher, options) => {
      const stream = client.watchMetric({
        selection: toSelection(query),
        changesOnly: options?.changesOnly ?? false,
      })
      let info: MetricInfo | null = null
      let waiting = false
      const onResponse = (response: queryWire.WatchMetricResponse) => {
        if (response.metric !== undefined) info = fromDescription(response.metric)
        const changed = waiting || response.waiting !== ''
        waiting = response.waiting !== ''
        if (changed) watcher.onWaiting?.(waiting ? response.waiting : null)
        // What only tells of waiting has no values.
        if (info === null || (changed && response.values.length === 0 && response.metric === undefined)) return
        const result: MetricResult = {
          info,
          dimensions: query.groupBy ?? info.dimensions,
          values: response.values.map(fromValue),
          truncated: false,
        }
        watcher.onValues(result)
      }
      return follow(stream, address, onResponse, watcher.onEnd)
    },
  }
}

/** The dimensions of a metric about persons without the one that it makes itself. */
function othersOf({ kind, dimensions }: MetricInfo): readonly string[] {
  return isPersonKind(kind) ? dimensions.filter((name) => !ownDimensions(kind).includes(name)) : dimensions
}
