/** Plain values as bytes and back: all of them, in stretches that share object shapes; and bytes that are damaged. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import { copyValue } from '../../src/program/value-copy.ts'
import { ValueReader } from '../../src/program/value-reader.ts'
import { ValueWriter } from '../../src/program/value-writer.ts'

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('__proto__', 'constructor', '\ud800', ''),
)

const value: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.oneof(
      fc.constantFrom(undefined, null, true, false, 0, -0, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, -(2 ** 31)),
      fc.integer(),
      fc.double(),
      fc.bigInt(),
      text,
      fc.date({ noInvalidDate: false }),
      fc.uint8Array(),
    ),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(text, tie('value'), { maxKeys: 4 }),
    fc.array(fc.tuple(text, tie('value')), { maxLength: 3 }).map((entries) => new Map(entries)),
    fc.array(text, { maxLength: 4 }).map((items) => new Set(items)),
  ),
})).value

function read(writer: ValueWriter, count: number): unknown[] {
  const reader = new ValueReader()
  reader.reset(writer.bytes, 0, writer.length)
  const values = Array.from({ length: count }, () => reader.read())
  expect(reader.done).toBe(true)
  return values
}

/** As equal as structured clones are: prototypes of dictionaries aside. */
function plain(item: unknown): unknown {
  return structuredClone(item)
}

describe('values', () => {
  it('come back as they were, many in one stretch, over many stretches of one writer', () => {
    const writer = new ValueWriter(16)
    fc.assert(
      fc.property(fc.array(value, { maxLength: 8 }), (values) => {
        writer.reset()
        for (const item of values) writer.write(item)
        expect(read(writer, values.length)).toEqual(values.map(plain))
      }),
      { numRuns: 300 },
    )
  })

  it('write the keys of equal shapes once', () => {
    const writer = new ValueWriter()
    writer.write({ person: 'a', total: 1 })
    const first = writer.length
    writer.write({ person: 'b', total: 2 })
    expect(writer.length - first).toBeLessThan(first - 10)
    expect(read(writer, 2)).toEqual([
      { person: 'a', total: 1 },
      { person: 'b', total: 2 },
    ])
  })

  it.each([
    ['a function', { deep: [{ fn: () => 1 }] }, '.deep[0].fn'],
    ['a symbol', [Symbol('s')], '[0]'],
    ['an instance of Url', { at: new (class Url {})() }, '.at'],
    ['an instance of Promise', Promise.resolve(), ''],
  ])('refuse %s and say where it is', (what, bad, path) => {
    const writer = new ValueWriter()
    const message = path === '' ? `holds ${what}` : `holds ${what} at ${path}:`
    expect(() => writer.write(bad)).toThrow(expect.objectContaining({ code: 'JOB_CODE_FAILED' }))
    expect(() => writer.write(bad)).toThrow(message)
  })

  it('refuse what contains itself, and go on as if it had not been written', () => {
    const circle: Record<string, unknown> = { shape: 1 }
    circle.self = circle
    const writer = new ValueWriter()
    writer.write({ a: 1 })
    expect(() => writer.write(circle)).toThrow('nested deeper')
    writer.write({ shape: 1, self: null })
    writer.write({ a: 2 })
    expect(read(writer, 3)).toEqual([{ a: 1 }, { shape: 1, self: null }, { a: 2 }])
  })

  it('never read outside, hang or throw anything uncoded, whatever the bytes are', () => {
    const reader = new ValueReader()
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        reader.reset(bytes)
        try {
          while (!reader.done) reader.read()
        } catch (thrown) {
          const { code } = MillraceError.from(thrown)
          expect(['STATE_INCOMPATIBLE']).toContain(code)
        }
      }),
      { numRuns: 3000 },
    )
  })
})

/** Every object in a value. */
function objectsOf(item: unknown): object[] {
  if (typeof item !== 'object' || item === null) return []
  const inner = item instanceof Map ? [...item].flat() : item instanceof Set ? [...item] : Object.values(item)
  return [item, ...(item instanceof Uint8Array ? [] : inner.flatMap(objectsOf))]
}

describe('copies', () => {
  it('are equal, and share nothing', () => {
    fc.assert(
      fc.property(value, (item) => {
        const copy = copyValue(item)
        expect(plain(copy)).toEqual(plain(item))
        const known = new Set(objectsOf(item))
        expect(objectsOf(copy).filter((object) => known.has(object))).toEqual([])
      }),
      { numRuns: 300 },
    )
  })
})
