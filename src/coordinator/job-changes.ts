/**
 * Changes of jobs that go on: another parallelism (rescale), another definition (upgrade).
 *
 * Owns: checking them, storing what is wanted before it is done, the history of them. Does not own: how a job gets there
 * (job-state.ts, job-coordinator.ts), what becomes of its state (job/state-diff.ts).
 *
 * What is stored is what is wanted: a process that ends in between leaves it to the next one, and a job that fails on the
 * way is restarted, by its own strategy, with the new plan. Nothing goes back by itself; the history says what happened.
 */
import { MillraceError } from '../core/errors.ts'
import { needlessNames, type StateDiff } from '../job/state-diff.ts'
import { newStoredJob, type SubmittedJob, sameJob, sourceOf } from './job-source.ts'
import { restStates } from './job-state.ts'
import { type JobsContext, planStored } from './jobs-context.ts'
import type { HeldJob } from './managed-jobs.ts'
import { owedOf, refusalOfOwed, sinksGone } from './owed-sinks.ts'
import { newRedeploy, type RedeployRecord, withOutcome, withRedeploy } from './redeploys.ts'
import { foreign } from './refusals.ts'
import { judgeState } from './state-check.ts'
import { basisOf, type StoredJob } from './stored-job.ts'

/** A change that was asked for. */
export interface AskedChange {
  readonly job: HeldJob
  /** Null when nothing is changed. */
  readonly record: RedeployRecord | null
}

/** An upgrade, or what would become of one. */
export interface AskedUpgrade extends AskedChange {
  readonly diff: StateDiff
  /** Why it would be refused; only of a dry run. */
  readonly refusal: MillraceError | null
}

/** How an upgrade is asked for. */
export interface UpgradeOptions {
  /** What may be lost, by name. */
  readonly dropState: readonly string[]
  /** Compares, and changes nothing. */
  readonly dryRun: boolean
}

/** Changes jobs. Each call is within the turn of its job. */
export class JobChanges {
  readonly #context: JobsContext

  constructor(context: JobsContext) {
    this.#context = context
  }

