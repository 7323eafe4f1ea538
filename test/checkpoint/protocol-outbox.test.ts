import { describe, expect, test } from 'vitest'
import { nextWakeMs } from '../../src/checkpoint/protocol.ts'
import { ack, Run, settings, trigger } from './protocol-run.ts'

const applied = (checkpointId: number, nowMs = 0) => ({ type: 'outboxApplied', checkpointId, nowMs }) as const

describe('outboxes in the checkpoint protocol', () => {
  test('an outbox is applied after its manifest is durable, and only then is the checkpoint settled', () => {
    const run = new Run()
    expect(run.complete(10, true)).toEqual([
      { type: 'notifyComplete', checkpointId: 1 },
      { type: 'applyOutbox', checkpointId: 1 },
    ])
    expect(run.feed(applied(1))).toEqual([{ type: 'settled', checkpointId: 1 }])
    expect(run.feed(applied(1))).toEqual([])
  })

  test('in order, one at a time; one without records is settled with those before it', () => {
    const run = new Run()
    run.complete(10, true)
    expect(run.complete(20, false)).toEqual([{ type: 'notifyComplete', checkpointId: 2 }])
    expect(run.complete(30, true)).toEqual([
      { type: 'notifyComplete', checkpointId: 3 },
      { type: 'hold', held: true },
    ])
    expect(run.feed(applied(3))).toEqual([])
    expect(run.feed(applied(1))).toEqual([
      { type: 'settled', checkpointId: 2 },
      { type: 'applyOutbox', checkpointId: 3 },
      { type: 'hold', held: false },
      { type: 'subsume', checkpointIds: [1] },
    ])
    expect(run.feed(applied(3))).toEqual([{ type: 'settled', checkpointId: 3 }])
  })

  test('with two unapplied no checkpoint begins; what is asked for meanwhile is one, and a savepoint if any was', () => {
    const run = new Run()
    run.complete(10, true)
    run.complete(20, true)
    expect(nextWakeMs(run.state)).toBe(Number.POSITIVE_INFINITY)
    expect(run.feed(trigger(5000))).toEqual([])
    expect(run.feed(trigger(5000, 'savepoint'))).toEqual([])
    expect(run.feed(trigger(5000, 'requested'))).toEqual([])
    expect(run.feed(applied(1, 6000)).slice(0, 4)).toEqual([
      { type: 'settled', checkpointId: 1 },
      { type: 'applyOutbox', checkpointId: 2 },
      { type: 'hold', held: false },
      { type: 'injectBarriers', checkpointId: 3, kind: 'savepoint' },
    ])
    // The periodic one, which is overdue, follows when that one ends.
    run.feed({ type: 'abort', message: 'x', nowMs: 6001 })
    expect(nextWakeMs(run.state)).toBeLessThanOrEqual(7000)
  })

  test('what was wanted is not wanted of a job that stops', () => {
    const run = new Run()
    run.complete(10, true)
    run.complete(20, true)
    run.feed(trigger(30, 'requested'))
    expect(run.feed({ type: 'abort', message: 'stop', nowMs: 40 })).toEqual([])
    expect(run.feed(applied(1)).map((effect) => effect.type)).not.toContain('injectBarriers')
  })

  test('an unapplied checkpoint is never subsumed; once applied it goes as any other', () => {
    const run = new Run({ settings: { ...settings, retain: 1 } })
    run.complete(10, true)
    expect(run.complete(20, false)).toEqual([{ type: 'notifyComplete', checkpointId: 2 }])
    expect(run.complete(30, false)).toEqual([
      { type: 'notifyComplete', checkpointId: 3 },
      { type: 'subsume', checkpointIds: [2] },
    ])
    expect(run.state.base.retained.map((entry) => entry.checkpointId)).toEqual([1, 3])
    expect(run.feed(applied(1))).toEqual([
      { type: 'settled', checkpointId: 3 },
      { type: 'subsume', checkpointIds: [1] },
    ])
  })

  test('an epoch with much for the sinks ends early, one in flight included', () => {
    const run = new Run()
    expect(run.feed(trigger(1, 'outboxFull'))).toMatchObject([{ type: 'injectBarriers', checkpointId: 1 }])
    run.feed(trigger(2, 'outboxFull'))
    for (const task of run.state.base.tasks) run.feed(ack(1, task))
    const done = { type: 'publishDone', checkpointId: 1, outbox: true, nowMs: 3 } as const
    expect(run.feed(done).at(-1)).toMatchObject({ type: 'injectBarriers', checkpointId: 2, kind: 'checkpoint' })
  })

  test('a sink that fails ends the attempt, with what is in flight', () => {
    const run = new Run()
    run.complete(10, true)
    run.feed(trigger(1000, 'requested'))
    const failed = { type: 'outboxFailed', checkpointId: 1, message: 'sink out: no broker', nowMs: 1001 } as const
    expect(run.feed({ ...failed, checkpointId: 2 })).toEqual([])
    expect(run.feed(failed)).toEqual([
      { type: 'abort', checkpointId: 2, failure: 'cancelled', message: 'sink out: no broker' },
      { type: 'failJob', code: 'SINK_FAILED', message: 'sink out: no broker' },
    ])
    expect(run.state.phase).toBe('stopped')
    expect(run.feed(applied(1))).toEqual([])
  })

  test('applied while the next one is collected or published', () => {
    const run = new Run()
    run.complete(10, true)
    run.feed(trigger(1000, 'requested'))
    expect(run.feed(applied(1))).toEqual([{ type: 'settled', checkpointId: 1 }])
    expect(run.state.phase).toBe('collecting')
    for (const task of run.state.base.tasks) run.feed(ack(2, task))
    run.feed({ type: 'publishDone', checkpointId: 2, outbox: true, nowMs: 1 })
    run.feed(trigger(3000, 'requested'))
    for (const task of run.state.base.tasks) run.feed(ack(3, task))
    expect(run.state.phase).toBe('publishing')
    expect(run.feed(applied(2))).toEqual([{ type: 'settled', checkpointId: 2 }])
    expect(run.state.phase).toBe('publishing')
  })
})
