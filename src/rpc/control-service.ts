/** ControlService over a ControlApi: calls in, answers out, failures as statuses. */
import type { ControlApi } from '../control/api.ts'
import { MillraceError } from '../core/errors.ts'
import type { ControlServiceServer } from '../gen/millrace/v1/control.ts'
import { toCheckpoint, toDetails, toGraph, toSummary } from './control-messages.ts'
import { toJobDocument } from './job-document.ts'
import { unary } from './unary.ts'

/** The handlers of ControlService. */
export function createControlHandlers(control: ControlApi): ControlServiceServer {
  return {
    validateJob: unary(async (request) => {
      const result = await control.validate(toJobDocument(request.job))
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
    submitJob: unary(async (request) => ({ job: toSummary(await control.submit(toJobDocument(request.job))) })),
    listJobs: unary(async () => ({ jobs: (await control.list()).map(toSummary) })),
    describeJob: unary(async (request) => toDetails(await control.describe(named(request.name)))),
    cancelJob: unary(async (request) => ({ job: toSummary(await control.cancel(named(request.name))) })),
    stopJob: unary(async (request) => {
      const { summary, checkpointId } = await control.stop(named(request.name))
      return { job: toSummary(summary), checkpointId }
    }),
    triggerCheckpoint: unary(async (request) => ({
      checkpoint: toCheckpoint(await control.triggerCheckpoint(named(request.name))),
    })),
    listCheckpoints: unary(async (request) => ({
      checkpoints: (await control.listCheckpoints(named(request.name))).map(toCheckpoint),
    })),
  }
}

function named(name: string): string {
  if (name === '') throw new MillraceError('INPUT_INVALID', 'the request names no job: set `name`')
  return name
}
