/**
 * The last checkpoint of a process that is told to end: the next one then repeats nothing, and what results are owed has
 * left. Best effort: without it the next one goes on from the checkpoint before.
 */
import { MillraceError } from '../core/errors.ts'
import type { JobPorts } from './job-ports.ts'
import type { JobRun } from './job-run.ts'

/** Resolves when the checkpoint is complete, has failed, or has taken `graceMs`. Never rejects. */
export async function lastCheckpoint(
  run: JobRun,
  { scheduler, log }: Pick<JobPorts, 'scheduler' | 'log'>,
  graceMs: number,
): Promise<void> {
  const job = run.spec.plan.jobName
  const late = Promise.withResolvers<string>()
  const cancel = scheduler.after(graceMs, () => late.resolve(`it has taken longer than ${graceMs} ms`))
  const made = run.finalCheckpoint().then(
    ({ id }) => {
      log('info', `job ${job} is left with checkpoint ${id}`, { job, checkpointId: id })
      return ''
    },
    (thrown: unknown) => MillraceError.from(thrown).message,
  )
  const why = await Promise.race([made, late.promise])
  cancel()
  if (why !== '') log('warn', `job ${job} is left without a last checkpoint: ${why}`, { job })
}
