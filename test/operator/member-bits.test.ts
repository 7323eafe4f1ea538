import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addMemberBit, eachGroup } from '../../src/operator/member-bits.ts'
import { KeyedTable, ROWS_PER_PAGE } from '../../src/state/keyed-table.ts'
import { PagePool } from '../../src/state/page-pool.ts'

const noColumns = new Float64Array(0)
const encoder = new TextEncoder()

// Groups at the ends of words and blocks, and far away; values short and longer than a row.
const group = fc.oneof(fc.constantFrom(0, 31, 32, 63, 64, 95, 127, 128, 1_000_000), fc.nat(200))
const value = fc.oneof(fc.constantFrom('', 'a', 'b', 'twelve bytes', 'thirteen bytes'), fc.string({ maxLength: 20 }))

describe('members as bits', () => {
  it('are a set of values for each group, and give each group of a value once', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(group, value), { maxLength: 120 }), fc.boolean(), (given, collide) => {
        const members = new KeyedTable(new PagePool(), noColumns, 0)
        const model = new Set<string>()
        for (const [to, text] of given) {
          const bytes = encoder.encode(text)
          const name = `${to}/${text}`
          const isNew = collide
            ? addMemberBit(members, to, bytes, 0, bytes.length, 7)
            : addMemberBit(members, to, bytes, 0, bytes.length)
          expect(isNew).toBe(!model.has(name))
          model.add(name)
        }
        const found: string[] = []
        for (let row = 0; row < members.count; row++) {
          const text = Buffer.from(members.keyOf(row)).toString()
          eachGroup(members, row, (of) => found.push(`${of}/${text}`))
        }
        expect(found.toSorted()).toEqual([...model].toSorted())
      }),
    )
  })

  it('have one row a value for up to 64 groups, and mark only the pages that change', () => {
    const members = new KeyedTable(new PagePool(), noColumns, 0)
    const add = (to: number, name: string): boolean =>
      addMemberBit(members, to, encoder.encode(name), 0, encoder.encode(name).length)
    for (let of = 0; of < 64; of++) for (let i = 0; i <= ROWS_PER_PAGE; i++) add(of, `user-${i}`)
    expect(members.count).toBe(ROWS_PER_PAGE + 1)
    for (const page of members.rows.pages) page.dirty = 0
    expect(add(63, 'user-0')).toBe(false)
    expect(members.rows.pages.map((page) => page.dirty)).toEqual([0, 0])
    expect(add(64, 'user-0')).toBe(true)
    expect(members.count).toBe(ROWS_PER_PAGE + 2)
    expect(members.rows.pages.map((page) => page.dirty)).toEqual([0, 1])
  })
})
