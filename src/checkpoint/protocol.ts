/**
 * The checkpoint protocol of one attempt of a job: a complete table from (phase, event) to the next state and effects.
 *
 * Pure: no clock, no I/O, no memory but the state. Does not own: how effects are carried out, what snapshots hold, what
 * to restore (protocol-restore.ts).
 *
 *            trigger                 last ack                publishDone
 *   idle ---------------> collecting ---------> publishing --------------> idle
 *    ^                        |                     |
 *    +---- decline, timeout, abort, publishFailed --+
 *                             |   too many, fenced  |
 *                             +------> stopped <----+
 *
 * Rules, as Flink's CheckpointCoordinator and CheckpointFailureManager where they have one:
 * 1. One checkpoint is in flight at most. What is asked for meanwhile starts when it ends, and is one, however often
 *    it was asked for. A periodic trigger meanwhile is dropped.
 * 2. A checkpoint is published when every subtask has acked or finished; it exists when `publishDone` says so.
 * 3. Ids rise by one with every trigger and are never used again in this attempt, whatever became of them.
 * 4. Failures (io, async, declined, expired) count once a checkpoint; a success resets the count; when it exceeds what
 *    is tolerable the job fails. Savepoints and cancelled checkpoints do not count.
 * 5. A success subsumes: of checkpoints the newest `retain` stay, savepoints stay, and those whose publication had an
 *    uncertain end go.
 * 6. Whatever is said of another checkpoint than the one in flight is too late and ignored.
 */
import type { CheckpointKind } from './manifest.ts'
import type {
  CheckpointFailure,
  CurrentCheckpoint,
  ProtocolBase,
  ProtocolEffect,
  ProtocolEvent,
  ProtocolPhase,
  ProtocolSettings,
  ProtocolState,
  ProtocolStep,
  RetainedCheckpoint,
} from './protocol-types.ts'

type In<P extends ProtocolPhase> = Extract<ProtocolState, { phase: P }>
type Event<T extends ProtocolEvent['type']> = Extract<ProtocolEvent, { type: T }>
type Table = {
  readonly [P in ProtocolPhase]: {
    readonly [T in ProtocolEvent['type']]: (state: In<P>, event: Event<T>) => ProtocolStep
  }
}

/** What an attempt starts from. */
export interface ProtocolStart {
  readonly settings: ProtocolSettings
  /** Names of all subtasks that take part. */
  readonly tasks: readonly string[]
  /** Highest id ever used as far as is known: of the store, and of earlier attempts in this process. */
  readonly lastCheckpointId: number
  /** The checkpoints that exist. */
  readonly retained: readonly RetainedCheckpoint[]
  /** Monotonic ms. */
  readonly nowMs: number
}

/** The state in which an attempt begins: idle, with the first periodic checkpoint an interval away. */
export function startProtocol(start: ProtocolStart): ProtocolState {
  const { settings, tasks, lastCheckpointId, retained, nowMs } = start
  return {
    phase: 'idle',
    base: {
      settings,
      tasks: new Set(tasks),
      finished: new Set(),
      nextId: lastCheckpointId + 1,
      dueMs: settings.intervalMs > 0 ? nowMs + settings.intervalMs : Number.POSITIVE_INFINITY,
      failures: 0,
      retained: [...retained].sort((a, b) => a.checkpointId - b.checkpointId),
      uncertain: [],
    },
  }
}

/** The next state, and what to do. Total: every event is allowed in every state. */
export function stepProtocol(state: ProtocolState, event: ProtocolEvent): ProtocolStep {
  // The table is complete by its type; what its key types say of each entry's arguments, an indexed access cannot.
  const handle = table[state.phase][event.type] as (state: ProtocolState, event: ProtocolEvent) => ProtocolStep
  return handle(state, event)
}

/** When the shell should look again (monotonic ms): with a periodic trigger when idle, a timeout when busy. */
export function nextWakeMs(state: ProtocolState): number {
  switch (state.phase) {
    case 'idle':
      return state.base.dueMs
    case 'collecting':
    case 'publishing':
      return state.current.startedMs + state.base.settings.timeoutMs
    case 'stopped':
      return Number.POSITIVE_INFINITY
  }
}

const ignore = (state: ProtocolState): ProtocolStep => ({ state, effects: [] })

