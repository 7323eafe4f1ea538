import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { nextWakeMs, type ProtocolStart, startProtocol, stepProtocol } from '../../src/checkpoint/protocol.ts'
import type {
  ProtocolEffect,
  ProtocolEvent,
  ProtocolSettings,
  ProtocolState,
  RetainedCheckpoint,
} from '../../src/checkpoint/protocol-types.ts'
import { protocolEventTypes, protocolPhases } from '../../src/checkpoint/protocol-types.ts'

const settings: ProtocolSettings = {
  intervalMs: 1000,
  minPauseMs: 0,
  timeoutMs: 10_000,
  retain: 2,
  tolerableFailures: 1,
}
const start: ProtocolStart = { settings, tasks: ['s/0', 'w/0'], lastCheckpointId: 0, retained: [], nowMs: 0 }

/** Feeds events and keeps all effects. */
class Run {
  state: ProtocolState
  effects: ProtocolEffect[] = []

  constructor(from: Partial<ProtocolStart> = {}) {
    this.state = startProtocol({ ...start, ...from })
  }

  /** Returns the effects of this one event. */
  feed(event: ProtocolEvent): readonly ProtocolEffect[] {
    const step = stepProtocol(this.state, event)
    this.state = step.state
    this.effects.push(...step.effects)
    return step.effects
  }

  /** Runs one checkpoint to its end. */
  complete(nowMs: number): readonly ProtocolEffect[] {
    this.feed({ type: 'trigger', reason: 'requested', nowMs })
    const checkpointId = this.state.phase === 'collecting' ? this.state.current.checkpointId : 0
    for (const task of this.state.base.tasks) this.feed({ type: 'ack', checkpointId, task, nowMs })
    return this.feed({ type: 'publishDone', checkpointId, nowMs })
  }
}

const trigger = (nowMs: number, reason: 'periodic' | 'requested' | 'savepoint' = 'periodic'): ProtocolEvent => ({
  type: 'trigger',
  reason,
  nowMs,
})
const ack = (checkpointId: number, task: string, nowMs = 0): ProtocolEvent => ({
  type: 'ack',
  checkpointId,
  task,
  nowMs,
})

