/** Other versions of a schema: what a writer wrote by its own, read by the job's. The oracle is protobufjs. */
import fc from 'fast-check'
import protobuf from 'protobufjs'
import { describe, expect, it } from 'vitest'
import { type Descriptors, loadDescriptors } from '../../src/event/descriptor.ts'
import { compileTexts } from '../../src/event/descriptor-text.ts'
import { TypeSelector } from '../../src/event/event-decoder.ts'
import { ScanBatch } from '../../src/event/scan.ts'
import type { EventSchema } from '../../src/event/schema.ts'
import { layOutWriter } from '../../src/event/writer-layout.ts'

const syntax = 'syntax = "proto3"; package t;'
const fixedPart = 'string key = 1; int64 at = 2;'
const compile = (text: string): Descriptors => loadDescriptors(compileTexts([{ name: 't.proto', text }]))

/** A job on t.M that reads `value` as a number and as a text. */
function schemaOf(text: string, path = 'value'): EventSchema {
  const descriptors = compile(text)
  const ref = (name: string) => {
    const resolved = descriptors.resolve('t.M', name)
    if (!resolved.ok) throw new Error(resolved.problem)
    return resolved.field
  }
  const [time, key, value] = [ref('at'), ref('key'), ref(path)]
  const types = [
    { message: 't.M', when: { kind: 'always' }, time, timeUnitMs: 1, key, columns: [value, value] } as const,
  ]
  const number = value.type === 'string' ? 'text' : 'number'
  return {
    ...{ message: 't.M', time, timeUnitMs: 1, key },
    columns: [
      { field: value, encoding: number },
      { field: value, encoding: 'text' },
    ],
    format: { framing: 'registry', types, others: 'filter' },
  }
}

/** What is read of bytes that `writer` wrote, by a job on `reader`: number and text, or why it cannot be read. */
function readAs(reader: EventSchema, writer: string, value: object): [number, string] | string {
  const layout = layOutWriter(reader.format!.types, compile(writer))
  if (!layout.ok) return layout.detail
  const type = protobuf.parse(writer, { keepCase: true }).root.lookupType('t.M')
  const bytes = type.encode(type.fromObject({ key: 'k', at: '1', ...value })).finish()
  const batch = new ScanBatch(reader.columns)
  const reason = new TypeSelector(reader, layout.messages[0]!.types, -1).decode(
    bytes,
    0,
    bytes.length,
    batch,
    bytes.length,
  )
  if (reason !== 0) return `reason ${reason}`
  return [batch.numbers[0]![0] ?? Number.NaN, batch.dictionaries[1]!.text(batch.texts[1]![0]!)]
}

const families = [
  ['int32', 'int64', 'uint32', 'uint64'],
  ['sint32', 'sint64'],
  ['fixed32', 'sfixed32'],
  ['fixed64', 'sfixed64'],
] as const

function range(type: string): [number, number] {
  const bits = type.endsWith('32') ? 32 : 53
  return type.startsWith('u') || type.startsWith('f') ? [0, 2 ** bits - 1] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1]
}

