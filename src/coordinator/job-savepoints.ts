/**
 * Savepoints of the jobs of one process: making, listing, deleting, and beginning from one.
 *
 * Owns: which checkpoint a savepoint is made of in which state of a job, and what a stop with a savepoint comes to. Does not
 * own: copying (savepoint/export.ts, savepoint/import.ts), files (savepoint/savepoint-files.ts), whether state fits
 * (held-state.ts).
 *
 * Invariants: a savepoint that fails is an answer and never touches the job; a stop whose savepoint fails has stopped all
 * the same, and says so.
 */
import { type CheckpointManifest, decodeManifest } from '../checkpoint/manifest.ts'
import { MillraceError } from '../core/errors.ts'
import type { JobDefinition } from '../job/definition.ts'
import type { JobPlan } from '../job/plan.ts'
import { describeOperators, describeTables } from '../savepoint/describe.ts'
import { exportSavepoint } from '../savepoint/export.ts'
import { savepointExists } from '../savepoint/memory-savepoints.ts'
import { checkSavepointName, defaultSavepointName, type SavepointRef } from '../savepoint/names.ts'
import type { SavepointReason } from '../savepoint/savepoint.ts'
import type { SavepointEntry, SavepointStore } from '../savepoint/store.ts'
import { plainStop } from './final-checkpoint.ts'
import { fitCheckpoint } from './held-state.ts'
import type { JobManager, StopResult } from './job-manager.ts'
import type { JobPorts } from './job-ports.ts'
import { isFenced, type ManagedJob } from './managed-jobs.ts'
import { foreign, refused } from './refusals.ts'
import { listCheckpoints } from './retention.ts'
import { openSavepointStart, type StartWish } from './savepoint-start.ts'
import { type StoredJob, storedSchema } from './stored-job.ts'
import type { JobStart } from './submissions.ts'

/** How a job is to stop. */
export interface SavepointStop {
  /** Name of the savepoint, '' for one of the server's choice; null for none. */
  readonly savepoint: string | null
  /** All of time passes first. */
  readonly drain: boolean
}

/** How a stop ended. */
export interface SavepointStopResult extends StopResult {
  readonly savepoint: SavepointEntry | null
}

/** The savepoints of a process. */
export class JobSavepoints {
  readonly #manager: JobManager
  readonly #ports: JobPorts

  constructor(manager: JobManager, ports: JobPorts) {
    this.#manager = manager
    this.#ports = ports
  }

