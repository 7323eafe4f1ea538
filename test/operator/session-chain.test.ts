import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { hashBytes } from '../../src/core/hash.ts'
import { layOutAccumulators } from '../../src/operator/accumulators.ts'
import { SESSION_START } from '../../src/operator/session-chain.ts'
import { SESSION_END, SessionRows } from '../../src/operator/session-rows.ts'
import { PagePool } from '../../src/state/page-pool.ts'
import { GAP_MS, sessionPlan } from './session-support.ts'
import { accumulator } from './support.ts'

const accumulators = layOutAccumulators(
  sessionPlan([-1], [accumulator('count', 0)]),
  (column) => column,
  (column) => column,
)
const nothing = (): void => {}

function open(): SessionRows {
  return new SessionRows('sessions', GAP_MS, accumulators, new PagePool())
}

function place(sessions: SessionRows, name: string, timeMs: number): number {
  const key = new TextEncoder().encode(name)
  const hash = hashBytes(key, 0, key.length)
  const head = sessions.table.find(hash, 0, key, 0, key.length)
  return sessions.place(head, hash, key, 0, key.length, timeMs, true, nothing)
}

/** Start and end of the sessions of a group, the latest first. */
function spans(sessions: SessionRows, name: string): [number, number][] {
  const rows = [...sessions.ofGroup(new TextEncoder().encode(name))]
  return rows.map((row) => [sessions.value(row, SESSION_START), sessions.value(row, SESSION_END)])
}

/** Merges what touches, the slow way. */
function merged(all: readonly (readonly [number, number])[]): [number, number][] {
  const found: [number, number][] = []
  for (const [start, end] of all.toSorted((a, b) => a[0] - b[0])) {
    const last = found.at(-1)
    if (last !== undefined && start <= last[1]) last[1] = Math.max(last[1], end)
    else found.push([start, end])
  }
  return found.toReversed()
}

const step = fc.record({
  name: fc.constantFrom('a', 'b', 'c'),
  timeMs: fc.integer({ min: 0, max: 600 }),
  /** How many of the earliest sessions of the group go after it, or any one of them. */
  drop: fc.oneof({ weight: 6, arbitrary: fc.constant(-1) }, { weight: 1, arbitrary: fc.nat(20) }),
})

describe('sessions of a group', () => {
  it('are in order of time and do not touch, wherever events come and sessions go', () => {
    fc.assert(
      // With restores between, nothing is remembered of earlier searches; without, it is used.
      fc.property(fc.array(step, { maxLength: 150 }), fc.boolean(), (steps, restores) => {
        const sessions = open()
        const expected = new Map<string, [number, number][]>()
        for (const { name, timeMs, drop } of steps) {
          place(sessions, name, timeMs)
          const mine = merged([...(expected.get(name) ?? []), [timeMs, timeMs + GAP_MS]])
          if (drop >= 0) {
            const rows = [...sessions.ofGroup(new TextEncoder().encode(name))]
            sessions.remove(rows[drop % rows.length]!)
            mine.splice(drop % rows.length, 1)
          }
          expected.set(name, mine)
          if (restores) sessions.chain.restore()
          expect(spans(sessions, name)).toEqual(mine)
        }
        for (const [name, want] of expected) expect(spans(sessions, name)).toEqual(want)
      }),
    )
  })

  it('are found from where the event before was, so that a slow input does not pay for a fast one', () => {
    const sessions = open()
    const count = 1000
    for (let i = 0; i < count; i++) place(sessions, 'a', i * 3 * GAP_MS)
    const before = vi.spyOn(sessions.chain, 'before')
    // The slow input comes behind, while the fast one goes on ahead of it, and what is closed goes at the end.
    for (let i = 1; i < count / 2; i++) {
      place(sessions, 'a', i * 3 * GAP_MS - 1)
      place(sessions, 'a', (count + i) * 3 * GAP_MS)
    }
    const events = count / 2 - 1
    // The first of them walks the whole way, once.
    expect(before.mock.calls.length).toBeLessThan(count + events * 6)
    before.mockClear()
    const rows = [...sessions.ofGroup(new TextEncoder().encode('a'))].toReversed()
    before.mockClear()
    for (const row of rows) sessions.remove(row)
    expect(before.mock.calls.length).toBeLessThanOrEqual(rows.length * 2)
    expect(sessions.table.live).toBe(0)
  })
})