describe('checkpoint protocol', () => {
  test('inject, collect, publish, notify', () => {
    const run = new Run()
    expect(run.feed(trigger(999))).toEqual([])
    expect(run.feed(trigger(1000))).toEqual([{ type: 'injectBarriers', checkpointId: 1, kind: 'checkpoint' }])
    expect(run.feed(ack(1, 's/0'))).toEqual([])
    expect(run.feed(ack(1, 's/0'))).toEqual([])
    expect(run.feed(ack(2, 'w/0'))).toEqual([])
    expect(run.feed(ack(1, 'nobody'))).toEqual([])
    expect(run.feed(ack(1, 'w/0'))).toEqual([{ type: 'publish', checkpointId: 1, kind: 'checkpoint' }])
    expect(run.feed({ type: 'publishDone', checkpointId: 1, nowMs: 1100 })).toEqual([
      { type: 'notifyComplete', checkpointId: 1 },
    ])
    expect(run.state.phase).toBe('idle')
    expect(nextWakeMs(run.state)).toBe(2000)
  })

  test('goes on above what was used before', () => {
    const run = new Run({ lastCheckpointId: 41 })
    expect(run.feed(trigger(1000))).toMatchObject([{ checkpointId: 42 }])
  })

  test('while one is in flight periodic triggers are dropped, wishes start one more at its end', () => {
    const run = new Run()
    run.feed(trigger(1000))
    expect(run.feed(trigger(2000))).toEqual([])
    expect(run.feed(trigger(2000, 'requested'))).toEqual([])
    expect(run.feed(trigger(2000, 'savepoint'))).toEqual([])
    expect(run.feed(trigger(2000, 'requested'))).toEqual([])
    run.feed(ack(1, 's/0'))
    run.feed(ack(1, 'w/0'))
    expect(run.feed({ type: 'publishDone', checkpointId: 1, nowMs: 3000 })).toEqual([
      { type: 'notifyComplete', checkpointId: 1 },
      { type: 'injectBarriers', checkpointId: 2, kind: 'savepoint' },
    ])
  })

  test('the pause counts from the end, the interval from the trigger', () => {
    const run = new Run({ settings: { ...settings, minPauseMs: 700 } })
    run.feed(trigger(1000))
    run.feed(ack(1, 's/0'))
    run.feed(ack(1, 'w/0'))
    run.feed({ type: 'publishDone', checkpointId: 1, nowMs: 1900 })
    expect(nextWakeMs(run.state)).toBe(2600)
    expect(run.feed(trigger(2599))).toEqual([])
    expect(run.feed(trigger(2600))).toHaveLength(1)
  })

  test('without an interval only wishes start one', () => {
    const run = new Run({ settings: { ...settings, intervalMs: 0 } })
    expect(nextWakeMs(run.state)).toBe(Number.POSITIVE_INFINITY)
    expect(run.feed(trigger(1e12))).toEqual([])
    expect(run.feed(trigger(1, 'requested'))).toHaveLength(1)
  })

  test('retention: the newest stay, savepoints stay, uncertain ones go', () => {
    const retained: RetainedCheckpoint[] = [
      { checkpointId: 5, kind: 'checkpoint' },
      { checkpointId: 4, kind: 'savepoint' },
    ]
    const run = new Run({ lastCheckpointId: 5, retained })
    expect(run.complete(10)).toEqual([{ type: 'notifyComplete', checkpointId: 6 }])
    run.feed(trigger(20, 'requested'))
    run.feed(ack(7, 's/0'))
    run.feed(ack(7, 'w/0'))
    expect(run.feed({ type: 'publishFailed', checkpointId: 7, message: 'no answer', nowMs: 30 })).toEqual([
      { type: 'abort', checkpointId: 7, failure: 'io', message: 'no answer' },
    ])
    expect(run.complete(40)).toEqual([
      { type: 'notifyComplete', checkpointId: 8 },
      { type: 'subsume', checkpointIds: [5, 7] },
    ])
    expect(run.state.base.retained.map((entry) => entry.checkpointId)).toEqual([4, 6, 8])
  })

  test('a checkpoint that waits too long expires, and says for whom', () => {
    const run = new Run()
    run.feed(trigger(1000))
    run.feed(ack(1, 's/0'))
    expect(nextWakeMs(run.state)).toBe(11_000)
    expect(run.feed({ type: 'timeout', checkpointId: 1, nowMs: 10_999 })).toEqual([])
    expect(run.feed({ type: 'timeout', checkpointId: 0, nowMs: 11_000 })).toEqual([])
    const [effect] = run.feed({ type: 'timeout', checkpointId: 1, nowMs: 11_000 })
    expect(effect).toMatchObject({
      type: 'abort',
      failure: 'expired',
      message: expect.stringContaining('w/0') as string,
    })
  })

  test('a store that does not answer in time leaves an uncertain checkpoint', () => {
    const run = new Run()
    run.feed(trigger(1000))
    run.feed(ack(1, 's/0'))
    run.feed(ack(1, 'w/0'))
    expect(run.feed({ type: 'timeout', checkpointId: 1, nowMs: 5000 })).toEqual([])
    expect(run.state.base.uncertain).toEqual([])
    run.feed({ type: 'timeout', checkpointId: 1, nowMs: 11_000 })
    expect(run.state.base.uncertain).toEqual([1])
    // The answer comes after all: too late.
    expect(run.feed({ type: 'publishDone', checkpointId: 1, nowMs: 11_001 })).toEqual([])
    expect(run.complete(12_000).at(-1)).toEqual({ type: 'subsume', checkpointIds: [1] })
  })

  test('failures in a row fail the job, a success in between does not let them', () => {
    const run = new Run()
    const decline = (checkpointId: number): readonly ProtocolEffect[] => {
      run.feed(trigger(checkpointId, 'requested'))
      const event = { type: 'decline', checkpointId, task: 'w/0', failure: 'async', message: 'disk', nowMs: 0 } as const
      const effects = run.feed(event)
      expect(run.feed({ ...event, task: 's/0' })).toEqual([])
      return effects
    }
    expect(decline(1).map((effect) => effect.type)).toEqual(['abort'])
    run.complete(2)
    expect(decline(3).map((effect) => effect.type)).toEqual(['abort'])
    const effects = decline(4)
    expect(effects.map((effect) => effect.type)).toEqual(['abort', 'failJob'])
    expect(effects[1]).toMatchObject({
      code: 'CHECKPOINT_FAILED',
      message: expect.stringContaining('w/0: disk') as string,
    })
    expect(run.state.phase).toBe('stopped')
  })

  test('savepoints and what is cancelled do not count', () => {
    const run = new Run({ settings: { ...settings, tolerableFailures: 0 } })
    run.feed(trigger(1, 'savepoint'))
    run.feed({ type: 'decline', checkpointId: 1, task: 'w/0', failure: 'declined', message: 'x', nowMs: 1 })
    expect(run.state).toMatchObject({ phase: 'idle', base: { failures: 0 } })
    run.feed(trigger(2, 'requested'))
    run.feed(trigger(2, 'requested'))
    expect(run.feed({ type: 'abort', message: 'restart', nowMs: 3 })).toEqual([
      { type: 'abort', checkpointId: 2, failure: 'cancelled', message: 'restart' },
    ])
    expect(run.state).toMatchObject({ phase: 'idle', base: { failures: 0 } })
  })

  test('finished subtasks are not waited for; when all are, their snapshots are the checkpoint', () => {
    const run = new Run()
    run.feed(trigger(1000))
    run.feed({ type: 'taskFinished', task: 's/0', nowMs: 1000 })
    expect(run.feed({ type: 'taskFinished', task: 'w/0', nowMs: 1000 })).toEqual([
      { type: 'publish', checkpointId: 1, kind: 'checkpoint' },
    ])
    run.feed({ type: 'publishDone', checkpointId: 1, nowMs: 1001 })
    expect(run.feed(trigger(2000))).toEqual([{ type: 'publish', checkpointId: 2, kind: 'checkpoint' }])
  })

  test('fenced: the checkpoint is forgotten and the job failed, once', () => {
    const run = new Run()
    run.feed(trigger(1000))
    expect(run.feed({ type: 'fenced', message: 'generation 2' })).toEqual([
      { type: 'abort', checkpointId: 1, failure: 'cancelled', message: 'generation 2' },
      { type: 'failJob', code: 'STORE_FENCED', message: 'generation 2' },
    ])
    expect(run.feed({ type: 'fenced', message: 'again' })).toEqual([])
  })
})

