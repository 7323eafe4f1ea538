/** Changes of running jobs as tables and as JSON: what becomes of state, and how long a job was down. */
import type { JobRedeploy, JobStateChange, JobSummary, JobUpgrade } from '../control/api.ts'
import { formatBytes, formatElapsed, printable } from './format.ts'
import { jobJson, stateText } from './job-view.ts'
import type { Output } from './output.ts'
import { downMs, redeployJson } from './redeploy-view.ts'

const colours = { kept: 'dim', migrated: 'yellow', new: 'green', dropped: 'red', incompatible: 'red' } as const

/** Writes what would become of a job's state. */
export function writeChanges(output: Output, { summary, changes, refusal }: JobUpgrade): void {
  if (output.format === 'json') {
    output.json({ job: jobJson(summary), changes, refusal })
    return
  }
  output.table(
    [{ title: 'STATE' }, { title: 'WHAT' }, { title: 'NAME' }, { title: 'WITHIN' }, { title: 'DETAIL' }],
    changes.map(({ change, kind, name, within, detail }) => [
      output.style(colours[change], change),
      kind,
      printable(name),
      printable(within),
      printable(detail),
    ]),
    'no state',
  )
}

/** Writes how a change of a job went. */
export function writeRedeployed(
  output: Output,
  job: JobSummary,
  redeploy: JobRedeploy | null,
  changes?: readonly JobStateChange[],
): void {
  if (output.format === 'json') {
    const changed = changes === undefined ? {} : { changes }
    output.json({ job: jobJson(job), ...changed, redeploy: redeploy === null ? null : redeployJson(redeploy) })
    return
  }
  if (redeploy === null) {
    output.line(`job ${job.name} is so already: ${stateText(output, job.state)}, parallelism ${job.parallelism}`)
    return
  }
  const { outcome, reason, detail } = redeploy
  const note = detail === '' ? '' : ` (${printable(detail)})`
  if (outcome === 'done') {
    const down = downMs(redeploy)
    const size = redeploy.stateBytes === 0 ? '' : `, ${formatBytes(redeploy.stateBytes)} of state`
    output.line(`job ${job.name} ${reason}: down ${down < 0 ? '-' : formatElapsed(down)}${size}${note}`)
  } else if (outcome === 'pending') {
    output.line(`job ${job.name} is ${stateText(output, job.state)}: it goes on so when it is submitted (${reason})`)
  } else output.line(`job ${job.name} is ${stateText(output, job.state)}, the change ${outcome}${note}`)
}
