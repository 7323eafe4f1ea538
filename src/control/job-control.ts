/**
 * ControlApi over the coordinator: documents in, descriptions out.
 *
 * Owns: turning documents into definitions (through the compiler that it is handed) and jobs into descriptions. Does
 * not own: the jobs (coordinator/job-manager.ts).
 */

import type { StoreDescription } from '../checkpoint/store.ts'
import type { CheckpointRecord } from '../coordinator/job-history.ts'
import type { JobManager } from '../coordinator/job-manager.ts'
import type { JobSavepoints } from '../coordinator/job-savepoints.ts'
import type { SubmittedJob } from '../coordinator/job-source.ts'
import type { ManagedJob } from '../coordinator/managed-jobs.ts'
import { withOutcome } from '../coordinator/redeploys.ts'
import type { SubtaskReading } from '../coordinator/stats-book.ts'
import type { Clock } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import { MAX_WATERMARK, MIN_WATERMARK } from '../core/time.ts'
import { invalidJob } from '../job/parse.ts'
import { savepointBytes } from '../savepoint/savepoint.ts'
import type { SavepointEntry } from '../savepoint/store.ts'
import type {
  CheckpointInfo,
  CheckpointSummary,
  ControlApi,
  EventCounts,
  JobDetails,
  JobDocument,
  JobRedeploy,
  JobStartDocument,
  JobSummary,
  JobUpgrade,
  SavepointInfo,
  StopOptions,
  StoppedJob,
  SubtaskStatus,
  ValidationResult,
} from './api.ts'
import type { HeldPartition } from './held-partitions.ts'
import type { CompiledDocument } from './job-compiler.ts'
import { graphOf } from './job-graph.ts'
import type { TransactionsApi, TransactionTarget } from './transactions.ts'

/** What JobControl is made of. */
export interface JobControlOptions {
  readonly manager: JobManager
  readonly savepoints: JobSavepoints
  /** Reads and checks a document; mistakes are violations, never thrown. */
  readonly compile: (document: JobDocument) => CompiledDocument | Promise<CompiledDocument>
  /** What the checkpoint store is worth; asked again after a while. */
  readonly describeStore: () => Promise<StoreDescription>
  readonly clock: Clock
  /** Looks at Kafka; without it there are no transactions. */
  readonly transactions?: TransactionsApi
  readonly heldPartitions?: (job: string) => readonly HeldPartition[]
  /** Largest definition that is taken, in bytes; 1 MiB unless given. */
  readonly maxDefinitionBytes?: number
}

const STORE_DESCRIPTION_MS = 10_000

/** ControlApi over a JobManager. */
export class JobControl implements ControlApi {
  readonly #options: JobControlOptions
  #store: { readonly at: number; readonly description: StoreDescription } | undefined

  constructor(options: JobControlOptions) {
    this.#options = options
  }

  async validate(document: JobDocument): Promise<ValidationResult> {
    const { name, violations, plan } = await this.#compile(document)
    return { valid: plan !== null, violations, name, graph: plan === null ? null : graphOf(plan) }
  }

  async submit(document: JobDocument, from: JobStartDocument | null = null): Promise<JobSummary> {
    const { definition, text, schema } = await this.#submission(document)
    const { manager, savepoints } = this.#options
    const start = from === null || from.savepoint === '' ? null : await savepoints.start(from, definition)
    return this.#summary(await manager.submit(definition, text, schema, start, from?.dropState))
  }

