import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PoisonBook } from '../../src/coordinator/poison-book.ts'

test('a record is condemned with the failure that is one too many, and told so once', () => {
  const book = new PoisonBook()
  const record = { partition: 3, offset: 17 }
  expect(book.note(record, 3)).toBe(false)
  expect(book.note({ partition: 3, offset: 18 }, 3)).toBe(false)
  expect(book.note(record, 3)).toBe(false)
  expect(book.condemned(3)).toEqual([])
  expect(book.note(record, 3)).toBe(true)
  expect(book.note(record, 3)).toBe(false)
  expect(book.condemned(3)).toMatchObject([record])
})

test('what a checkpoint has passed is forgotten, and nothing else', () => {
  const record = fc.record({ partition: fc.nat({ max: 3 }), offset: fc.nat({ max: 20 }) })
  fc.assert(
    fc.property(
      fc.array(record),
      fc.array(fc.nat({ max: 22 }), { minLength: 4, maxLength: 4 }),
      (records, positions) => {
        const book = new PoisonBook()
        for (const each of records) book.note(each, 1)
        book.passed(Object.fromEntries(positions.entries()))
        const left = new Set(
          records.filter((r) => r.offset >= positions[r.partition]!).map((r) => `${r.partition}@${r.offset}`),
        )
        expect(new Set(book.condemned(1).map((r) => `${r.partition}@${r.offset}`))).toEqual(left)
      },
    ),
  )
})

test('remembers a bounded number of records, the latest', () => {
  const book = new PoisonBook()
  for (let offset = 0; offset < 5000; offset++) book.note({ partition: 0, offset }, 1)
  const condemned = book.condemned(1)
  expect(condemned.length).toBe(1000)
  expect(condemned.at(-1)!.offset).toBe(4999)
})