const tasks = ['s/0', 's/1', 'w/0']
/** An abstract event; `id` picks the current checkpoint or a wrong one when it is made concrete. */
const anyAction = fc.record({
  type: fc.oneof(
    { weight: 30, arbitrary: fc.constantFrom('trigger' as const, 'publishDone' as const) },
    { weight: 60, arbitrary: fc.constant('ack' as const) },
    { weight: 5, arbitrary: fc.constantFrom('decline', 'taskFinished', 'timeout', 'publishFailed', 'abort') },
    { weight: 1, arbitrary: fc.constant('fenced' as const) },
  ) as fc.Arbitrary<ProtocolEvent['type']>,
  task: fc.constantFrom(...tasks),
  reason: fc.constantFrom('periodic' as const, 'periodic' as const, 'requested' as const, 'savepoint' as const),
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
    case 'publishDone':
      return { type, checkpointId, nowMs }
    case 'publishFailed':
      return { type, checkpointId, message, nowMs }
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
        for (const action of actions) {
          nowMs += action.passMs
          const event = concrete(action, run.state, nowMs)
          const before = run.state
          const effects = run.feed(event)
          if (event.type === 'ack' && event.checkpointId === current?.id) acked.add(event.task)
          if (event.type === 'taskFinished' && !stopped) finished.add(event.task)
          if (stopped) {
            expect(effects).toEqual([])
            expect(run.state).toBe(before)
            continue
          }
          if (effects.length === 0 && run.state === before) continue
          for (const effect of effects) {
            switch (effect.type) {
              case 'injectBarriers':
                expect(current).toBeNull()
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
                failures = 0
                current = null
                endedMs = nowMs
                break
              case 'subsume':
                for (const id of effect.checkpointIds) {
                  const index = exists.findIndex((entry) => entry.id === id)
                  if (index < 0) expect(uncertain.has(id)).toBe(true)
                  else {
                    expect(exists[index]!.savepoint).toBe(false)
                    exists.splice(index, 1)
                  }
                }
                uncertain.clear()
                break
              case 'abort':
                expect(effect.checkpointId).toBe(current?.id)
                if ('checkpointId' in event) expect(event.checkpointId).toBe(effect.checkpointId)
                if (effect.failure !== 'cancelled' && !current!.savepoint) failures++
                if (effect.failure === 'expired') {
                  expect(nowMs).toBeGreaterThanOrEqual(current!.startedMs + chosen.timeoutMs)
                }
                if (current!.published && event.type !== 'fenced') uncertain.add(effect.checkpointId)
                current = null
                endedMs = nowMs
                break
              case 'failJob':
                stopped = true
                if (effect.code === 'STORE_FENCED') expect(event.type).toBe('fenced')
                else expect(failures).toBe(chosen.tolerableFailures + 1)
                break
            }
          }
          if (!stopped) {
            expect(failures).toBeLessThanOrEqual(chosen.tolerableFailures)
            expect(exists.filter((entry) => !entry.savepoint).length).toBeLessThanOrEqual(chosen.retain)
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
          const effects = run.feed({ type: 'publishDone', checkpointId, nowMs })
          expect(effects[0]).toEqual({ type: 'notifyComplete', checkpointId })
          const phases: string[] = [run.state.phase]
          expect(phases.includes('idle')).toBe(queued === null)
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
        const action = { type, task: 'w/0', reason: 'requested', failure: 'async', offBy: 0, passMs: 0 } as const
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