  async rescale(
    name: string,
    parallelism: number,
  ): Promise<{ readonly summary: JobSummary; readonly redeploy: JobRedeploy | null }> {
    const redeploy = await this.#options.manager.rescale(name, parallelism)
    return { summary: await this.#summary(this.#options.manager.job(name)), redeploy }
  }

  async upgrade(
    document: JobDocument,
    { name = '', dropState, dryRun }: { name?: string; dropState: readonly string[]; dryRun: boolean },
  ): Promise<JobUpgrade> {
    const submission = await this.#submission(document)
    const own = submission.definition.name
    if (name !== '' && name !== own) {
      throw new MillraceError('INPUT_INVALID', `the definition is of job ${own}, not of ${name}: a job keeps its name`)
    }
    const { job, record, diff, refusal } = await this.#options.manager.upgrade(submission, { dropState, dryRun })
    const summary = await this.#summary(job)
    return { summary, changes: diff.entries, refusal: refusal?.message ?? '', redeploy: record }
  }

  async list(): Promise<readonly JobSummary[]> {
    this.#options.manager.checkRecovered()
    return Promise.all(this.#options.manager.jobs().map((job) => this.#summary(job)))
  }

  async describe(name: string): Promise<JobDetails> {
    const job = this.#options.manager.job(name)
    const { coordinator, stored } = job
    return {
      summary: await this.#summary(job),
      graph: graphOf(coordinator.plan),
      subtasks: this.#options.manager.statsOf(job).map(subtaskStatus),
      checkpoints: checkpointSummary(job),
      exceptions: coordinator.history.failures,
      definitionText: stored.text,
      heldPartitions: this.#options.heldPartitions?.(name) ?? [],
      redeploys: redeploysOf(job),
    }
  }

  async cancel(name: string): Promise<JobSummary> {
    await this.#options.manager.cancel(name)
    return this.#summary(this.#options.manager.job(name))
  }

  async stop(name: string, options: StopOptions = { savepoint: null, drain: false }): Promise<StoppedJob> {
    const { checkpointId, savepoint } = await this.#options.savepoints.stop(name, options)
    const summary = await this.#summary(this.#options.manager.job(name))
    return { summary, checkpointId, savepoint: savepoint === null ? null : savepointInfo(savepoint) }
  }

  async triggerCheckpoint(name: string): Promise<CheckpointInfo> {
    return checkpointInfo(await this.#options.manager.checkpoint(name))
  }

  async listCheckpoints(name: string): Promise<readonly CheckpointInfo[]> {
    return (await this.#options.manager.checkpoints(name)).map(checkpointInfo)
  }

  async listTransactions(job: string, idle: boolean): ReturnType<TransactionsApi['listTransactions']> {
    this.#options.manager.checkRecovered()
    if (job !== '') this.#options.manager.job(job)
    return (await this.#options.transactions?.listTransactions(job, idle)) ?? { transactions: [], unasked: [] }
  }

  async endTransaction(target: TransactionTarget, force: boolean): ReturnType<TransactionsApi['endTransaction']> {
    this.#options.manager.checkRecovered()
    const { transactions } = this.#options
    if (transactions !== undefined) return transactions.endTransaction(target, force)
    const which = { job: '', transactionalId: '', producerId: -1, producerEpoch: -1, partitions: [] }
    return { ...which, outcome: 'nothing was open' }
  }

  async triggerSavepoint(name: string, savepoint: string): Promise<SavepointInfo> {
    return savepointInfo(await this.#options.savepoints.trigger(name, savepoint))
  }

  async listSavepoints(name: string): Promise<readonly SavepointInfo[]> {
    return (await this.#options.savepoints.list(name)).map(savepointInfo)
  }

  async deleteSavepoint(name: string, savepoint: string): Promise<void> {
    await this.#options.savepoints.delete({ job: name, name: savepoint })
  }

  async #submission(document: JobDocument): Promise<SubmittedJob> {
    const { violations, definition, schema } = await this.#compile(document)
    if (definition === null) throw invalidJob(violations)
    const text = document.kind === 'text' ? document.text : JSON.stringify(document.document, null, 2)
    return { definition, text, schema: schema ?? null }
  }

  async #compile(document: JobDocument): Promise<CompiledDocument> {
    const { maxDefinitionBytes = 2 ** 20, compile } = this.#options
    const text = document.kind === 'text' ? document.text : JSON.stringify(document.document)
    const bytes = Buffer.byteLength(text)
    if (bytes > maxDefinitionBytes) {
      throw new MillraceError(
        'LIMIT_EXCEEDED',
        `the job definition has ${bytes} bytes, and this server takes ${maxDefinitionBytes} (MILLRACE_MAX_DEFINITION)`,
      )
    }
    return compile(document)
  }

  async #summary(job: ManagedJob): Promise<JobSummary> {
    const { coordinator, stored } = job
    const { status, plan } = coordinator
    const readings = this.#options.manager.statsOf(job)
    const { guarantee, reasons } = await this.#describeStore()
    return {
      name: coordinator.name,
      state: status.state,
      reason: status.reason,
      createdAtMs: stored.createdAtMs,
      stateSinceMs: status.sinceMs,
      attempt: status.attempt,
      restarts: status.restarts,
      parallelism: plan.parallelism,
      metrics: plan.definition.metrics.map((metric) => metric.id),
      events: eventCounts(readings),
      watermarkMs: sourceWatermark(readings, plan.definition.source.id),
      guarantee,
      guaranteeReasons: reasons,
    }
  }

  /** A store that cannot be asked now is worth what it last was; before the first answer, nothing is promised. */
  async #describeStore(): Promise<Pick<StoreDescription, 'guarantee' | 'reasons'>> {
    const nowMs = this.#options.clock.monotonicMs()
    if (this.#store !== undefined && nowMs - this.#store.at < STORE_DESCRIPTION_MS) return this.#store.description
    try {
      const description = await this.#options.describeStore()
      this.#store = { at: nowMs, description }
      return description
    } catch (thrown) {
      if (this.#store !== undefined) return this.#store.description
      return {
        guarantee: 'at-least-once',
        reasons: [`the checkpoint store cannot be asked: ${MillraceError.from(thrown).message}`],
      }
    }
  }
}

/** What became of the events, over all subtasks. */
export function eventCounts(readings: readonly SubtaskReading[]): EventCounts {
  const counts = {
    read: 0,
    applied: 0,
    late: 0,
    deadLettered: 0,
    filtered: 0,
    deduplicated: 0,
    lost: 0,
    dedupeForgotten: 0,
  }
  for (const { stats } of readings) {
    counts.read += stats.read
    counts.applied += stats.applied
    counts.late += stats.late
    counts.deadLettered += stats.deadLettered
    counts.filtered += stats.filtered
    counts.deduplicated += stats.deduplicated
    counts.lost += stats.lost
    counts.dedupeForgotten += stats.dedupeForgotten
  }
  return counts
}

/** Smallest watermark of the source subtasks that are not idle; of all of them when all are idle. */
export function sourceWatermark(readings: readonly SubtaskReading[], sourceId: string): number {
  const sources = readings.filter((reading) => reading.stats.operator === sourceId).map((reading) => reading.stats)
  if (sources.length === 0) return MIN_WATERMARK
  const active = sources.filter((stats) => !stats.idle)
  return (active.length === 0 ? sources : active).reduce(
    (least, stats) => Math.min(least, stats.watermarkMs),
    MAX_WATERMARK,
  )
}

function subtaskStatus(reading: SubtaskReading): SubtaskStatus {
  const { stats, busyRatio, idleRatio, backPressuredRatio } = reading
  return { stats, busyRatio, idleRatio, backPressuredRatio }
}

/** As stored; the one that is under way as far as it has come. */
function redeploysOf({ coordinator, stored }: ManagedJob): readonly JobRedeploy[] {
  const { pending } = coordinator.redeploys
  return pending === null ? (stored.redeploys ?? []) : withOutcome(stored.redeploys ?? [], pending)
}

function checkpointSummary(job: ManagedJob): CheckpointSummary {
  const { history, restored, outbox } = job.coordinator
  const latest = history.checkpoints.find((record) => record.failure === '')
  return {
    completed: history.completed,
    failed: history.failed,
    latest: latest === undefined ? null : checkpointInfo(latest),
    restored: restored === null ? null : checkpointInfo(restored.record),
    lastFailure: history.checkpoints.find((record) => record.failure !== '')?.failure ?? '',
    owed: outbox.owed,
    sourcesHeld: outbox.held,
    hangingEnded: outbox.hangingEnded,
  }
}

function savepointInfo({ job, name, path, savepoint, problem }: SavepointEntry): SavepointInfo {
  return {
    ...{ job, name, path, problem },
    createdAtMs: savepoint?.createdAtMs ?? Number.NEGATIVE_INFINITY,
    checkpointId: savepoint?.checkpoint.checkpointId ?? 0,
    sizeBytes: savepoint === null ? 0 : savepointBytes(savepoint),
    reason: savepoint?.reason ?? '',
    drained: savepoint?.drained ?? false,
    parallelism: savepoint?.parallelism ?? 0,
  }
}

function checkpointInfo(record: CheckpointRecord): CheckpointInfo {
  const { id, createdAtMs, durationMs, sizeBytes, writtenBytes, attempt } = record
  return { id, createdAtMs, durationMs, sizeBytes, writtenBytes, attempt }
}
