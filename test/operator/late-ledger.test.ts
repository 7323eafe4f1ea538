/** Late counts: who has got more since a change number, so that those who watch hear of it. */
import { describe, expect, it } from 'vitest'
import { type Accumulators, COUNT } from '../../src/operator/accumulators.ts'
import { LateLedger } from '../../src/operator/late-ledger.ts'

const counts = {
  count: 2,
  kinds: Uint8Array.of(COUNT, COUNT),
  predicates: Uint8Array.of(0, 1),
} as unknown as Accumulators
const [web, ios] = [Buffer.from('web'), Buffer.from('ios')]

describe('LateLedger', () => {
  it('knows which groups have got late events since a change', () => {
    const ledger = new LateLedger(counts)
    expect(ledger.changedSince(-1, 0, web)).toBe(false)
    ledger.change = 4
    ledger.addEvent(0, 10, web, web.length, 1, 0b01)
    ledger.change = 5
    ledger.addEvent(0, 10, ios, ios.length, 2, 0b10)
    expect([3, 4, 5].map((since) => ledger.changedSince(since, 0, web))).toEqual([true, false, false])
    expect([3, 4, 5].map((since) => ledger.changedSince(since, 0, ios))).toEqual([true, true, false])
    expect(ledger.changedSince(3, 10, web)).toBe(false)
    ledger.change = 9
    ledger.addCounts(0, 10, web, 1, Float64Array.of(2, 0), 0)
    expect([8, 9].map((since) => ledger.changedSince(since, 0, web))).toEqual([true, false])
    expect([ledger.count(0, web, 0), ledger.count(0, ios, 0), ledger.count(0, ios, 1)]).toEqual([3, 0, 1])
  })
})
