import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { stepProtocol } from '../../src/checkpoint/protocol.ts'
import {
  type ProtocolEvent,
  type ProtocolSettings,
  type ProtocolState,
  protocolEventTypes,
  protocolPhases,
  type TriggerReason,
  UNAPPLIED_MAX,
} from '../../src/checkpoint/protocol-types.ts'
import { ack, Run, trigger } from './protocol-run.ts'

const tasks = ['s/0', 's/1', 'w/0']
/** An abstract event; `id` picks the current checkpoint or a wrong one when it is made concrete. */
const anyAction = fc.record({
  type: fc.oneof(
    { weight: 30, arbitrary: fc.constantFrom('trigger' as const, 'publishDone' as const) },
    { weight: 60, arbitrary: fc.constant('ack' as const) },
    { weight: 12, arbitrary: fc.constant('outboxApplied' as const) },
    { weight: 5, arbitrary: fc.constantFrom('decline', 'taskFinished', 'timeout', 'publishFailed', 'abort') },
    { weight: 10, arbitrary: fc.constant('savepointReleased' as const) },
    { weight: 1, arbitrary: fc.constantFrom('fenced', 'outboxFailed') },
  ) as fc.Arbitrary<ProtocolEvent['type']>,
  task: fc.constantFrom(...tasks),
  reason: fc.constantFrom<TriggerReason>('periodic', 'periodic', 'requested', 'savepoint', 'outboxFull'),
  outbox: fc.boolean(),
  failure: fc.constantFrom('async' as const, 'declined' as const),
  offBy: fc.constantFrom(0, 0, 0, 0, 0, -1, 1),
  passMs: fc.constantFrom(0, 1, 400, 3000),
})

function concrete(
  action: typeof anyAction extends fc.Arbitrary<infer T> ? T : never,
  state: ProtocolState,
  nowMs: number,
): ProtocolEvent {
  const { type, task, reason, failure } = action
  const current =
    state.phase === 'collecting' || state.phase === 'publishing' ? state.current.checkpointId : state.base.nextId - 1
  const checkpointId = current + action.offBy
  const applying = state.base.unapplied[0] ?? current
  const message = 'why'
  switch (type) {
    case 'trigger':
      return { type, reason, nowMs }
    case 'ack':
      return { type, checkpointId, task, nowMs }
    case 'decline':
      return { type, checkpointId, task, failure, message, nowMs }
    case 'taskFinished':
      return { type, task, nowMs }
    case 'timeout':
      return { type, checkpointId, nowMs }
    case 'publishDone':
      return { type, checkpointId, outbox: action.outbox, nowMs }
    case 'outboxApplied':
      return { type, checkpointId: applying + action.offBy, nowMs }
    case 'outboxFailed':
      return { type, checkpointId: applying + action.offBy, message, nowMs }
    case 'publishFailed':
      return { type, checkpointId, message, nowMs }
    case 'savepointReleased':
      return { type, checkpointId }
    case 'fenced':
      return { type, message }
    case 'abort':
      return { type, message, nowMs }
  }
}