const table: Table = {
  idle: {
    trigger: (state, { reason, nowMs }) => {
      if (reason === 'periodic' && nowMs < state.base.dueMs) return ignore(state)
      return begin(state.base, reason === 'savepoint' ? 'savepoint' : 'checkpoint', nowMs)
    },
    ack: ignore,
    decline: ignore,
    taskFinished: (state, { task }) => ({ state: { ...state, base: withFinished(state.base, task) }, effects: [] }),
    timeout: ignore,
    publishDone: ignore,
    publishFailed: ignore,
    fenced: (state, { message }) => fenced(state.base, null, message),
    abort: ignore,
  },
  collecting: {
    trigger: (state, { reason }) => enqueue(state, reason),
    ack: (state, { checkpointId, task }) =>
      checkpointId === state.current.checkpointId ? without(state, task) : ignore(state),
    decline: (state, { checkpointId, failure, message, task, nowMs }) => {
      if (checkpointId !== state.current.checkpointId || !state.base.tasks.has(task)) return ignore(state)
      return failed(state.base, state.current, failure, `${task}: ${message}`, nowMs)
    },
    taskFinished: (state, { task }) => without({ ...state, base: withFinished(state.base, task) }, task),
    timeout: (state, event) => {
      const late = [...state.waiting].slice(0, 5).join(', ')
      const more = state.waiting.size > 5 ? ` and ${state.waiting.size - 5} more` : ''
      return expired(state, event, `no ack from ${late}${more}`)
    },
    publishDone: ignore,
    publishFailed: ignore,
    fenced: (state, { message }) => fenced(state.base, state.current, message),
    abort: (state, { message, nowMs }) => cancelled(state.base, state.current, message, nowMs),
  },
  publishing: {
    trigger: (state, { reason }) => enqueue(state, reason),
    ack: ignore,
    decline: ignore,
    taskFinished: (state, { task }) => ({ state: { ...state, base: withFinished(state.base, task) }, effects: [] }),
    timeout: (state, event) => expired(state, event, 'the store has not answered'),
    publishDone: (state, { checkpointId, nowMs }) =>
      checkpointId === state.current.checkpointId ? completed(state.base, state.current, nowMs) : ignore(state),
    publishFailed: (state, { checkpointId, message, nowMs }) => {
      if (checkpointId !== state.current.checkpointId) return ignore(state)
      return failed(uncertain(state).base, state.current, 'io', message, nowMs)
    },
    fenced: (state, { message }) => fenced(state.base, state.current, message),
    abort: (state, { message, nowMs }) => cancelled(uncertain(state).base, state.current, message, nowMs),
  },
  stopped: {
    trigger: ignore,
    ack: ignore,
    decline: ignore,
    taskFinished: ignore,
    timeout: ignore,
    publishDone: ignore,
    publishFailed: ignore,
    fenced: ignore,
    abort: ignore,
  },
}

function begin(base: ProtocolBase, kind: CheckpointKind, nowMs: number): ProtocolStep {
  const checkpointId = base.nextId
  const { intervalMs } = base.settings
  const current: CurrentCheckpoint = { checkpointId, kind, startedMs: nowMs, queued: null }
  const next: ProtocolBase = {
    ...base,
    nextId: checkpointId + 1,
    dueMs: intervalMs > 0 ? nowMs + intervalMs : Number.POSITIVE_INFINITY,
  }
  const waiting = new Set([...base.tasks].filter((task) => !base.finished.has(task)))
  if (waiting.size > 0) {
    return {
      state: { phase: 'collecting', base: next, current, waiting },
      effects: [{ type: 'injectBarriers', checkpointId, kind }],
    }
  }
  // Everybody has finished: their last snapshots are the checkpoint.
  return { state: { phase: 'publishing', base: next, current }, effects: [{ type: 'publish', checkpointId, kind }] }
}

function without(state: In<'collecting'>, task: string): ProtocolStep {
  if (!state.waiting.has(task)) return ignore(state)
  const waiting = new Set(state.waiting)
  waiting.delete(task)
  if (waiting.size > 0) return { state: { ...state, waiting }, effects: [] }
  const { base, current } = state
  return {
    state: { phase: 'publishing', base, current },
    effects: [{ type: 'publish', checkpointId: current.checkpointId, kind: current.kind }],
  }
}

