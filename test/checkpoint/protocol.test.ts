import { describe, expect, test } from 'vitest'
import { nextWakeMs } from '../../src/checkpoint/protocol.ts'
import type { ProtocolEffect, RetainedCheckpoint } from '../../src/checkpoint/protocol-types.ts'
import { ack, Run, settings, trigger } from './protocol-run.ts'

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
    expect(run.feed({ type: 'publishDone', checkpointId: 1, outbox: false, nowMs: 1100 })).toEqual([
      { type: 'notifyComplete', checkpointId: 1 },
      { type: 'settled', checkpointId: 1 },
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
    expect(run.feed({ type: 'publishDone', checkpointId: 1, outbox: false, nowMs: 3000 })).toEqual([
      { type: 'notifyComplete', checkpointId: 1 },
      { type: 'settled', checkpointId: 1 },
      { type: 'injectBarriers', checkpointId: 2, kind: 'savepoint' },
    ])
  })

  test('the pause counts from the end, the interval from the trigger', () => {
    const run = new Run({ settings: { ...settings, minPauseMs: 700 } })
    run.feed(trigger(1000))
    run.feed(ack(1, 's/0'))
    run.feed(ack(1, 'w/0'))
    run.feed({ type: 'publishDone', checkpointId: 1, outbox: false, nowMs: 1900 })
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
    expect(run.complete(10)).toEqual([
      { type: 'notifyComplete', checkpointId: 6 },
      { type: 'settled', checkpointId: 6 },
    ])
    run.feed(trigger(20, 'requested'))
    run.feed(ack(7, 's/0'))
    run.feed(ack(7, 'w/0'))
    expect(run.feed({ type: 'publishFailed', checkpointId: 7, message: 'no answer', nowMs: 30 })).toEqual([
      { type: 'abort', checkpointId: 7, failure: 'io', message: 'no answer' },
    ])
    expect(run.complete(40)).toEqual([
      { type: 'notifyComplete', checkpointId: 8 },
      { type: 'settled', checkpointId: 8 },
      { type: 'subsume', checkpointIds: [5, 7] },
    ])
    expect(run.state.base.retained.map((entry) => entry.checkpointId)).toEqual([4, 6, 8])
  })

  test('a savepoint that was copied is a checkpoint like any other, and goes when its time comes', () => {
    const retained: RetainedCheckpoint[] = [{ checkpointId: 4, kind: 'savepoint' }]
    const run = new Run({ lastCheckpointId: 4, retained })
    run.complete(10)
    run.complete(20)
    expect(run.feed({ type: 'savepointReleased', checkpointId: 5 })).toEqual([])
    expect(run.feed({ type: 'savepointReleased', checkpointId: 4 })).toEqual([])
    expect(run.state.base.retained.map((entry) => entry.checkpointId)).toEqual([4, 5, 6])
    expect(run.complete(30)).toEqual([
      { type: 'notifyComplete', checkpointId: 7 },
      { type: 'settled', checkpointId: 7 },
      { type: 'subsume', checkpointIds: [4, 5] },
    ])
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
    expect(run.feed({ type: 'publishDone', checkpointId: 1, outbox: false, nowMs: 11_001 })).toEqual([])
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
    run.feed({ type: 'publishDone', checkpointId: 1, outbox: false, nowMs: 1001 })
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