  /**
   * Makes a savepoint and resolves when it is durable; the job goes on. Of a job that is suspended or finished, its newest
   * checkpoint is taken. JOB_NOT_FOUND, JOB_STATE, INPUT_INVALID, SAVEPOINT_EXISTS, SAVEPOINT_FAILED.
   */
  async trigger(jobName: string, name: string): Promise<SavepointEntry> {
    const job = this.#manager.job(jobName)
    this.#refuseForeign(job, 'make the savepoint')
    await this.#checkFree({ job: jobName, name })
    const { coordinator } = job
    const { state } = coordinator.status
    const make = this.#maker(job, name, 'savepoint')
    try {
      if (state === 'RUNNING')
        return await coordinator.savepoint(async (id) => make(await this.#manifestOf(jobName, id)))
      if (state === 'FINISHED' || state === 'SUSPENDED') return await make(await this.#newestOf(job))
    } catch (thrown) {
      throw savepointFailed(jobName, thrown)
    }
    throw refused(jobName, coordinator.status, 'a savepoint')
  }

  /**
   * Stops a job after a last checkpoint, with a savepoint of it where one is wanted. Rejects as `JobManager.stop`;
   * SAVEPOINT_FAILED when it stopped with the checkpoint but without the savepoint.
   */
  async stop(jobName: string, { savepoint: name, drain }: SavepointStop): Promise<SavepointStopResult> {
    if (name === null && !drain) return { ...(await this.#manager.stop(jobName)), savepoint: null }
    const job = this.#manager.job(jobName)
    this.#refuseForeign(job, 'stop')
    const { status } = job.coordinator
    if (status.state === 'FINISHED') {
      // All of time has passed already, and the newest checkpoint is its last.
      const savepoint = name === null ? null : await this.trigger(jobName, name)
      return { ...(await this.#manager.stop(jobName)), savepoint }
    }
    if (status.state !== 'RUNNING' && status.state !== 'FINISHING') {
      throw refused(jobName, status, drain ? 'draining' : 'stopping with a savepoint')
    }
    if (name !== null) await this.#checkFree({ job: jobName, name })
    const make = this.#maker(job, name ?? '', drain ? 'drain' : 'stop')
    const made: Promise<SavepointEntry>[] = []
    const onCheckpoint = async (checkpointId: number): Promise<void> => {
      if (name === null) return
      const one = this.#manifestOf(jobName, checkpointId).then(make)
      made.push(one)
      await one.catch(() => {})
    }
    const stopped = await this.#manager.stop(jobName, { ...plainStop, drain, onCheckpoint })
    if (name === null) return { ...stopped, savepoint: null }
    try {
      const [one] = made
      if (one === undefined)
        throw new MillraceError('SAVEPOINT_FAILED', 'it was not running any more when it came to stop')
      return { ...stopped, savepoint: await one }
    } catch (thrown) {
      const { message } = MillraceError.from(thrown)
      throw new MillraceError(
        'SAVEPOINT_FAILED',
        `job ${jobName} has stopped with checkpoint ${stopped.checkpointId}, from which it can go on, but without a ` +
          `savepoint: ${message}. Ask for a savepoint of it now`,
        { cause: thrown },
      )
    }
  }

  /** Savepoints of a job, or of all for '', newest first; those that cannot be read last, with why. */
  async list(jobName: string): Promise<readonly SavepointEntry[]> {
    if (jobName !== '') checkSavepointName(jobName)
    const entries = await this.#store().list(jobName === '' ? null : jobName)
    const made = ({ savepoint }: SavepointEntry): number => savepoint?.createdAtMs ?? Number.NEGATIVE_INFINITY
    return [...entries].sort((a, b) => made(b) - made(a) || (a.name < b.name ? -1 : 1))
  }

  /** Deletes a savepoint for good. SAVEPOINT_NOT_FOUND, INPUT_INVALID. */
  async delete(ref: SavepointRef): Promise<void> {
    checkSavepointName(ref.job)
    checkSavepointName(ref.name)
    await this.#store().delete(ref)
  }

  /** What a job that begins from a savepoint is submitted with. SAVEPOINT_NOT_FOUND, SAVEPOINT_CORRUPT, STATE_INCOMPATIBLE. */
  start(wish: StartWish, definition: JobDefinition): Promise<JobStart> {
    return openSavepointStart(wish, definition, this.#store(), this.#ports)
  }

  /** Makes savepoints of a job as it is now: what is deployed may be another when the checkpoint is there. */
  #maker({ coordinator, stored }: ManagedJob, name: string, reason: SavepointReason) {
    const { plan, deployedPlan } = coordinator
    return (manifest: CheckpointManifest): Promise<SavepointEntry> =>
      this.#make(deployedPlan ?? planOf(manifest, plan), stored, manifest, name, reason)
  }

  async #make(
    plan: JobPlan,
    stored: StoredJob,
    manifest: CheckpointManifest,
    name: string,
    reason: SavepointReason,
  ): Promise<SavepointEntry> {
    const { store, clock, instanceId } = this.#ports
    const { jobName } = plan
    const nowMs = clock.nowMs()
    const ref = { job: jobName, name: name === '' ? defaultSavepointName(nowMs, manifest.checkpointId) : name }
    const writer = await this.#store().create(ref)
    const facts = {
      name: ref.name,
      createdAtMs: nowMs,
      submittedAtMs: stored.createdAtMs,
      reason,
      instanceId,
      program: plan.program !== undefined,
      definitionText: stored.text,
      definitionJson: JSON.stringify(stored.definition),
      descriptorSet: storedSchema(stored),
      parallelism: plan.parallelism,
      drained: reason === 'drain',
      operators: describeOperators(plan, manifest),
      tables: describeTables(plan),
    }
    const savepoint = await exportSavepoint(manifest, facts, store, writer)
    return { ...ref, path: this.#store().pathOf(ref), savepoint, problem: '' }
  }

  /** The newest checkpoint of a job that does not run, provided that sinks are known to have what it has for them. */
  async #newestOf({ coordinator }: ManagedJob): Promise<CheckpointManifest> {
    const { name, jobId, history, outbox } = coordinator
    const [newest] = await listCheckpoints(this.#ports.store, name, jobId, history)
    if (newest === undefined)
      throw new MillraceError('JOB_STATE', `job ${name} has no checkpoint to make a savepoint of`)
    const manifest = await this.#manifestOf(name, newest.id)
    const { owed, subtasks } = manifest
    const nothing = owed.length === 0 && subtasks.every((snapshot) => snapshot.outbox.length === 0)
    // Until an attempt has asked them, or of one that was published without an answer, only sinks know what they have.
    if (nothing || newest.id <= outbox.settledId) return manifest
    throw new MillraceError(
      'JOB_STATE',
      `checkpoint ${newest.id} of job ${name} has results for its sinks, which may not have applied them: submit the job, ` +
        'then stop it with a savepoint',
    )
  }

  async #manifestOf(jobName: string, checkpointId: number): Promise<CheckpointManifest> {
    const bytes = await this.#ports.store.readManifest(jobName, checkpointId)
    const what = `checkpoint ${checkpointId} of job ${jobName}`
    if (bytes === undefined) throw new MillraceError('SAVEPOINT_FAILED', `${what} is not in the store any more`)
    return decodeManifest(bytes, what)
  }

  /** Says early what would otherwise be said after a checkpoint. */
  async #checkFree(ref: SavepointRef): Promise<void> {
    const store = this.#store()
    if (ref.name === '') return
    checkSavepointName(ref.name)
    if ((await store.list(ref.job)).some(({ name }) => name === ref.name)) throw savepointExists(ref)
  }

  #refuseForeign({ coordinator }: ManagedJob, what: string): void {
    const { name, status, heldBy } = coordinator
    if (heldBy !== '' || isFenced(status)) throw foreign(name, heldBy, what)
  }

  #store(): SavepointStore {
    const { savepoints } = this.#ports
    if (savepoints !== undefined) return savepoints
    throw new MillraceError('CONFIG_INVALID', 'this server has no folder of savepoints: set MILLRACE_SAVEPOINT_DIR')
  }
}

/** The plan that a checkpoint of a job at rest was made by. JOB_STATE when the job has been given another one since. */
function planOf(manifest: CheckpointManifest, plan: JobPlan): JobPlan {
  const what = `checkpoint ${manifest.checkpointId} of job ${plan.jobName}`
  if (manifest.definitionHash === plan.definitionHash) return fitCheckpoint(manifest, plan, [], what).plan
  throw new MillraceError(
    'JOB_STATE',
    `${what} was made before the job was changed, and says nothing of how it is now: submit the job, then stop it with a ` +
      'savepoint',
  )
}

/** Why a savepoint was not made: what a person did wrong as it is, the rest as SAVEPOINT_FAILED. */
function savepointFailed(jobName: string, thrown: unknown): MillraceError {
  const error = MillraceError.from(thrown)
  if (error.domain === 'user' || error.code === 'SAVEPOINT_FAILED') return error
  return new MillraceError('SAVEPOINT_FAILED', `no savepoint of job ${jobName} was made: ${error.message}`, {
    cause: thrown,
  })
}
