import { describe, expect, it } from 'vitest'
import { pendingRecords, ReadinessGate, type ReadyJob } from '../../src/observe/readiness.ts'

/** A job with a source of subtasks that are so far behind, and a window that has nothing of its own. */
function job(name: string, state: string, pending: readonly number[], attempt = 1, reason = ''): ReadyJob {
  const source = pending.map((records) => ({ stats: { operator: 'events', pendingRecords: records } }))
  return {
    summary: { name, state, reason, attempt },
    graph: {
      operators: [
        { id: 'events', kind: 'source' },
        { id: 'window', kind: 'window' },
      ],
    },
    subtasks: [...source, { stats: { operator: 'window', pendingRecords: 0 } }],
  }
}

describe('a server is ready', () => {
  it('when its jobs run or are at rest; not while one starts, restarts or has failed', () => {
    const jobs = [
      job('a', 'RUNNING', [9]),
      job('b', 'RESTARTING', [], 1, 'BROKER_UNREACHABLE'),
      job('c', 'FAILED', []),
      job('d', 'CANCELLED', []),
    ]
    expect(new ReadinessGate(0).look(jobs)).toEqual({
      ready: false,
      reasons: ['job b is RESTARTING: BROKER_UNREACHABLE', 'job c is FAILED'],
    })
    expect(new ReadinessGate(0).look([])).toEqual({ ready: true, reasons: [] })
  })

  it('not before each job has come within the lag, over all subtasks of its sources', () => {
    const gate = new ReadinessGate(10)
    expect(gate.look([job('a', 'RUNNING', [6, 5])]).reasons).toEqual([
      'job a catches up: it is 11 records behind, and 10 are let pass',
    ])
    expect(gate.look([job('a', 'RUNNING', [5, 5])]).ready).toBe(true)
  })

  it('not while a job does not know how far behind it is', () => {
    for (const pending of [[], [0, -1]]) {
      expect(new ReadinessGate(10).look([job('a', 'RUNNING', pending)]).reasons).toEqual([
        'job a catches up: it does not know yet how far behind it is, and 10 are let pass',
      ])
    }
  })

  it('for the rest of an attempt that has caught up once, however far behind it falls; the next one must again', () => {
    const gate = new ReadinessGate(10)
    gate.look([job('a', 'RUNNING', [0])])
    expect(gate.look([job('a', 'RUNNING', [1000])]).ready).toBe(true)
    expect(gate.look([job('a', 'RUNNING', [1000], 2)]).ready).toBe(false)
    gate.look([job('a', 'RUNNING', [0], 2)])
    // Another job of the name may have the same attempt.
    gate.look([])
    expect(gate.look([job('a', 'RUNNING', [1000], 2)]).ready).toBe(false)
  })

  it('whatever is left to read of a job that is at its end', () => {
    expect(new ReadinessGate(10).look([job('a', 'FINISHED', [-1]), job('b', 'SUSPENDED', [])]).ready).toBe(true)
  })
})

describe('records behind the end', () => {
  it('are those of sources alone, and unknown when one subtask is', () => {
    expect(pendingRecords(job('a', 'RUNNING', [3, 4]))).toBe(7)
    expect(pendingRecords(job('a', 'RUNNING', [3, -1]))).toBe(-1)
  })
})
