import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  AddedUp,
  AllRows,
  compareTop,
  type GatheredRow,
  NewestRows,
  TopOfWindows,
} from '../../src/operator/view-collect.ts'

const rowOf = fc.record({
  window: fc.integer({ min: 0, max: 3 }),
  dimensions: fc.tuple(fc.constantFrom('a', 'b', 'c', ''), fc.constantFrom('x', 'y/1:', '')),
  value: fc.oneof(fc.integer({ min: -3, max: 3 }), fc.constant(Number.NaN)),
  events: fc.integer({ min: 1, max: 9 }),
  revision: fc.integer({ min: 0, max: 3 }),
  late: fc.integer({ min: 0, max: 2 }),
})

const rowsOf = fc.array(rowOf, { maxLength: 40 }).map((rows) =>
  rows.map(
    ({ window, ...row }): GatheredRow => ({
      ...row,
      startMs: window * 10,
      endMs: window * 10 + 10,
      provisional: row.revision === 0,
    }),
  ),
)

describe('the newest rows', () => {
  it('are the last ones by window and texts, of however many', () => {
    const shape = fc.record({
      windows: fc.array(fc.integer({ min: 0, max: 3000 }), { minLength: 2500, maxLength: 5000, size: 'max' }),
      count: fc.integer({ min: 1, max: 700 }),
    })
    fc.assert(
      fc.property(shape, ({ windows, count }) => {
        const collector = new NewestRows(count)
        const rows = windows.map((window, i) => {
          return {
            ...base,
            startMs: window,
            endMs: window + 10,
            dimensions: [String(i % 7), String(i).padStart(5, '0')],
          }
        })
        for (const row of rows) if (collector.wants(row.startMs)) collector.add(row)
        const name = (row: GatheredRow) => `${String(row.startMs).padStart(5, '0')} ${row.dimensions.join(' ')}`
        expect(collector.rows().map(name)).toEqual(rows.map(name).sort().slice(-count))
        expect(collector.truncated).toBe(false)
      }),
      { numRuns: 20 },
    )
  })
})

describe('the top of each window', () => {
  it('is what sorting and cutting gives', () => {
    const shape = fc.record({ rows: rowsOf, count: fc.integer({ min: 1, max: 5 }), ascending: fc.boolean() })
    fc.assert(
      fc.property(shape, ({ rows, count, ascending }) => {
        const top = { count, ascending }
        const collector = new TopOfWindows(top, 1000)
        for (const row of rows) {
          if (collector.wants(row.startMs, row.endMs, row.value)) collector.add(row)
        }
        const expected = [0, 10, 20, 30].flatMap((startMs) =>
          rows
            .filter((row) => row.startMs === startMs)
            .sort((a, b) => compareTop(top, a, b))
            .slice(0, count),
        )
        const plain = (row: GatheredRow) => [row.startMs, ...row.dimensions, row.value]
        const got = [...collector.rows()].sort((a, b) => a.startMs - b.startMs)
        expect(got.map(plain)).toEqual(expected.map(plain))
        expect(collector.truncated).toBe(false)
      }),
    )
  })

  it('puts what is no number last, either way', () => {
    for (const ascending of [true, false]) {
      const top = { count: 1, ascending }
      const collector = new TopOfWindows(top, 10)
      for (const value of [Number.NaN, 5]) {
        collector.add({ ...base, value })
      }
      expect(collector.rows().map((row) => row.value)).toEqual([5])
    }
  })

  it('of the newest windows is whole, however many windows there are', () => {
    const shape = fc.record({
      rows: fc.array(fc.record({ window: fc.nat(1500), step: fc.nat(1), value: fc.integer({ min: 0, max: 50 }) }), {
        minLength: 2500,
        maxLength: 5000,
        size: 'max',
      }),
      count: fc.integer({ min: 1, max: 3 }),
      rowsMax: fc.integer({ min: 1, max: 300 }),
    })
    fc.assert(
      fc.property(shape, ({ rows, count, rowsMax }) => {
        const top = { count, ascending: false }
        const few = new TopOfWindows(top, rowsMax, true)
        const all = new TopOfWindows(top, 1e6)
        rows.forEach(({ window, step, value }, i) => {
          const row = { ...base, startMs: window, endMs: window + 10 + step, value, dimensions: [String(i)] }
          for (const collector of [few, all])
            if (collector.wants(row.startMs, row.endMs, value)) collector.add({ ...row })
        })
        const name = (row: GatheredRow) =>
          [String(row.startMs).padStart(5, '0'), row.endMs, row.dimensions[0]].join(' ')
        const [got, wanted] = [few.rows().map(name).sort(), all.rows().map(name).sort()]
        // As in an answer: the last ones by window, of which the oldest window may be cut.
        expect(got.slice(-rowsMax)).toEqual(wanted.slice(-rowsMax))
        expect(few.truncated).toBe(false)
        expect(got.length).toBeLessThanOrEqual(rowsMax * 2 + 1000)
      }),
      { numRuns: 20 },
    )
  })

  it('says when it has no room for another window', () => {
    const collector = new TopOfWindows({ count: 2, ascending: false }, 3)
    const taken = [0, 0, 10, 10].map((startMs) => collector.add({ ...base, startMs, endMs: startMs + 10 }))
    expect([taken, collector.truncated, collector.rows().length]).toEqual([[true, true, true, false], true, 3])
  })
})

describe('rows added up', () => {
  it('are the sums over what is not kept, and provisional if any part is', () => {
    const keeps = fc.constantFrom([], [0], [1], [1, 0])
    fc.assert(
      fc.property(rowsOf, keeps, (rows, keep) => {
        const collector = new AddedUp(keep, 1000)
        for (const row of rows) collector.add(row)
        for (const sum of collector.rows()) {
          const parts = rows.filter(
            (row) =>
              row.startMs === sum.startMs && keep.every((index, at) => row.dimensions[index] === sum.dimensions[at]),
          )
          const total = (of: (row: GatheredRow) => number) => parts.reduce((all, row) => all + of(row), 0)
          expect(sum).toEqual({
            startMs: sum.startMs,
            endMs: sum.endMs,
            dimensions: sum.dimensions,
            value: total((row) => row.value),
            events: total((row) => row.events),
            late: total((row) => row.late),
            revision: Math.max(...parts.map((row) => row.revision)),
            provisional: parts.some((row) => row.revision === 0),
          })
        }
        const names = new Set(rows.map((row) => JSON.stringify([row.startMs, ...keep.map((i) => row.dimensions[i])])))
        expect(collector.rows().length).toBe(names.size)
      }),
    )
  })

  it('are bounded by groups, not by rows', () => {
    const collector = new AddedUp([0], 1)
    expect(['a', 'a', 'b'].map((name) => collector.add({ ...base, dimensions: [name] }))).toEqual([true, true, false])
    expect(collector.truncated).toBe(true)
  })
})

it('keeps all rows up to the bound', () => {
  const collector = new AllRows(1)
  expect([collector.add(base), collector.truncated, collector.add(base), collector.truncated]).toEqual([
    true,
    false,
    false,
    true,
  ])
})

const base: GatheredRow = {
  startMs: 0,
  endMs: 10,
  dimensions: ['a'],
  value: 1,
  events: 1,
  revision: 1,
  late: 0,
  provisional: false,
}
