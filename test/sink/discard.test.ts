import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RowChecksum, rowText } from '../../bench/rules.ts'
import { DiscardSink } from '../../src/sink/discard.ts'
import { firedRows } from './support.ts'

const keys = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.string({ unit: 'grapheme', maxLength: 5 }),
  fc.integer({ min: 3700, max: 5000 }).map((n) => 'k'.repeat(n)),
)
const integers = fc.oneof(fc.maxSafeInteger(), fc.integer({ min: -20, max: 20 }))

describe('DiscardSink', () => {
  it('has the checksum that the rules of the comparison ask for, in any order of rows', () => {
    const rows = fc.uniqueArray(
      fc.record({ key: keys, startMs: integers, values: fc.tuple(integers, integers, integers) }),
      { maxLength: 12, selector: (row) => row.key },
    )
    fc.assert(
      fc.property(rows, fc.subarray([0, 1, 2]), (all, columns) => {
        const expected = new RowChecksum()
        for (const { key, startMs, values } of all) {
          // In decimal there is one zero.
          expected.addText(
            rowText(
              key,
              startMs,
              columns.map((i) => values[i]! + 0),
            ),
          )
        }
        for (const order of [all, all.toReversed()]) {
          const sink = new DiscardSink([[], columns])
          for (const row of firedRows(order, { table: 1 })) sink.accept(row)
          expect([sink.rows, sink.checksum]).toEqual([all.length, expected.checksum])
        }
      }),
      { numRuns: 200 },
    )
  })

  it('takes many columns of many digits behind a long key', () => {
    const values = Array.from({ length: 60 }, (_, i) => Number.MIN_SAFE_INTEGER + i)
    const key = 'k'.repeat(3500)
    const expected = new RowChecksum()
    expected.addText(rowText(key, 0, values))
    const sink = new DiscardSink([values.map((_, i) => i)])
    for (const row of firedRows([{ key, startMs: 0, values }])) sink.accept(row)
    expect(sink.checksum).toBe(expected.checksum)
  })

  it('ends on values that have no digits, as the minimum of no events', () => {
    const values = [Infinity, -Infinity, Number.NaN, 1.7976931348623157e308, 5]
    const sink = new DiscardSink([[0, 1, 2], [4]])
    for (const row of firedRows([{ key: 'a', startMs: 0, values }])) sink.accept(row)
    const expected = new RowChecksum()
    expected.addText('a|0|||')
    expect(sink.checksum).toBe(expected.checksum)
    const huge = new DiscardSink([[3, 4]])
    for (const row of firedRows([{ key: 'a', startMs: 0, values }])) huge.accept(row)
    expect(huge.rows).toBe(1)
  })

  it('is never full', async () => {
    const sink = new DiscardSink([])
    expect(sink.full).toBe(false)
    await sink.flush()
    await sink.close()
  })
})
