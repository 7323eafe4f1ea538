import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseDurationMs, type RivalResult, RowChecksum, rowText, rules, shortcomings } from '../../bench/rules.ts'

describe('the checksum of result rows', () => {
  it('is pinned: the rival computes the same (Tally.RowText)', () => {
    const sum = new RowChecksum()
    sum.addText(rowText('user-17', 1_790_000_040_000, [3, 1250]))
    expect([sum.rows, sum.checksum]).toEqual([1, 3_536_534_402])
    sum.addText(rowText('/product/3', 1_790_000_040_000, [812]))
    expect(sum.rows).toBe(2)
  })

  it('does not depend on the order or on how rows are split over threads', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 12 })), fc.nat(), (texts, cut) => {
        const forward = new RowChecksum()
        for (const text of texts) forward.addText(text)
        const [left, right] = [new RowChecksum(), new RowChecksum()]
        for (const [i, text] of texts.toReversed().entries()) (i % 7 < cut % 7 ? left : right).addText(text)
        left.addAll(right.rows, right.checksum)
        expect([left.rows, left.checksum]).toEqual([forward.rows, forward.checksum])
      }),
    )
  })

  it('differs when a value, a window or a key differs', () => {
    const of = (text: string): number => {
      const sum = new RowChecksum()
      sum.addText(text)
      return sum.checksum
    }
    const base = of(rowText('a', 60_000, [1, 2]))
    for (const other of [rowText('b', 60_000, [1, 2]), rowText('a', 0, [1, 2]), rowText('a', 60_000, [1, 3])]) {
      expect(of(other)).not.toBe(base)
    }
  })
})

describe('shortcomings', () => {
  const full: RivalResult = {
    type: 'result',
    case: 'tumbling',
    parallelism: 2,
    complete: true,
    records: 1,
    eventsPerSecond: 1,
    measuredSeconds: rules.minMeasuredSeconds,
    warmedUp: true,
    checkpoints: 30,
    measuredCheckpoints: rules.minMeasuredCheckpoints,
    rows: 1,
    checksum: 1,
    rssPeakBytes: 1,
  }

  it('are none for a run under the rules, and named otherwise', () => {
    expect(shortcomings(full)).toEqual([])
    expect(shortcomings({ ...full, complete: false })).toHaveLength(1)
    expect(shortcomings({ ...full, warmedUp: false })).toHaveLength(1)
    expect(shortcomings({ ...full, measuredSeconds: 19.9 })).toHaveLength(1)
    expect(shortcomings({ ...full, measuredCheckpoints: 9 })).toHaveLength(1)
  })
})

describe('durations', () => {
  it('are read as people write them', () => {
    expect(['20s', '500ms', '2m', '20', '1.5s'].map(parseDurationMs)).toEqual([20_000, 500, 120_000, 20_000, 1_500])
  })

  it.each(['', 's', '20x', '-1s', '1h'])('refuses %j', (text) => {
    expect(() => parseDurationMs(text)).toThrow('expected a number with ms, s or m')
  })
})
