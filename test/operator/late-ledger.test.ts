import { describe, expect, it } from 'vitest'
import { layOutAccumulators } from '../../src/operator/accumulators.ts'
import { LateLedger } from '../../src/operator/late-ledger.ts'
import { accumulator, tablePlan } from './support.ts'

const accumulators = layOutAccumulators(
  tablePlan([], [accumulator('count', 0), accumulator('sum', 0, 0), accumulator('count', 3)]),
  (column) => column,
  (column) => column,
)
const twoCounts = layOutAccumulators(tablePlan([], [accumulator('count', 0), accumulator('count', 1)]), Number, Number)
const [web, ios] = [Buffer.from('web'), Buffer.from('ios')]
const key = (text: string) => new TextEncoder().encode(text)

describe('LateLedger', () => {
  it('counts by window and group, for the counts whose predicate took the event', () => {
    const ledger = new LateLedger(accumulators)
    const scratch = key('grouprest')
    ledger.addEvents(0, 100, scratch, 5, 7, 0b0001, 1)
    ledger.addEvents(0, 100, scratch, 5, 7, 0b1001, 1)
    ledger.addEvents(100, 200, scratch, 5, 7, 0b1000, 1)
    scratch.fill(0)
    expect([0, 1, 2].map((i) => ledger.count(0, 100, key('group'), i))).toEqual([2, 0, 1])
    expect([0, 1, 2].map((i) => ledger.count(100, 200, key('group'), i))).toEqual([0, 0, 1])
    expect(ledger.count(0, 100, key('grouprest'), 0)).toBe(0)
    ledger.addCounts(0, 100, key('group'), 7, Float64Array.of(9, 5, 0, 1), 1)
    expect([0, 1, 2].map((i) => ledger.count(0, 100, key('group'), i))).toEqual([7, 0, 2])
    expect([...ledger.entries()].map(({ startMs, endMs, hash }) => [startMs, endMs, hash])).toEqual([
      [0, 100, 7],
      [100, 200, 7],
    ])
  })

  it('forgets windows that have ended by then, and single entries while they are walked', () => {
    const ledger = new LateLedger(accumulators)
    for (let i = 0; i < 10; i++) ledger.addEvents(i * 10, i * 10 + 10, key('g'), 1, 0, 1, 1)
    ledger.dropUntil(30)
    expect([...ledger.entries()].map(({ startMs }) => startMs)).toEqual([30, 40, 50, 60, 70, 80, 90])
    for (const entry of ledger.entries()) if (entry.startMs % 20 === 0) ledger.delete(entry)
    expect([...ledger.entries()].map(({ startMs }) => startMs)).toEqual([30, 50, 70, 90])
  })

  it('is bounded: what is beyond is counted, not told apart', () => {
    const ledger = new LateLedger(accumulators)
    for (let i = 0; i < 65_536 + 5; i++) ledger.addEvents(i, i + 1, key('g'), 1, 0, 1, 1)
    expect([ledger.size, ledger.overflow]).toEqual([65_536, 5])
    ledger.addEvents(0, 1, key('g'), 1, 0, 1, 1)
    expect([ledger.count(0, 1, key('g'), 0), ledger.overflow]).toEqual([2, 5])
  })

  it('knows which groups have got late events since a change', () => {
    const ledger = new LateLedger(twoCounts)
    expect(ledger.changedSince(-1, 0, 10, web)).toBe(false)
    ledger.change = 4
    ledger.addEvents(0, 10, web, web.length, 1, 0b01, 1)
    ledger.change = 5
    ledger.addEvents(0, 10, ios, ios.length, 2, 0b10, 1)
    expect([3, 4, 5].map((since) => ledger.changedSince(since, 0, 10, web))).toEqual([true, false, false])
    expect([3, 4, 5].map((since) => ledger.changedSince(since, 0, 10, ios))).toEqual([true, true, false])
    expect(ledger.changedSince(3, 10, 20, web)).toBe(false)
    ledger.change = 9
    ledger.addCounts(0, 10, web, 1, Float64Array.of(2, 0), 0)
    expect([8, 9].map((since) => ledger.changedSince(since, 0, 10, web))).toEqual([true, false])
    expect([ledger.count(0, 10, web, 0), ledger.count(0, 10, ios, 0), ledger.count(0, 10, ios, 1)]).toEqual([3, 0, 1])
  })
})
