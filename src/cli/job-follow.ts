/**
 * `describe --watch`: a job as it changes, until it ends or Ctrl-C.
 *
 * On a terminal one view is drawn anew; elsewhere each change is a line, or with `--output json` a JSON document. A slow
 * terminal gets the latest state, not every one in between: the server sees to that.
 */
import type * as wire from '../gen/millrace/v1/control.ts'
import type { MillraceClient } from '../rpc/client.ts'
import { fromCheckpoint, fromSummary } from '../rpc/control-messages.ts'
import { fromTimestamp } from '../rpc/instants.ts'
import { type ServerOptions, untilEnded, untilSignal, withClient } from './context.ts'
import type { CliDeps } from './deps.ts'
import { formatElapsed, formatNumber, formatTime, formatWatermark, printable } from './format.ts'
import { graphLines, headLines, updateJson } from './job-view.ts'
import { LiveView } from './live.ts'
import type { Output } from './output.ts'

/** Follows a job. JOB_NOT_FOUND. */
export function followJob(deps: CliDeps, options: ServerOptions, output: Output, name: string): Promise<void> {
  return untilSignal(deps, (signal) =>
    withClient(deps, options, (client) => {
      const view = output.live ? new LiveView(output.stdout, deps.clock, deps.scheduler) : null
      return follow(client, name, signal, {
        show: (update, graph) => {
          if (view !== null) view.draw(viewLines(deps, output, update, graph))
          else if (output.format === 'json') output.jsonLine(updateJson(update, graph))
          else output.line(changeLine(deps, update))
        },
        end: () => view?.end(),
      })
    }),
  )
}

interface View {
  show(update: wire.WatchJobResponse, graph: wire.JobGraph): void
  end(): void
}

function follow(client: MillraceClient, name: string, signal: AbortSignal, view: View): Promise<void> {
  let graph: wire.JobGraph = { operators: [], edges: [] }
  const onUpdate = (update: wire.WatchJobResponse): void => {
    graph = update.graph ?? graph
    view.show(update, graph)
  }
  return untilEnded(signal, (onEnd) => client.control.watch(name, { onUpdate, onEnd }), view.end)
}

function viewLines(deps: CliDeps, output: Output, update: wire.WatchJobResponse, graph: wire.JobGraph): string[] {
  const { job, lastException } = update
  if (job === undefined) return []
  const failure =
    lastException === undefined
      ? []
      : [
          `${output.style('dim', 'Last failure')} ${formatTime(fromTimestamp(lastException.time))} ` +
            `${lastException.code} ${printable(lastException.message)}`,
        ]
  return [
    ...headLines(output, fromSummary(job), deps.clock.nowMs()),
    `${output.style('dim', 'Progress'.padEnd(12))}${progressText(update)}`,
    `${output.style('dim', 'Checkpoint'.padEnd(12))}${checkpointText(update)}`,
    ...failure,
    '',
    ...graphLines(output, graph, update.subtasks),
    output.style('dim', 'Ctrl-C ends'),
  ]
}

/** One change in a line of columns with tabs: time, state, attempt, records read, progress, checkpoint, watermark. */
function changeLine(deps: CliDeps, update: wire.WatchJobResponse): string {
  const { job } = update
  if (job === undefined) return ''
  const { state, attempt, events, watermarkMs, reason } = fromSummary(job)
  return [
    formatTime(deps.clock.nowMs()),
    state,
    `attempt ${attempt}`,
    `${formatNumber(events.read)} read`,
    progressText(update),
    checkpointText(update),
    `watermark ${formatWatermark(watermarkMs)}`,
    ...(reason === '' ? [] : [printable(reason)]),
  ].join('\t')
}

function progressText({ progress }: wire.WatchJobResponse): string {
  const { pendingRecords = -1, readPerSecond = 0 } = progress ?? {}
  const rate = `${formatNumber(readPerSecond)} a second`
  if (pendingRecords < 0) return rate
  // Of what is read within a second nobody wants to know how long it takes.
  const slow = readPerSecond > 0 && pendingRecords > readPerSecond
  const left = slow ? `, ${formatElapsed((pendingRecords / readPerSecond) * 1000)}` : ''
  return `${rate}, ${formatNumber(pendingRecords)} to go${left}`
}

function checkpointText({ checkpoints }: wire.WatchJobResponse): string {
  const latest = checkpoints?.latest
  const failed = (checkpoints?.failed ?? 0) > 0 ? `, ${formatNumber(checkpoints?.failed ?? 0)} failed` : ''
  if (latest === undefined) return `none yet${failed}`
  const { id, durationMs } = fromCheckpoint(latest)
  return `${id} in ${formatElapsed(durationMs)}${failed}`
}
