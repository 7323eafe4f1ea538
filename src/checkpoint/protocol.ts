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
 * 5. A success subsumes: of checkpoints the newest `retain` stay, savepoints stay until they are released (copied out of
 *    the store; then they are checkpoints), and those whose publication had an uncertain end go.
 * 6. Whatever is said of another checkpoint than the one in flight is too late and ignored.
 * 7. What a completed checkpoint has for sinks is applied, oldest first, one at a time. Until then it is not subsumed.
 *    While two wait, sources are held, and what is asked for starts when one is applied. A sink that fails ends the
 *    attempt: how far it came, only its marker says (outbox-restore.ts).
 */
import type { CheckpointKind } from './manifest.ts'
import { afterApplied, afterPublished, mayBegin } from './protocol-outbox.ts'
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
      unapplied: [],
      completedId: 0,
      wanted: null,
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
      // While too many outboxes wait for sinks, it is their being applied that is waited for.
      return mayBegin(state.base) ? state.base.dueMs : Number.POSITIVE_INFINITY
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
      if (reason === 'periodic' && (nowMs < state.base.dueMs || !mayBegin(state.base))) return ignore(state)
      return beginOrWait(state.base, reason === 'savepoint' ? 'savepoint' : 'checkpoint', nowMs, [])
    },
    ack: ignore,
    decline: ignore,
    taskFinished: (state, { task }) => ({ state: { ...state, base: withFinished(state.base, task) }, effects: [] }),
    timeout: ignore,
    publishDone: ignore,
    publishFailed: ignore,
    outboxApplied: (state, { checkpointId, nowMs }) => {
      const applied = afterApplied(state.base, checkpointId)
      if (applied === null) return ignore(state)
      const { base, effects } = applied
      if (base.wanted === null || !mayBegin(base)) return { state: { ...state, base }, effects }
      return beginOrWait({ ...base, wanted: null }, base.wanted, nowMs, effects)
    },
    outboxFailed: (state, event) => outboxFailed(state, null, event),
    savepointReleased: released,
    fenced: (state, { message }) => fenced(state.base, null, message),
    abort: (state) => {
      // Nothing is in flight, but what waits for sinks was wanted of the job that stops.
      return state.base.wanted === null
        ? ignore(state)
        : { state: { ...state, base: { ...state.base, wanted: null } }, effects: [] }
    },
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
    outboxApplied: (state, { checkpointId }) => applied(state, checkpointId),
    outboxFailed: (state, event) => outboxFailed(state, state.current, event),
    savepointReleased: released,
    fenced: (state, { message }) => fenced(state.base, state.current, message),
    abort: (state, { message, nowMs }) => cancelled(state.base, state.current, message, nowMs),
  },
  publishing: {
    trigger: (state, { reason }) => enqueue(state, reason),
    ack: ignore,
    decline: ignore,
    taskFinished: (state, { task }) => ({ state: { ...state, base: withFinished(state.base, task) }, effects: [] }),
    timeout: (state, event) => expired(state, event, 'the store has not answered'),
    publishDone: (state, { checkpointId, outbox, nowMs }) =>
      checkpointId === state.current.checkpointId ? completed(state.base, state.current, outbox, nowMs) : ignore(state),
    publishFailed: (state, { checkpointId, message, nowMs }) => {
      if (checkpointId !== state.current.checkpointId) return ignore(state)
      return failed(uncertain(state).base, state.current, 'io', message, nowMs)
    },
    outboxApplied: (state, { checkpointId }) => applied(state, checkpointId),
    outboxFailed: (state, event) => outboxFailed(state, state.current, event),
    savepointReleased: released,
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
    outboxApplied: ignore,
    outboxFailed: ignore,
    savepointReleased: ignore,
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

/** Begins, or waits until few enough outboxes are unapplied. */
function beginOrWait(
  base: ProtocolBase,
  kind: CheckpointKind,
  nowMs: number,
  effects: readonly ProtocolEffect[],
): ProtocolStep {
  if (!mayBegin(base)) {
    const wanted = kind === 'savepoint' || base.wanted === 'savepoint' ? 'savepoint' : 'checkpoint'
    return { state: { phase: 'idle', base: { ...base, wanted } }, effects }
  }
  const { state, effects: more } = begin(base, kind, nowMs)
  return { state, effects: [...effects, ...more] }
}

function completed(base: ProtocolBase, current: CurrentCheckpoint, outbox: boolean, nowMs: number): ProtocolStep {
  const { checkpointId, kind, queued } = current
  const published = afterPublished({ ...base, failures: 0 }, { checkpointId, kind }, outbox)
  return toIdle(published.base, queued, nowMs, [{ type: 'notifyComplete', checkpointId }, ...published.effects])
}

function applied<P extends In<'collecting'> | In<'publishing'>>(state: P, checkpointId: number): ProtocolStep {
  const step = afterApplied(state.base, checkpointId)
  return step === null ? ignore(state) : { state: { ...state, base: step.base }, effects: step.effects }
}

function outboxFailed(
  state: ProtocolState,
  current: CurrentCheckpoint | null,
  { checkpointId, message }: Event<'outboxFailed'>,
): ProtocolStep {
  if (state.base.unapplied[0] !== checkpointId) return ignore(state)
  return stopped(state.base, current, 'SINK_FAILED', message)
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

/** It goes with the next success that has no room for it: what it holds may be what the job would restart from. */
function released(state: ProtocolState, { checkpointId }: Event<'savepointReleased'>): ProtocolStep {
  const { retained } = state.base
  if (!retained.some((entry) => entry.checkpointId === checkpointId && entry.kind === 'savepoint')) return ignore(state)
  const kept = retained.map((entry) =>
    entry.checkpointId === checkpointId ? { checkpointId, kind: 'checkpoint' as const } : entry,
  )
  return { state: { ...state, base: { ...state.base, retained: kept } }, effects: [] }
}

function fenced(base: ProtocolBase, current: CurrentCheckpoint | null, message: string): ProtocolStep {
  return stopped(base, current, 'STORE_FENCED', message)
}

function stopped(
  base: ProtocolBase,
  current: CurrentCheckpoint | null,
  code: 'STORE_FENCED' | 'SINK_FAILED',
  message: string,
): ProtocolStep {
  const effects: ProtocolEffect[] = []
  if (current !== null) {
    effects.push({ type: 'abort', checkpointId: current.checkpointId, failure: 'cancelled', message })
  }
  effects.push({ type: 'failJob', code, message })
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
  return beginOrWait(rested, queued, nowMs, effects)
}

function uncertain(state: In<'publishing'>): In<'publishing'> {
  const { base, current } = state
  return { ...state, base: { ...base, uncertain: [...base.uncertain, current.checkpointId] } }
}

function withFinished(base: ProtocolBase, task: string): ProtocolBase {
  if (!base.tasks.has(task) || base.finished.has(task)) return base
  return { ...base, finished: new Set([...base.finished, task]) }
}