describe('checkpoint protocol, any events in any order', () => {
  const anySettings: fc.Arbitrary<ProtocolSettings> = fc.record({
    intervalMs: fc.constantFrom(0, 1000),
    minPauseMs: fc.constantFrom(0, 500),
    timeoutMs: fc.constantFrom(2000, 10_000),
    retain: fc.integer({ min: 1, max: 3 }),
    tolerableFailures: fc.nat(3),
  })

  test('the rules hold', () => {
    fc.assert(
      fc.property(anySettings, fc.array(anyAction, { maxLength: 150, size: 'max' }), (chosen, actions) => {
        const run = new Run({ settings: chosen, tasks })
        let nowMs = 0
        // The model: what an onlooker who sees only events and effects knows.
        let current: { id: number; savepoint: boolean; startedMs: number; published: boolean } | null = null
        let acked = new Set<string>()
        const finished = new Set<string>()
        let lastId = 0
        let endedMs = Number.NEGATIVE_INFINITY
        let startedMs = Number.NEGATIVE_INFINITY
        let failures = 0
        let stopped = false
        const exists: { id: number; savepoint: boolean }[] = []
        const uncertain = new Set<number>()
        /** Completed, with records that sinks have not applied; and the one that they have been asked to apply. */
        const unapplied: number[] = []
        let asked = 0
        let settled = 0
        let held = false
        // Savepoints that were released since the last success: they are above what is retained.
        let released = 0
        for (const action of actions) {
          nowMs += action.passMs
          const event = concrete(action, run.state, nowMs)
          const before = run.state
          const effects = run.feed(event)
          if (event.type === 'ack' && event.checkpointId === current?.id) acked.add(event.task)
          if (event.type === 'taskFinished' && !stopped) finished.add(event.task)
          const copied = exists.find(
            ({ id, savepoint }) => savepoint && 'checkpointId' in event && id === event.checkpointId,
          )
          if (event.type === 'savepointReleased' && copied !== undefined && !stopped) {
            expect(effects).toEqual([])
            copied.savepoint = false
            released++
          }
          if (stopped) {
            expect(effects).toEqual([])
            expect(run.state).toBe(before)
            continue
          }
          if (effects.length === 0 && run.state === before) continue
          if (event.type === 'outboxApplied') {
            // Only what was asked for changes anything but wishes.
            expect(event.checkpointId).toBe(asked)
            expect(unapplied.shift()).toBe(asked)
            asked = 0
          }
          for (const effect of effects) {
            switch (effect.type) {
              case 'injectBarriers':
                expect(current).toBeNull()
                expect(unapplied.length).toBeLessThan(UNAPPLIED_MAX)
                expect(effect.checkpointId).toBe(lastId + 1)
                if (event.type === 'trigger' && event.reason === 'periodic') {
                  expect(nowMs).toBeGreaterThanOrEqual(startedMs + chosen.intervalMs)
                  expect(nowMs).toBeGreaterThanOrEqual(endedMs + chosen.minPauseMs)
                }
                lastId = effect.checkpointId
                startedMs = nowMs
                acked = new Set()
                current = { id: lastId, savepoint: effect.kind === 'savepoint', startedMs: nowMs, published: false }
                break
              case 'publish': {
                // With everybody finished there are no barriers.
                if (current === null) {
                  expect(unapplied.length).toBeLessThan(UNAPPLIED_MAX)
                  expect([...finished].sort()).toEqual(tasks)
                  expect(effect.checkpointId).toBe(lastId + 1)
                  lastId = effect.checkpointId
                  startedMs = nowMs
                  current = { id: lastId, savepoint: effect.kind === 'savepoint', startedMs: nowMs, published: false }
                }
                expect(effect.checkpointId).toBe(current.id)
                expect(effect.kind === 'savepoint').toBe(current.savepoint)
                expect(current.published).toBe(false)
                for (const task of tasks) expect(acked.has(task) || finished.has(task)).toBe(true)
                current.published = true
                break
              }
              case 'notifyComplete':
                expect(event).toMatchObject({ type: 'publishDone', checkpointId: effect.checkpointId })
                expect(current).toMatchObject({ id: effect.checkpointId, published: true })
                exists.push({ id: effect.checkpointId, savepoint: current!.savepoint })
                if (event.type === 'publishDone' && event.outbox) unapplied.push(effect.checkpointId)
                failures = 0
                released = 0
                current = null
                endedMs = nowMs
                break
              case 'applyOutbox':
                // It exists, it is the oldest, and no other is being applied.
                expect(asked).toBe(0)
                expect(effect.checkpointId).toBe(unapplied[0])
                asked = effect.checkpointId
                break
              case 'settled':
                expect(effect.checkpointId).toBeGreaterThan(settled)
                expect(exists.at(-1)?.id ?? lastId).toBeGreaterThanOrEqual(effect.checkpointId)
                settled = effect.checkpointId
                break
              case 'hold':
                expect(effect.held).toBe(!held)
                held = effect.held
                break
              case 'subsume':
                for (const id of effect.checkpointIds) {
                  expect(unapplied).not.toContain(id)
                  const index = exists.findIndex((entry) => entry.id === id)
                  if (index < 0) expect(uncertain.has(id)).toBe(true)
                  else {
                    expect(exists[index]!.savepoint).toBe(false)
                    exists.splice(index, 1)
                  }
                }
                if (event.type === 'publishDone') uncertain.clear()
                break
              case 'abort':
                expect(effect.checkpointId).toBe(current?.id)
                if ('checkpointId' in event && event.type !== 'outboxFailed')
                  expect(event.checkpointId).toBe(effect.checkpointId)
                if (effect.failure !== 'cancelled' && !current!.savepoint) failures++
                if (effect.failure === 'expired') {
                  expect(nowMs).toBeGreaterThanOrEqual(current!.startedMs + chosen.timeoutMs)
                }
                if (current!.published && event.type !== 'fenced' && event.type !== 'outboxFailed') {
                  uncertain.add(effect.checkpointId)
                }
                current = null
                endedMs = nowMs
                break
              case 'failJob':
                stopped = true
                if (effect.code === 'STORE_FENCED') expect(event.type).toBe('fenced')
                else if (effect.code === 'SINK_FAILED') {
                  expect(event).toMatchObject({ type: 'outboxFailed', checkpointId: asked })
                } else expect(failures).toBe(chosen.tolerableFailures + 1)
                break
            }
          }
          if (!stopped) {
            expect(failures).toBeLessThanOrEqual(chosen.tolerableFailures)
            const plain = exists.filter((entry) => !entry.savepoint)
            const old = plain.slice(0, Math.max(0, plain.length - chosen.retain))
            expect(old.filter(({ id }) => !unapplied.includes(id)).length).toBeLessThanOrEqual(released)
            expect(run.state.base.retained.map((entry) => entry.kind === 'savepoint')).toEqual(
              exists.map((entry) => entry.savepoint),
            )
            expect(unapplied.length).toBeLessThanOrEqual(UNAPPLIED_MAX)
            expect(run.state.base.unapplied).toEqual(unapplied)
            expect(held).toBe(unapplied.length === UNAPPLIED_MAX)
            expect(asked).toBe(unapplied[0] ?? 0)
            // Whoever waits for results to be with the sinks is told, neither too early nor never.
            const newest = exists.filter((entry) => entry.id < (unapplied[0] ?? Infinity)).at(-1)?.id ?? 0
            expect(settled).toBeGreaterThanOrEqual(newest)
            expect(settled).toBeLessThan(unapplied[0] ?? Infinity)
            expect(run.state.base.retained.map((entry) => entry.checkpointId)).toEqual(exists.map((entry) => entry.id))
            expect([...run.state.base.uncertain].sort()).toEqual([...uncertain].sort())
            expect(run.state.phase).toBe(current === null ? 'idle' : current.published ? 'publishing' : 'collecting')
          }
        }
        // From wherever it is, it can go on: the current one can be completed.
        if (run.state.phase === 'collecting') {
          const { checkpointId } = run.state.current
          for (const task of tasks) run.feed({ type: 'ack', checkpointId, task, nowMs })
          expect(run.state.phase).toBe('publishing')
        }
        if (run.state.phase === 'publishing') {
          const { checkpointId, queued } = run.state.current
          const effects = run.feed({ type: 'publishDone', checkpointId, outbox: false, nowMs })
          expect(effects[0]).toEqual({ type: 'notifyComplete', checkpointId })
          const phases: string[] = [run.state.phase]
          expect(phases.includes('idle')).toBe(queued === null || unapplied.length === UNAPPLIED_MAX)
        }
        // And what waits for sinks begins once they have applied what they were given.
        if (run.state.phase === 'idle' && run.state.base.wanted !== null) {
          run.feed({ type: 'outboxApplied', checkpointId: run.state.base.unapplied[0]!, nowMs })
          const phases: string[] = [run.state.phase]
          expect(phases[0]).not.toBe('idle')
        }
      }),
      { numRuns: 500 },
    )
  })

  test('every event is allowed in every phase, and every phase is reached', () => {
    const reached = new Map<string, ProtocolState>()
    const runs: readonly (readonly ProtocolEvent[])[] = [
      [],
      [trigger(1000)],
      [trigger(1000), ...tasks.map((task) => ack(1, task))],
      [{ type: 'fenced', message: 'x' }],
    ]
    for (const events of runs) {
      const run = new Run({ tasks })
      for (const event of events) run.feed(event)
      reached.set(run.state.phase, run.state)
    }
    expect([...reached.keys()].sort()).toEqual([...protocolPhases].sort())
    for (const state of reached.values()) {
      for (const type of protocolEventTypes) {
        const action = {
          type,
          task: 'w/0',
          reason: 'requested',
          outbox: true,
          failure: 'async',
          offBy: 0,
          passMs: 0,
        } as const
        const { state: next } = stepProtocol(state, concrete(action, state, 1500))
        expect(protocolPhases).toContain(next.phase)
      }
    }
  })

  test('states are values: a step leaves the one before as it was', () => {
    const freeze = (value: unknown): void => {
      if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return
      Object.freeze(value)
      for (const inner of Object.values(value)) freeze(inner)
    }
    const snapshot = (state: ProtocolState): string =>
      JSON.stringify(state, (_, value: unknown) => (value instanceof Set ? [...(value as Set<string>)] : value))
    fc.assert(
      fc.property(fc.array(anyAction, { maxLength: 60 }), (actions) => {
        const run = new Run({ tasks })
        let nowMs = 0
        for (const action of actions) {
          nowMs += action.passMs
          freeze(run.state)
          const before = run.state
          const text = snapshot(before)
          run.feed(concrete(action, run.state, nowMs))
          expect(snapshot(before)).toBe(text)
        }
      }),
    )
  })
})