  /** Stores another parallelism, and lets the job go on with it. INPUT_INVALID, JOB_STATE, the store's errors. */
  async rescale(job: HeldJob, parallelism: number): Promise<AskedChange> {
    const { coordinator } = job
    coordinator.check('redeploy')
    const { keyGroups, parallelism: from } = coordinator.wantedPlan
    if (!Number.isInteger(parallelism) || parallelism < 1 || parallelism > keyGroups) {
      throw new MillraceError(
        'INPUT_INVALID',
        `job ${coordinator.name} can have 1 to ${keyGroups} subtasks of each operator, one for each of its key groups at ` +
          `most, and not ${parallelism}; their number (keyGroups) is fixed for the life of its state`,
      )
    }
    if (parallelism === from) return { job, record: null }
    const reason = `rescaled from ${from} to ${parallelism}`
    const record = this.#record(job, 'rescale', from, parallelism, reason)
    await this.#store(job, (stored) => ({ ...stored, parallelism }), record)
    coordinator.redeploy(planStored(this.#context.options, job.stored), basisOf(job.stored), record)
    return { job, record }
  }

  /**
   * Compares, stores another definition, and lets the job go on with it. STATE_INCOMPATIBLE, SCHEMA_INCOMPATIBLE,
   * INPUT_INVALID for names of state that is not dropped, JOB_STATE, the store's errors.
   */
  async upgrade(job: HeldJob, submission: SubmittedJob, { dropState, dryRun }: UpgradeOptions): Promise<AskedUpgrade> {
    const { coordinator } = job
    const { options } = this.#context
    if (!dryRun) coordinator.check('redeploy')
    const plan = planStored(options, upgraded(job.stored, submission))
    options.checkEvolution?.(sourceOf(job.stored), submission, plan)
    const consent = { given: dropState, before: job.stored.dropState ?? [] }
    const { store } = options.ports
    const verdict = await judgeState(store, coordinator.deployedPlan, plan, coordinator.jobId, consent)
    const { diff } = verdict
    const owed = await owedOf(store, coordinator)
    const refusal = verdict.refusal ?? refusalOfOwed(owed, plan, dropState)
    if (dryRun) return { job, record: null, diff, refusal }
    if (refusal !== null) throw refusal
    if (sameJob(sourceOf(job.stored), submission)) return { job, record: null, diff, refusal: null }
    const gone = sinksGone(owed, plan)
    const needless = needlessNames(diff, dropState).filter((name) => !gone.includes(name))
    if (needless.length > 0) {
      throw new MillraceError('INPUT_INVALID', `nothing would be dropped that is named ${needless.join(', ')}`)
    }
    const from = coordinator.wantedPlan.parallelism
    const record = this.#record(job, 'upgrade', from, plan.parallelism, upgradeText(diff))
    const { dropState: names } = verdict
    await this.#store(job, (stored) => upgraded(stored, { ...submission, dropState: names }), record)
    coordinator.redeploy(plan, basisOf(job.stored), record)
    return { job, record, diff, refusal: null }
  }

  /** Stores how a change has ended. */
  async ended(job: HeldJob, record: RedeployRecord): Promise<void> {
    job.record = await this.#context.records.update(job.record, (stored) => ({
      ...stored,
      redeploys: withOutcome(stored.redeploys ?? [], record),
    }))
  }

  /**
   * Resolves to how a change has ended; at once, still pending, where the job is at rest. JOB_STATE when it failed, and when
   * another process turns out to have the job: what is stored is done when it starts here.
   */
  async outcomeOf({ job, record }: AskedChange): Promise<RedeployRecord | null> {
    if (record === null || restStates.has(job.coordinator.status.state)) return record
    const { redeploys } = job.coordinator
    const isPending = () => redeploys.pending?.requestedAtMs === record.requestedAtMs
    await this.#context.jobs.until(job, () => !isPending() || job.coordinator.heldBy !== '')
    if (isPending()) throw foreign(job.coordinator.name, job.coordinator.heldBy, 'rescale or upgrade')
    const ended = redeploys.ended?.requestedAtMs === record.requestedAtMs ? redeploys.ended : null
    if (ended === null) return { ...record, outcome: 'superseded' }
    if (ended.outcome !== 'failed') return ended
    throw new MillraceError('JOB_STATE', `job ${job.coordinator.name} is FAILED instead: ${ended.detail}`)
  }

  /** The time of a request tells it from others. */
  #record(job: HeldJob, kind: RedeployRecord['kind'], from: number, to: number, reason: string): RedeployRecord {
    const last = job.stored.redeploys?.[0]?.requestedAtMs ?? 0
    return newRedeploy({ kind, from, to, reason }, Math.max(last + 1, this.#context.options.ports.clock.nowMs()))
  }

  async #store(job: HeldJob, change: (stored: StoredJob) => StoredJob, record: RedeployRecord): Promise<void> {
    job.record = await this.#context.records.update(job.record, (stored) => ({
      ...change(stored),
      redeploys: withRedeploy(stored.redeploys ?? [], record),
    }))
  }
}

function upgraded(before: StoredJob, submission: SubmittedJob): StoredJob {
  const { wanted, error, createdAtMs, jobId, reason } = before
  return { ...newStoredJob(submission, before, { freshId: jobId, createdAtMs, reason }), wanted, error }
}

/** An upgrade in a line: `2 kept, 1 new`. */
function upgradeText({ entries }: StateDiff): string {
  const counts = new Map<string, number>()
  for (const { change, kind } of entries) {
    if (kind === 'metric' || kind === 'slot' || kind === 'source') counts.set(change, (counts.get(change) ?? 0) + 1)
  }
  return `upgraded: ${[...counts].map(([change, count]) => `${count} ${change}`).join(', ')}`
}
