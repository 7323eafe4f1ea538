/**
 * Keeps jobs on a server as MillraceJobs declare them.
 *
 * Owns: looking at a resource and its job, doing the one thing that the table says, telling it in the status, the finalizer.
 * Does not own: which thing (reconcile.ts), calls to the server (job-actions.ts), the API server's protocol (api-server.ts).
 *
 * Every look starts from what is there now; nothing that a look needs is remembered between two of them, so the controller
 * may end at any point, and miss or repeat any event. One controller a namespace: two would do the same twice, which is
 * harmless but for savepoints and noise.
 */
import type { CoordinatorLog } from '../coordinator/log.ts'
import type { Clock, Scheduler } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import { act, isSaved, type JobServer, observeJob } from './job-actions.ts'
import { type Action, reconcile, type Wish, wishOf } from './reconcile.ts'
import { definitionText, finalizer, isSameDefinition, type MillraceJob, type MillraceJobStatus } from './resource.ts'
import { absentJob, isSameStatus, type Look, type ObservedJob, statusOf } from './status.ts'
import { WorkQueue, type WorkResult } from './work-queue.ts'

/** The resources of one namespace. Rejects with MillraceError; UNAVAILABLE where trying again may help. */
export interface ResourceStore {
  /** As it is now; undefined when there is none. */
  read(name: string): Promise<MillraceJob | undefined>
  /** Writes metadata and spec. CONFLICT is UNAVAILABLE: somebody else was faster. */
  replace(job: MillraceJob): Promise<void>
  /** Writes the status alone. */
  replaceStatus(job: MillraceJob): Promise<void>
  /** Calls back with the name of each resource that is there, and of each that has changed, until it is told to end. */
  follow(changed: (name: string) => void): () => void
}

/** What a controller is made of. */
export interface ControllerOptions {
  readonly resources: ResourceStore
  readonly server: JobServer
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly log: CoordinatorLog
  /** How often a job is looked at that has not changed, for its status. */
  readonly lookEveryMs?: number
  /** How long the first failure waits; each after it twice as long. */
  readonly retryMs?: number
}

/** How often a job is looked at that is on the way somewhere. */
const ON_THE_WAY_MS = 1000

/** Starts; the answer ends it, and resolves once nothing is under way. */
export function startController(options: ControllerOptions): () => Promise<void> {
  const { resources, scheduler, lookEveryMs = 10_000, retryMs = 1000, log } = options
  const queue = new WorkQueue(
    scheduler,
    async (name): Promise<WorkResult> => {
      try {
        const action = await lookAt(options, name)
        if (action === null) return { againAfterMs: null }
        return { againAfterMs: action === 'none' ? lookEveryMs : Math.min(lookEveryMs, ON_THE_WAY_MS) }
      } catch (thrown) {
        const { code, message } = MillraceError.from(thrown)
        log('warn', `MillraceJob ${name}: ${message}`, { job: name, code })
        throw thrown
      }
    },
    retryMs,
  )
  const unfollow = resources.follow((name) => queue.add(name))
  return () => {
    unfollow()
    return queue.close()
  }
}

/** One look at a resource; what was done, null when it is gone. Rejects when it is to be looked at again after a pause. */
async function lookAt(options: ControllerOptions, name: string): Promise<Action | null> {
  const { resources, log } = options
  const resource = await resources.read(name)
  if (resource === undefined) return null
  const finalizers = resource.metadata.finalizers ?? []
  const deleted = resource.metadata.deletionTimestamp !== undefined
  if (!finalizers.includes(finalizer)) {
    if (deleted) return null
    // Before anything is done that would have to be undone.
    await resources.replace({ ...resource, metadata: { ...resource.metadata, finalizers: [...finalizers, finalizer] } })
    return 'wait'
  }
  const { action, look, failure } = await move(options, resource)
  if (action === 'release' && failure === null) {
    const others = finalizers.filter((one) => one !== finalizer)
    await resources.replace({ ...resource, metadata: { ...resource.metadata, finalizers: others } })
    log('info', `MillraceJob ${name} is let go; its job is ${look.job.state}`, { job: name })
    return null
  }
  await tell(options, resource, look)
  if (failure !== null) throw failure
  return action
}

interface Moved {
  readonly action: Action
  readonly look: Look
  readonly failure: MillraceError | null
}

/** Looks at the job, does one thing about it, and looks again. Never rejects. */
async function move({ server, log }: ControllerOptions, resource: MillraceJob): Promise<Moved> {
  const { name } = resource.metadata
  let look: Look = { job: absentJob, unreachable: null, refused: null, wish: null, given: false }
  // What is to be left alone is let go although nobody answers.
  if (isOrphaned(resource)) return { action: 'release', look, failure: null }
  let wish: Wish
  try {
    look = { ...look, job: await observeJob(server, resource) }
    wish = await wishFor(server, resource, look.job)
  } catch (thrown) {
    const failure = MillraceError.from(thrown)
    // That says something of the definition; all else, that the server cannot be asked.
    const told = failure.code === 'JOB_INVALID' ? { refused: failure } : { unreachable: failure }
    return { action: 'wait', look: { ...look, ...told }, failure }
  }
  const { job } = look
  const action = reconcile(wish, job.state)
  const again = wish === 'runAgain' && action !== 'submit' && job.state !== 'FAILING'
  look = { ...look, wish, given: wish === 'run' || again || (wish === 'suspend' && action === 'none') }
  if (action === 'none' || action === 'wait' || action === 'release') return { action, look, failure: null }
  log('info', `MillraceJob ${name}: ${action}, as its job is ${job.state}`, { job: name, wish })
  try {
    await act(server, resource, action, job)
    const given = action === 'submit' || action === 'upgrade'
    return { action, look: { ...look, given, job: await observeJob(server, resource) }, failure: null }
  } catch (thrown) {
    const failure = MillraceError.from(thrown)
    return { action, look: { ...look, given: false, refused: failure }, failure }
  }
}

function isOrphaned({ metadata, spec }: MillraceJob): boolean {
  return metadata.deletionTimestamp !== undefined && spec.onDelete === 'orphan'
}

async function wishFor(server: JobServer, resource: MillraceJob, job: ObservedJob): Promise<Wish> {
  const { metadata, spec, status } = resource
  const deleted = metadata.deletionTimestamp !== undefined
  const onDelete = spec.onDelete ?? 'savepoint'
  return wishOf({
    deleted,
    onDelete,
    suspend: spec.suspend ?? false,
    sameDefinition: deleted || job.state === 'ABSENT' || isSameDefinition(definitionText(resource), job.definition),
    sameGeneration: status?.observedGeneration === metadata.generation,
    saved: deleted && onDelete === 'savepoint' && job.state !== 'ABSENT' && (await isSaved(server, resource, job)),
  })
}

/** Writes the status, if it says anything new. */
async function tell({ resources, clock }: ControllerOptions, resource: MillraceJob, look: Look): Promise<void> {
  const status: MillraceJobStatus = statusOf(resource, look, clock.nowMs())
  if (isSameStatus(resource.status, status)) return
  await resources.replaceStatus({ ...resource, status })
}