function enqueue(state: In<'collecting'> | In<'publishing'>, reason: Event<'trigger'>['reason']): ProtocolStep {
  if (reason === 'periodic') return ignore(state)
  const { current } = state
  const queued = reason === 'savepoint' || current.queued === 'savepoint' ? 'savepoint' : 'checkpoint'
  return { state: { ...state, current: { ...current, queued } }, effects: [] }
}

function completed(base: ProtocolBase, current: CurrentCheckpoint, nowMs: number): ProtocolStep {
  const { checkpointId, kind, queued } = current
  const all = [...base.retained, { checkpointId, kind }]
  const plain = all.filter((entry) => entry.kind === 'checkpoint').map((entry) => entry.checkpointId)
  const dropped = new Set(plain.slice(0, Math.max(0, plain.length - Math.max(1, base.settings.retain))))
  const subsumed = [...dropped, ...base.uncertain].sort((a, b) => a - b)
  const next: ProtocolBase = {
    ...base,
    failures: 0,
    retained: all.filter((entry) => !dropped.has(entry.checkpointId)),
    uncertain: [],
  }
  const effects: ProtocolEffect[] = [{ type: 'notifyComplete', checkpointId }]
  if (subsumed.length > 0) effects.push({ type: 'subsume', checkpointIds: subsumed })
  return toIdle(next, queued, nowMs, effects)
}

function failed(
  base: ProtocolBase,
  current: CurrentCheckpoint,
  failure: Exclude<CheckpointFailure, 'cancelled'>,
  message: string,
  nowMs: number,
): ProtocolStep {
  const { checkpointId, kind, queued } = current
  const effects: ProtocolEffect[] = [{ type: 'abort', checkpointId, failure, message }]
  const failures = kind === 'savepoint' ? base.failures : base.failures + 1
  const { tolerableFailures } = base.settings
  if (failures > tolerableFailures) {
    const text = `checkpoint ${checkpointId} failed (${failure}: ${message}); ${failures} in a row, ${tolerableFailures} tolerated`
    effects.push({ type: 'failJob', code: 'CHECKPOINT_FAILED', message: text })
    return { state: { phase: 'stopped', base: { ...base, failures } }, effects }
  }
  return toIdle({ ...base, failures }, queued, nowMs, effects)
}

function cancelled(base: ProtocolBase, current: CurrentCheckpoint, message: string, nowMs: number): ProtocolStep {
  const { checkpointId } = current
  // What is queued goes too: it was wanted of the job that stops.
  return toIdle(base, null, nowMs, [{ type: 'abort', checkpointId, failure: 'cancelled', message }])
}

function fenced(base: ProtocolBase, current: CurrentCheckpoint | null, message: string): ProtocolStep {
  const effects: ProtocolEffect[] = []
  if (current !== null) {
    effects.push({ type: 'abort', checkpointId: current.checkpointId, failure: 'cancelled', message })
  }
  effects.push({ type: 'failJob', code: 'STORE_FENCED', message })
  return { state: { phase: 'stopped', base }, effects }
}

function expired(state: In<'collecting'> | In<'publishing'>, event: Event<'timeout'>, message: string): ProtocolStep {
  const { base, current } = state
  const { timeoutMs } = base.settings
  if (event.checkpointId !== current.checkpointId || event.nowMs < current.startedMs + timeoutMs) return ignore(state)
  const left = state.phase === 'publishing' ? uncertain(state).base : base
  return failed(left, current, 'expired', `${message} within ${timeoutMs} ms`, event.nowMs)
}

/** A checkpoint starts again at once when one is queued; a periodic one waits for the pause. */
function toIdle(
  base: ProtocolBase,
  queued: CheckpointKind | null,
  nowMs: number,
  effects: readonly ProtocolEffect[],
): ProtocolStep {
  const rested: ProtocolBase = { ...base, dueMs: Math.max(base.dueMs, nowMs + base.settings.minPauseMs) }
  if (queued === null) return { state: { phase: 'idle', base: rested }, effects }
  const next = begin(rested, queued, nowMs)
  return { state: next.state, effects: [...effects, ...next.effects] }
}

function uncertain(state: In<'publishing'>): In<'publishing'> {
  const { base, current } = state
  return { ...state, base: { ...base, uncertain: [...base.uncertain, current.checkpointId] } }
}

function withFinished(base: ProtocolBase, task: string): ProtocolBase {
  if (!base.tasks.has(task) || base.finished.has(task)) return base
  return { ...base, finished: new Set([...base.finished, task]) }
}