describe('layOutWriter', () => {
  it('reads exactly what was written, whichever integer of the family either side declares', () => {
    const written = fc.constantFrom(...families).chain((family) =>
      fc
        .record({ reader: fc.constantFrom(...family), writer: fc.constantFrom(...family) })
        .chain(({ reader, writer }) => {
          const [min, max] = range(writer)
          return fc.record({
            reader: fc.constant(reader),
            writer: fc.constant(writer),
            value: fc.oneof(
              fc.constantFrom(min, max, 0),
              fc.integer({ min: Math.max(min, -100), max: 100 }),
              fc.maxSafeInteger().filter((v) => v >= min && v <= max),
            ),
          })
        }),
    )
    fc.assert(
      fc.property(written, ({ reader, writer, value }) => {
        const schema = schemaOf(`${syntax} message M { ${fixedPart} ${reader} value = 3; }`)
        // The writer has another name for it, and more fields around.
        const other = `${syntax} message M { bool early = 15; ${fixedPart} ${writer} renamed = 3; string more = 4; }`
        const text = value === 0 ? '' : String(value)
        expect(readAs(schema, other, { renamed: String(value), more: 'm', early: true })).toEqual([value, text])
      }),
      { numRuns: 200 },
    )
  })

  const colors = 'enum Color { NONE = 0; RED = 1; }'
  it.each([
    ['a field that the writer does not have', 'int32 value = 3;', 'string other = 4;', { other: 'x' }, [0, '']],
    ['a bool of an integer', 'bool value = 3;', 'int32 value = 3;', { value: 5 }, [1, 'true']],
    ['an integer of a bool', 'int32 value = 3;', 'bool value = 3;', { value: true }, [1, '1']],
    [
      'a value of an enum that only the writer names',
      `Color value = 3; ${colors}`,
      'Color value = 3; enum Color { NONE = 0; ROT = 1; BLUE = 2; }',
      { value: 2 },
      [2, 'BLUE'],
    ],
    [
      'a value that both name: by the job’s name',
      `Color value = 3; ${colors}`,
      'Color value = 3; enum Color { NONE = 0; ROT = 1; }',
      { value: 1 },
      [1, 'RED'],
    ],
    ['an enum of an integer', `Color value = 3; ${colors}`, 'int32 value = 3;', { value: 1 }, [1, 'RED']],
    ['a text of bytes', 'string value = 3;', 'bytes value = 3;', { value: Buffer.from('text') }, [Number.NaN, 'text']],
    [
      'a member of a oneof',
      'int32 value = 3;',
      'oneof o { int32 value = 3; int32 other = 4; }',
      { value: 7 },
      [7, '7'],
    ],
  ])('reads %s', (_, reader, writer, value, expected) => {
    const [of, by] = [reader, writer].map((fields) => `${syntax} message M { ${fixedPart} ${fields} }`)
    expect(readAs(schemaOf(of!), by!, value)).toEqual(expected)
  })

  it.each([
    ['zigzag', 'int32 value = 3;', 'sint32 value = 3;', "value is int32 in the job's schema and sint32 in t.M.value"],
    ['another width', 'fixed32 value = 3;', 'fixed64 value = 3;', 'value is fixed32'],
    ['a text', 'int64 value = 3;', 'string value = 3;', 'and string in t.M.value'],
    ['a message', 'int64 value = 3;', 'M value = 3;', 'and a message in t.M.value'],
    ['many', 'int64 value = 3;', 'repeated int64 value = 3;', 'value is repeated in t.M.value'],
    ['a map', 'int64 value = 3;', 'map<string, int64> value = 3;', 'value is repeated in t.M.value'],
  ])('refuses %s', (_, reader, writer, expected) => {
    const [of, by] = [reader, writer].map((fields) => `${syntax} message M { ${fixedPart} ${fields} }`)
    expect(readAs(schemaOf(of!), by!, {})).toContain(expected)
  })

  it('follows fields of messages and entries of maps by number', () => {
    const reader = schemaOf(
      `${syntax} message M { ${fixedPart} D d = 3; } message D { map<string, int32> by = 2; }`,
      'd.by.x',
    )
    const writer = `${syntax} message M { ${fixedPart} Other other = 3; } message Other { map<string, int64> counts = 2; }`
    expect(readAs(reader, writer, { other: { counts: { x: '8589934592', y: '1' } } })).toEqual([
      8589934592,
      '8589934592',
    ])
    const broken = `${syntax} message M { ${fixedPart} Other other = 3; } message Other { map<int32, int64> counts = 2; }`
    expect(readAs(reader, broken, {})).toContain('no map of texts')
    expect(readAs(reader, `${syntax} message M { ${fixedPart} string d = 3; }`, {})).toContain('goes through t.M.d')
  })
})
