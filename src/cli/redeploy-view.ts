/** The changes that a job has been through, as a table and as JSON. */
import type { JobRedeploy } from '../control/api.ts'
import { formatInstant } from '../core/instant.ts'
import { formatBytes, formatElapsed, formatTime, printable } from './format.ts'
import type { Output } from './output.ts'

/** How long nothing was given out: from the last checkpoint, or the disposal, to running again; -1 unknown. */
export function downMs({ barrierAtMs, stoppedAtMs, runningAtMs }: JobRedeploy): number {
  const from = barrierAtMs || stoppedAtMs
  return from === 0 || runningAtMs === 0 ? -1 : runningAtMs - from
}

/** A change for JSON. */
export function redeployJson(redeploy: JobRedeploy) {
  const { requestedAtMs, barrierAtMs, stoppedAtMs, runningAtMs, ...rest } = redeploy
  const time = (ms: number) => (ms === 0 ? null : formatInstant(ms))
  return {
    ...rest,
    requestTime: time(requestedAtMs),
    barrierTime: time(barrierAtMs),
    stopTime: time(stoppedAtMs),
    runTime: time(runningAtMs),
    downMs: downMs(redeploy),
  }
}

/** Writes the changes of a job, newest first. */
export function writeRedeploys(output: Output, redeploys: readonly JobRedeploy[]): void {
  output.table(
    [
      { title: 'REQUESTED' },
      { title: 'CHANGE' },
      { title: 'OUTCOME' },
      { title: 'CHECKPOINT', align: 'right' },
      { title: 'STATE', align: 'right' },
      { title: 'DOWN', align: 'right' },
      { title: 'DETAIL' },
    ],
    redeploys.map((redeploy) => [
      formatTime(redeploy.requestedAtMs),
      printable(redeploy.reason),
      redeploy.outcome,
      redeploy.checkpointId === 0 ? '-' : String(redeploy.checkpointId),
      redeploy.stateBytes === 0 ? '-' : formatBytes(redeploy.stateBytes),
      downMs(redeploy) < 0 ? '-' : formatElapsed(downMs(redeploy)),
      printable(redeploy.detail),
    ]),
    '',
  )
}
