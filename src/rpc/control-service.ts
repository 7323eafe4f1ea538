/** ControlService over a ControlApi: calls in, answers out, failures as statuses. */
import type { ServerWritableStream } from '@grpc/grpc-js'
import type { ControlApi, JobUpdate } from '../control/api.ts'
import { watchJob } from '../control/job-watch.ts'
import type { Clock, Scheduler } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import type { ControlServiceServer, WatchJobRequest, WatchJobResponse } from '../gen/millrace/v1/control.ts'
import { toCheckpoint, toDetails, toGraph, toRedeploy, toSummary, toUpdate } from './control-messages.ts'
import { toCallError } from './errors.ts'
import { toJobDocument } from './job-document.ts'
import { LatestWriter } from './latest-writer.ts'
import { toJobStart, toSavepoint, toStopOptions } from './savepoint-messages.ts'
import { toTarget, toTransaction } from './transaction-messages.ts'
import { unary } from './unary.ts'

/** Most jobs followed at a time on one server. */
const watchesMax = 1000

/** The handlers of ControlService. Watches look at the pace of `scheduler`. */
export function createControlHandlers(control: ControlApi, clock: Clock, scheduler: Scheduler): ControlServiceServer {
  let watches = 0
  return {
    watchJob: (call) => {
      if (watches >= watchesMax) {
        const message = `the server follows ${watchesMax} jobs already; end some watches, or try again later`
        call.emit('error', toCallError(new MillraceError('UNAVAILABLE', message)))
        return
      }
      watches++
      serveWatch(control, clock, scheduler, call, () => {
        watches--
      })
    },
    validateJob: unary(async (request) => {
      const result = await control.validate(toJobDocument(request))
      return {
        valid: result.valid,
        violations: result.violations.map(({ field, message, line, column }) => ({
          field,
          description: message,
          line,
          column,
        })),
        name: result.name,
        graph: result.graph === null ? undefined : toGraph(result.graph),
      }
    }),
    submitJob: unary(async (request) => ({
      job: toSummary(await control.submit(toJobDocument(request), toJobStart(request.startFrom))),
    })),
    listJobs: unary(async () => ({ jobs: (await control.list()).map(toSummary) })),
    describeJob: unary(async (request) => toDetails(await control.describe(named(request.name)))),
    cancelJob: unary(async (request) => ({ job: toSummary(await control.cancel(named(request.name))) })),
    stopJob: unary(async (request) => {
      const { summary, checkpointId, savepoint } = await control.stop(named(request.name), toStopOptions(request))
      return {
        job: toSummary(summary),
        checkpointId,
        savepoint: savepoint === null ? undefined : toSavepoint(savepoint),
      }
    }),
    rescaleJob: unary(async (request) => {
      const { summary, redeploy } = await control.rescale(named(request.name), request.parallelism)
      return { job: toSummary(summary), redeploy: redeploy === null ? undefined : toRedeploy(redeploy) }
    }),
    upgradeJob: unary(async (request) => {
      const { name, dropState, dryRun } = request
      const upgrade = await control.upgrade(toJobDocument(request), { name, dropState, dryRun })
      return {
        job: toSummary(upgrade.summary),
        changes: [...upgrade.changes],
        refusal: upgrade.refusal,
        redeploy: upgrade.redeploy === null ? undefined : toRedeploy(upgrade.redeploy),
      }
    }),
    triggerCheckpoint: unary(async (request) => ({
      checkpoint: toCheckpoint(await control.triggerCheckpoint(named(request.name))),
    })),
    listCheckpoints: unary(async (request) => ({
      checkpoints: (await control.listCheckpoints(named(request.name))).map(toCheckpoint),
    })),
    listTransactions: unary(async ({ name, idle }) => {
      const { transactions, unasked } = await control.listTransactions(name, idle)
      return { transactions: transactions.map(toTransaction), unasked: [...unasked] }
    }),
    endTransaction: unary(async (request) => {
      const { job: name, partitions, ...ended } = await control.endTransaction(toTarget(request), request.force)
      return { ...ended, name, partitions: [...partitions] }
    }),
    triggerSavepoint: unary(async (request) => ({
      savepoint: toSavepoint(await control.triggerSavepoint(named(request.name), request.savepoint)),
    })),
    listSavepoints: unary(async (request) => ({
      savepoints: (await control.listSavepoints(request.name)).map(toSavepoint),
    })),
    deleteSavepoint: unary(async (request) => {
      await control.deleteSavepoint(named(request.name), request.savepoint)
      return {}
    }),
  }
}

function serveWatch(
  control: ControlApi,
  clock: Clock,
  scheduler: Scheduler,
  call: ServerWritableStream<WatchJobRequest, WatchJobResponse>,
  released: () => void,
): void {
  let cancel = () => {}
  let open = true
  let graph = ''
  // One key: whoever reads slowly finds the job as it is, not as it was.
  const writer = new LatestWriter<JobUpdate, WatchJobResponse>(call, {
    keyOf: () => 'job',
    messageOf: ([update]) => {
      const text = JSON.stringify(update!.graph)
      const changed = text !== graph
      graph = text
      return toUpdate(update!, changed)
    },
    batchMax: 1,
    keysMax: 1,
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
    cancel = watchJob(control, clock, scheduler, named(call.request.name), {
      onUpdate: (update) => writer.offer([update]),
      onEnd: (error) => {
        if (error !== null) fail(error)
        else writer.finish(() => call.end())
      },
    })
  } catch (thrown) {
    fail(thrown)
  }
}

function named(name: string): string {
  if (name === '') throw new MillraceError('INPUT_INVALID', 'the request names no job: set `name`')
  return name
}
