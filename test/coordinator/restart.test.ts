import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  baseDelayMs,
  decideRestart,
  noFailures,
  defaultRestartPolicy as policy,
  type RestartMemory,
  restartBegun,
  whyNoMore,
} from '../../src/coordinator/restart.ts'
import { type Random, SeededRandom } from '../../src/core/clock.ts'
import { type ErrorCode, MillraceError } from '../../src/core/errors.ts'
import type { RestartDefinition } from '../../src/job/restart-definition.ts'

const failure = (code: ErrorCode) => new MillraceError(code, 'test').toData()
const middle: Random = { nextUint32: () => 0x8000_0000 }

/** Delays of failures that come right after each restart. */
function delays(count: number, random: Random, gapMs = 0): number[] {
  const seen: number[] = []
  let memory: RestartMemory = noFailures
  let nowMs = 0
  for (let i = 0; i < count; i++) {
    const decision = decideRestart(policy, memory, failure('BROKER_ERROR'), nowMs, random)
    if (decision.kind !== 'restart') throw new Error(decision.kind)
    seen.push(decision.delayMs)
    memory = restartBegun(decision.memory)
    nowMs = decision.memory.dueMs + gapMs
  }
  return seen
}

describe('decideRestart', () => {
  it('waits 1 s, then 1.5 times as long each time, at most 1 min', () => {
    expect(delays(4, middle)).toEqual([1000, 1500, 2250, 3375])
    expect(delays(30, middle).at(-1)).toBe(60_000)
  })

  it('spreads each delay by at most 10 % to both sides', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 40 }), (seed, count) => {
        delays(count, new SeededRandom(seed)).forEach((delayMs, i) => {
          expect(delayMs).toBeGreaterThanOrEqual(baseDelayMs(policy, i) * 0.9)
          expect(delayMs).toBeLessThanOrEqual(baseDelayMs(policy, i) * 1.1)
        })
      }),
    )
    expect(new Set(delays(20, new SeededRandom(7)).slice(-5)).size).toBe(5)
  })

  it('begins anew after an hour of health, and not a moment earlier', () => {
    expect(delays(3, middle, policy.resetAfterMs)).toEqual([1000, 1000, 1000])
    expect(delays(3, middle, policy.resetAfterMs - 1)).toEqual([1000, 1500, 2250])
  })

  it('merges failures that arrive before the scheduled restart', () => {
    const first = decideRestart(policy, noFailures, failure('WORKER_LOST'), 0, middle)
    const second = decideRestart(policy, first.memory, failure('SINK_FAILED'), 999, middle)
    expect(second).toEqual({ kind: 'merged', memory: first.memory })
    const third = decideRestart(policy, restartBegun(second.memory), failure('WORKER_LOST'), 1001, middle)
    expect(third).toMatchObject({ kind: 'restart', delayMs: 1500 })
  })

  it('fails at once what no restart can help, also while one is pending', () => {
    expect(decideRestart(policy, noFailures, failure('POSITION_LOST'), 0, middle).kind).toBe('fail')
    const pending = decideRestart(policy, noFailures, failure('WORKER_LOST'), 0, middle).memory
    expect(decideRestart(policy, pending, failure('STATE_LIMIT'), 1, middle).kind).toBe('fail')
  })

  it('waits for a topic that is not there', () => {
    expect(failure('TOPIC_NOT_FOUND').retry).toBe('never')
    expect(decideRestart(policy, noFailures, failure('TOPIC_NOT_FOUND'), 0, middle).kind).toBe('restart')
  })
})

/** What each of some failures leads to: a delay, or `last`. Each comes `gapMs` after the restart that the one before led to. */
function outcomes(strategy: RestartDefinition, gapsMs: readonly number[]): (number | 'last')[] {
  let memory: RestartMemory = noFailures
  let nowMs = 0
  return gapsMs.map((gapMs) => {
    nowMs = Math.max(0, memory.dueMs) + gapMs
    const decision = decideRestart(strategy, memory, failure('BROKER_ERROR'), nowMs, middle)
    expect(whyNoMore(strategy, memory, nowMs) !== '').toBe(decision.kind === 'fail')
    memory = restartBegun(decision.memory)
    return decision.kind === 'restart' ? decision.delayMs : 'last'
  })
}

describe('strategies', () => {
  it('none restarts never', () => {
    expect(outcomes({ kind: 'none' }, [0])).toEqual(['last'])
  })

  it('a fixed delay restarts so often and never again, however much later', () => {
    const strategy = { kind: 'fixedDelay', attempts: 2, delayMs: 70 } as const
    expect(outcomes(strategy, [0, 0, 10_000_000])).toEqual([70, 70, 'last'])
  })

  it('a failure rate restarts until more failures come within its interval', () => {
    const strategy = { kind: 'failureRate', failures: 2, intervalMs: 1000, delayMs: 10 } as const
    expect(outcomes(strategy, [0, 0, 900, 979])).toEqual([10, 10, 'last', 'last'])
    // A failure is in the interval until exactly its length has passed.
    expect(outcomes(strategy, [0, 0, 979])).toEqual([10, 10, 'last'])
    expect(outcomes(strategy, [0, 0, 980])).toEqual([10, 10, 10])
  })

  it('an exponential delay may be bounded, anew after each healthy time', () => {
    const strategy = { ...policy, attempts: 2 }
    expect(outcomes(strategy, [0, 0, 0])).toEqual([1000, 1500, 'last'])
    expect(outcomes(strategy, [0, 0, policy.resetAfterMs])).toEqual([1000, 1500, 1000])
  })

  it('a rate counts an incident once, and never restarts more often than it says', () => {
    const gaps = fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 60 })
    fc.assert(
      fc.property(gaps, fc.integer({ min: 1, max: 5 }), (gapsMs, failures) => {
        const strategy = { kind: 'failureRate', failures, intervalMs: 1000, delayMs: 0 } as const
        let nowMs = 0
        let memory: RestartMemory = noFailures
        const restarts: number[] = []
        for (const gapMs of gapsMs) {
          nowMs += gapMs
          const before = restarts.filter((ms) => nowMs - ms < 1000).length
          const decision = decideRestart(strategy, memory, failure('BROKER_ERROR'), nowMs, middle)
          if (decision.kind === 'restart') {
            const merged = decideRestart(strategy, decision.memory, failure('BROKER_ERROR'), nowMs, middle)
            expect(merged.kind).toBe('merged')
            restarts.push(nowMs)
          }
          memory = restartBegun(decision.memory)
          expect(decision.kind).toBe(before < failures ? 'restart' : 'fail')
        }
      }),
    )
  })
})
