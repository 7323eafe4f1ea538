/** A ControlApi in memory, for tests of what stands in front of one. */
import type {
  CheckpointInfo,
  ControlApi,
  JobDetails,
  JobDocument,
  JobRedeploy,
  JobStartDocument,
  JobState,
  JobSummary,
  SavepointInfo,
} from '../../../src/control/api.ts'
import type { TransactionInfo, TransactionTarget } from '../../../src/control/transactions.ts'
import { MillraceError, type Violation } from '../../../src/core/errors.ts'
import type { SubtaskStats } from '../../../src/runtime/messages.ts'

export const someStats: SubtaskStats = {
  job: 1,
  attempt: 2,
  operator: 'events',
  subtask: 0,
  recordsIn: 100,
  recordsOut: 90,
  bytesIn: 11_500,
  read: 100,
  deadLettered: 3,
  filtered: 7,
  applied: 88,
  late: 2,
  lost: 0,
  deduplicated: 0,
  dedupeForgotten: 0,
  watermarkMs: Date.UTC(2024, 2, 13, 10),
  idle: false,
  finished: false,
  busyMs: 250,
  idleMs: 700,
  backPressuredMs: 50,
  stateBytes: 4096,
  pendingRecords: 5,
  partitions: [
    { partition: 1, position: 40, end: 45, watermarkMs: Date.UTC(2024, 2, 13, 11), idle: false, reachable: true },
    { partition: 0, position: 60, end: -1, watermarkMs: Number.NEGATIVE_INFINITY, idle: true, reachable: false },
  ],
  latencyCounts: [1, 2, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
  results: 12,
  checksum: 0,
}

export const someCheckpoint: CheckpointInfo = {
  id: 7,
  createdAtMs: Date.UTC(2026, 0, 2, 3, 4, 5),
  durationMs: 12.5,
  sizeBytes: 5_000_000,
  writtenBytes: 20_000,
  attempt: 2,
}

export function someSummary(name: string, state: JobState = 'RUNNING'): JobSummary {
  return {
    name,
    state,
    reason: '',
    createdAtMs: Date.UTC(2026, 0, 2, 3, 0, 0),
    stateSinceMs: Date.UTC(2026, 0, 2, 3, 0, 1),
    attempt: 2,
    restarts: 1,
    parallelism: 2,
    metrics: ['page_views', 'active_users'],
    events: {
      read: 100,
      applied: 88,
      late: 2,
      deadLettered: 3,
      filtered: 7,
      lost: 0,
      deduplicated: 0,
      dedupeForgotten: 0,
    },
    watermarkMs: Date.UTC(2024, 2, 13, 10),
    guarantee: 'exactly-once',
    guaranteeReasons: [],
  }
}

export function someDetails(summary: JobSummary, definitionText: string): JobDetails {
  return {
    summary,
    graph: {
      operators: [
        { id: 'events', kind: 'source', description: 'kafka topic events', parallelism: 2 },
        { id: 'window', kind: 'window', description: '2 tables', parallelism: 2 },
      ],
      edges: [{ from: 'events', to: 'window', partitioning: 'hash(person)' }],
    },
    subtasks: [{ stats: someStats, busyRatio: 0.25, idleRatio: 0.7, backPressuredRatio: 0.05 }],
    checkpoints: {
      completed: 7,
      failed: 1,
      latest: someCheckpoint,
      restored: null,
      lastFailure: 'timed out',
      owed: [{ checkpointId: 7, records: 1200, bytes: 65_536, sinks: ['out', 'deadLetters'] }],
      sourcesHeld: true,
      hangingEnded: 0,
    },
    exceptions: [
      {
        code: 'BROKER_UNREACHABLE',
        message: 'no broker answers at a:9092',
        atMs: Date.UTC(2026, 0, 2, 3, 0, 0),
        operator: 'events',
        subtask: 0,
        attempt: 1,
      },
    ],
    definitionText,
    heldPartitions: [
      {
        ...{ topic: 'events', partition: 0, lastStableOffset: 60, highWatermark: 72 },
        ...{ sinceMs: Date.UTC(2026, 0, 2, 3, 0, 0), holder: 'that of producer 9' },
      },
    ],
    redeploys: [someRedeploy],
  }
}

/** A savepoint that can be read. */
export function someSavepoint(job: string, name: string): SavepointInfo {
  return {
    job,
    name: name === '' ? '2026-01-02-030405-7' : name,
    path: `/savepoints/${job}/${name}`,
    createdAtMs: Date.UTC(2026, 0, 2, 3, 4, 5),
    checkpointId: 7,
    sizeBytes: 4096,
    reason: 'savepoint',
    drained: false,
    parallelism: 2,
    problem: '',
  }
}

export const someRedeploy: JobRedeploy = {
  kind: 'rescale',
  from: 1,
  to: 2,
  reason: 'rescaled from 1 to 2',
  requestedAtMs: Date.UTC(2026, 0, 2, 3, 0, 1),
  checkpointId: 6,
  barrierAtMs: Date.UTC(2026, 0, 2, 3, 0, 2),
  stoppedAtMs: Date.UTC(2026, 0, 2, 3, 0, 2, 100),
  runningAtMs: Date.UTC(2026, 0, 2, 3, 0, 2, 700),
  stateBytes: 5000,
  outcome: 'done',
  detail: '',
}

/** Text that holds the word `mistake` is refused with `violations`; the name is what follows `name: `. */
export class FakeControl implements ControlApi {
  readonly jobs = new Map<string, { summary: JobSummary; text: string }>()
  readonly submitted: JobDocument[] = []
  transactions: readonly TransactionInfo[] = []
  readonly ended: { readonly target: TransactionTarget; readonly force: boolean }[] = []
  /** What each submission began from. */
  readonly starts: (JobStartDocument | null)[] = []
  readonly savepoints: SavepointInfo[] = []
  violations: readonly Violation[] = [
    { field: 'metrics[0].id', message: 'is not snake_case; did you mean page_views?', line: 4, column: 9 },
    { field: 'metrics[1].window', message: 'is missing', line: 7, column: 5 },
  ]

  validate: ControlApi['validate'] = async (job) => {
    const text = textOf(job)
    const valid = !text.includes('mistake')
    const name = nameIn(text)
    return {
      valid,
      violations: valid ? [] : this.violations,
      name,
      graph: valid ? someDetails(someSummary(name), text).graph : null,
    }
  }

  submit: ControlApi['submit'] = async (job, start = null) => {
    const text = textOf(job)
    this.submitted.push(job)
    this.starts.push(start)
    if (text.includes('mistake')) {
      throw new MillraceError('JOB_INVALID', 'the job has 2 mistakes', { violations: this.violations })
    }
    const name = nameIn(text)
    if (this.jobs.has(name)) throw new MillraceError('JOB_EXISTS', `a job named ${name} is running already`)
    const summary = someSummary(name)
    this.jobs.set(name, { summary, text })
    return summary
  }

  list: ControlApi['list'] = async () => [...this.jobs.values()].map((job) => job.summary)

  describe: ControlApi['describe'] = async (name) => {
    const job = this.#find(name)
    return someDetails(job.summary, job.text)
  }

  cancel: ControlApi['cancel'] = async (name) => this.#move(name, 'CANCELLED')

  stop: ControlApi['stop'] = async (name, { savepoint = null, drain = false } = { savepoint: null, drain: false }) => ({
    summary: this.#move(name, 'SUSPENDED'),
    checkpointId: 7,
    savepoint:
      savepoint === null
        ? null
        : { ...someSavepoint(name, savepoint), reason: drain ? 'drain' : 'stop', drained: drain },
  })

  rescale: ControlApi['rescale'] = async (name, parallelism) => {
    const job = this.#find(name)
    if (job.summary.parallelism === parallelism) return { summary: job.summary, redeploy: null }
    const { parallelism: from } = job.summary
    job.summary = { ...job.summary, parallelism }
    const reason = `rescaled from ${from} to ${parallelism}`
    return { summary: job.summary, redeploy: { ...someRedeploy, from, to: parallelism, reason } }
  }

  upgrade: ControlApi['upgrade'] = async (document, { dropState, dryRun }) => {
    const job = this.#find(nameIn(textOf(document)))
    const changes = [
      { change: 'kept', kind: 'metric', name: 'page_views', within: 'total', detail: '' },
      { change: 'dropped', kind: 'metric', name: 'users', within: 'total', detail: 'the job has no such metric' },
    ] as const
    const refusal = dropState.includes('users') ? '' : 'metric users: the job has no such metric'
    if (dryRun) return { summary: job.summary, changes, refusal, redeploy: null }
    if (refusal !== '') throw new MillraceError('STATE_INCOMPATIBLE', refusal)
    const redeploy = { ...someRedeploy, kind: 'upgrade', reason: 'upgraded: 1 kept, 1 dropped' } as const
    return { summary: job.summary, changes, refusal, redeploy }
  }

  triggerCheckpoint: ControlApi['triggerCheckpoint'] = async (name) => {
    this.#find(name)
    return someCheckpoint
  }

  listCheckpoints: ControlApi['listCheckpoints'] = async (name) => {
    this.#find(name)
    return [someCheckpoint, { ...someCheckpoint, id: 6 }]
  }

  listTransactions: ControlApi['listTransactions'] = async (job) => {
    if (job !== '') this.#find(job)
    return { transactions: this.transactions, unasked: [] }
  }

  endTransaction: ControlApi['endTransaction'] = async (target, force) => {
    this.ended.push({ target, force })
    const transactionalId = 'transactionalId' in target ? target.transactionalId : ''
    const which = { transactionalId, producerId: 4000, producerEpoch: 7, partitions: ['results-0', 'results-1'] }
    return { outcome: 'aborted', job: 'engagement', ...which }
  }

  triggerSavepoint: ControlApi['triggerSavepoint'] = async (name, savepoint) => {
    this.#find(name)
    const made = someSavepoint(name, savepoint)
    this.savepoints.unshift(made)
    return made
  }

  listSavepoints: ControlApi['listSavepoints'] = async (name) =>
    this.savepoints.filter(({ job }) => name === '' || job === name)

  deleteSavepoint: ControlApi['deleteSavepoint'] = async (name, savepoint) => {
    const index = this.savepoints.findIndex((one) => one.job === name && one.name === savepoint)
    if (index < 0) throw new MillraceError('SAVEPOINT_NOT_FOUND', `there is no savepoint ${name}/${savepoint}`)
    this.savepoints.splice(index, 1)
  }

  #find(name: string) {
    const job = this.jobs.get(name)
    if (job === undefined) throw new MillraceError('JOB_NOT_FOUND', `there is no job named ${name}`)
    return job
  }

  #move(name: string, state: JobState): JobSummary {
    const job = this.#find(name)
    job.summary = { ...job.summary, state }
    return job.summary
  }
}

function textOf(job: JobDocument): string {
  return job.kind === 'text' ? job.text : JSON.stringify(job.document)
}

function nameIn(text: string): string {
  return /"?name"?:\s*"?([a-z0-9-]+)/.exec(text)?.[1] ?? ''
}
