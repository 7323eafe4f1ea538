/**
 * A job on its server, as the controller sees it and moves it.
 *
 * Owns: which calls an action is, and what of the answers is looked at. Does not own: which action (reconcile.ts). Each may be
 * repeated: one that was carried out before, and of which nobody heard, does nothing or comes to the same.
 */
import { MillraceError } from '../core/errors.ts'
import type * as wire from '../gen/millrace/v1/control.ts'
import { pendingRecords } from '../observe/readiness.ts'
import type { RemoteControl } from '../rpc/client.ts'
import type { Action } from './reconcile.ts'
import { definitionText, lastSavepoint, type MillraceJob, savepointBeforeChange, savepointMark } from './resource.ts'
import { absentJob, type ObservedJob } from './status.ts'

/** The calls that are made. */
export type JobServer = Pick<
  RemoteControl,
  | 'describe'
  | 'list'
  | 'submit'
  | 'upgrade'
  | 'stop'
  | 'cancel'
  | 'triggerSavepoint'
  | 'listSavepoints'
  | 'listCheckpoints'
>

/** What the server has under a name. Rejects as its calls do, but for JOB_NOT_FOUND. */
export async function observeJob(server: JobServer, resource: MillraceJob): Promise<ObservedJob> {
  const { name } = resource.metadata
  const summary = (await server.list()).find((job) => job.name === name)
  if (summary === undefined) return absentJob
  const [details, savepoints] = await Promise.all([server.describe(name), server.listSavepoints(name)])
  const own = savepoints.filter((one) => one.name.startsWith(savepointMark(resource)) && one.problem === '')
  const { latest } = details.checkpoints ?? {}
  return {
    state: summary.state,
    reason: summary.reason,
    attempt: summary.attempt,
    restarts: summary.restarts,
    pendingRecords: lagOf(details),
    checkpoint: latest === undefined ? null : { id: latest.id, completedAtMs: latest.createTime?.getTime() ?? 0 },
    failedCheckpoints: details.checkpoints?.failed ?? 0,
    definition: details.definitionYaml,
    savepoint: own[0]?.name ?? '',
  }
}

/** Whether the savepoint that a job is to end with is there, or a job at rest has nothing to save. */
export async function isSaved(server: JobServer, resource: MillraceJob, job: ObservedJob): Promise<boolean> {
  // Nothing is saved for the resource after that.
  if (job.savepoint === lastSavepoint(resource)) return true
  return job.state === 'SUSPENDED' && (await server.listCheckpoints(resource.metadata.name)).length === 0
}

/** Carries an action out. Rejects with what the server says. */
export async function act(server: JobServer, resource: MillraceJob, action: Action, job: ObservedJob): Promise<void> {
  const { name } = resource.metadata
  const dropState = resource.spec.dropState ?? []
  switch (action) {
    case 'submit':
      await server.submit(documentOf(resource), { savepoint: '', claim: false, dropState })
      return
    case 'upgrade': {
      const document = documentOf(resource)
      const { refusal } = await server.upgrade(document, { dropState, dryRun: true })
      if (refusal !== '') throw new MillraceError('STATE_INCOMPATIBLE', `${refusal} (spec.dropState)`)
      // Of what does not run nothing new can be saved: its checkpoints are what there is.
      if (job.state === 'RUNNING') await save(server, name, savepointBeforeChange(resource))
      await server.upgrade(document, { dropState, dryRun: false })
      return
    }
    case 'stop':
      await server.stop(name)
      return
    case 'stopWithSavepoint':
      await server.stop(name, { savepoint: lastSavepoint(resource), drain: false })
      return
    case 'save':
      await save(server, name, lastSavepoint(resource))
      return
    case 'cancel':
      await server.cancel(name)
      return
    case 'none':
    case 'wait':
    case 'release':
      return
  }
}

/** Makes a savepoint, unless an earlier try has. */
async function save(server: JobServer, name: string, savepoint: string): Promise<void> {
  try {
    await server.triggerSavepoint(name, savepoint)
  } catch (thrown) {
    if (MillraceError.from(thrown).code !== 'SAVEPOINT_EXISTS') throw thrown
  }
}

function documentOf(resource: MillraceJob): { readonly kind: 'text'; readonly text: string } {
  return { kind: 'text', text: definitionText(resource) }
}

function lagOf({ graph, subtasks }: wire.DescribeJobResponse): number {
  return pendingRecords({
    graph: { operators: graph?.operators ?? [] },
    subtasks: subtasks.map((stats) => ({ stats })),
  })
}
