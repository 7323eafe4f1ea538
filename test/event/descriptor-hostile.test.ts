/**
 * Hostile descriptors: whatever the bytes or the text, an answer within a second, and every error has a code of ours.
 */
import fc from 'fast-check'
import protobuf from 'protobufjs/ext/descriptor.js'
import { describe, expect, it } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import { type Descriptors, loadDescriptors } from '../../src/event/descriptor.ts'
import { DESCRIPTOR_BYTES_MAX } from '../../src/event/descriptor-index.ts'
import { compileTexts } from '../../src/event/descriptor-text.ts'
import { wireProblems } from '../../src/event/evolution.ts'
import { parseJob } from '../../src/job/parse.ts'

/** A hang is what takes longer than this. */
const HANG_MS = 1000

type FileJson = Parameters<typeof protobuf.FileDescriptorSet.fromObject>[0]

function encode(files: unknown): Uint8Array {
  return protobuf.FileDescriptorSet.encode(protobuf.FileDescriptorSet.fromObject({ file: files } as FileJson)).finish()
}

/** Runs within a second; a failure is a MillraceError of the user's domain. */
function survives(run: () => unknown): void {
  const startMs = performance.now()
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(MillraceError)
    expect((error as MillraceError).code).not.toBe('INTERNAL')
  }
  expect(performance.now() - startMs).toBeLessThan(HANG_MS)
}

const names = fc.oneof(
  fc.constantFrom(
    'M',
    'N',
    'a',
    'value',
    'key',
    '__proto__',
    'constructor',
    'toString',
    '',
    'a b',
    'x'.repeat(300),
    'ü',
  ),
  fc.string({ maxLength: 8 }),
)
const typeNames = fc.oneof(
  fc.constantFrom('.p.M', '.p.N', 'p.M', '.p.M.E', '.google.protobuf.Timestamp', '', '.', '...', 'p'),
  names,
)
const numbers = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(0, -1, 0x1fff_ffff, 0x2000_0000, 19_000))
const anyField = fc.record(
  {
    name: names,
    number: numbers,
    label: fc.integer({ min: 0, max: 4 }),
    type: fc.integer({ min: 0, max: 20 }),
    typeName: typeNames,
    oneofIndex: fc.integer({ min: -1, max: 3 }),
    proto3Optional: fc.boolean(),
    defaultValue: names,
  },
  { requiredKeys: ['name', 'number'] },
)
const anyEnum = fc.record({
  name: names,
  value: fc.array(fc.record({ name: names, number: fc.integer() }), { maxLength: 4 }),
})
const { message: anyMessage } = fc.letrec<{ message: object }>((tie) => ({
  message: fc.record(
    {
      name: names,
      field: fc.array(anyField, { maxLength: 6 }),
      nestedType: fc.array(tie('message'), { maxLength: 2, depthIdentifier: 'nesting' }),
      enumType: fc.array(anyEnum, { maxLength: 2 }),
      oneofDecl: fc.array(fc.record({ name: names }), { maxLength: 2 }),
      reservedRange: fc.array(fc.record({ start: fc.integer(), end: fc.integer() }), { maxLength: 2 }),
      options: fc.record({ mapEntry: fc.boolean() }),
    },
    { requiredKeys: ['name'] },
  ),
}))
const anyFile = fc.record({
  package: fc.constantFrom('p', '', 'a..b', '.p'),
  syntax: fc.constantFrom('proto3', 'proto2', 'editions', 'x'),
  messageType: fc.array(anyMessage, { maxLength: 3 }),
  enumType: fc.array(anyEnum, { maxLength: 2 }),
})
const paths = fc.array(fc.oneof(names, fc.constantFrom('a', 'value', 'key')), { minLength: 1, maxLength: 20 })

/** Everything that a job does with descriptors. */
function use(descriptors: Descriptors, path: readonly string[]): void {
  for (const message of [...descriptors.messageNames.slice(0, 5), 'p.M', '']) {
    descriptors.resolve(message, path)
    descriptors.resolve(message, path.join('.'))
    wireProblems(descriptors, descriptors, message)
  }
  descriptors.enumValue(path.join('.'))
  const field = JSON.stringify(path.join('.'))
  const event = `event: { message: ${JSON.stringify(descriptors.messageNames[0] ?? 'p.M')}, time: ${field}, key: ${field} }`
  const metric = `{ id: m, sum: { field: ${field} }, by: [${field}], where: "a == 'x'", window: { tumbling: 1m } }`
  parseJob(
    `apiVersion: millrace.dev/v1\nkind: Job\nmetadata: { name: j }\nsources: [{ log: { path: p, topic: t } }]\n${event}\nmetrics: [${metric}]\n`,
    descriptors,
  )
}

describe('hostile descriptors', () => {
  it('any set: declared as it likes, it is used or refused', () => {
    fc.assert(
      fc.property(fc.array(anyFile, { maxLength: 2 }), paths, (files, path) => {
        survives(() => use(loadDescriptors(encode(files)), path))
      }),
      { numRuns: 3000 },
    )
  })

  it('a valid set with bytes changed', () => {
    const valid = encode([
      {
        package: 'p',
        syntax: 'proto3',
        messageType: [{ name: 'M', field: [{ name: 'a', number: 1, type: 9, label: 1 }] }],
      },
    ])
    const change = fc.tuple(fc.nat(valid.length - 1), fc.nat(255))
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 5 }), (changes) => {
        const bytes = valid.slice()
        for (const [at, value] of changes) bytes[at] = value
        survives(() => use(loadDescriptors(bytes), ['a']))
      }),
      { numRuns: 3000 },
    )
  })

  const field = (i: number, rest: object = {}) => ({ name: `f${i}`, number: i + 1, type: 9, label: 1, ...rest })
  const many = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i))
  const nested = (depth: number): object =>
    depth === 0 ? { name: 'M' } : { name: 'M', nestedType: [nested(depth - 1)] }
  it.each([
    ['a hundred thousand messages', () => [{ messageType: many(100_000, (i) => ({ name: `M${i}` })) }]],
    ['a hundred thousand fields', () => [{ package: 'p', messageType: [{ name: 'M', field: many(100_000, field) }] }]],
    [
      'a oneof of fifty thousand',
      () => [
        {
          package: 'p',
          messageType: [
            { name: 'M', oneofDecl: [{ name: 'o' }], field: many(50_000, (i) => field(i, { oneofIndex: 0 })) },
          ],
        },
      ],
    ],
    [
      'an enum of a hundred thousand',
      () => [{ package: 'p', enumType: [{ name: 'E', value: many(100_000, (i) => ({ name: `V${i}`, number: i })) }] }],
    ],
    ['messages nested sixty deep', () => [{ messageType: [nested(60)] }]],
    [
      'long names that nest',
      () => [
        {
          messageType: [
            {
              name: 'm'.repeat(250),
              nestedType: many(5, (i) => ({
                name: `n${i}`.padEnd(250, 'x'),
                nestedType: [
                  {
                    name: 'o'.repeat(250),
                    nestedType: [{ name: 'p'.repeat(250), nestedType: [{ name: 'q'.repeat(250) }] }],
                  },
                ],
              })),
            },
          ],
        },
      ],
    ],
    ['twenty thousand files', () => many(20_000, (i) => ({ package: `p${i}` }))],
    [
      'fifty thousand reserved ranges',
      () => [{ messageType: [{ name: 'M', reservedRange: many(50_000, (i) => ({ start: i, end: i + 1 })) }] }],
    ],
  ] as const)('%s', (_, make) => {
    const bytes = encode(make())
    survives(() => use(loadDescriptors(bytes), ['f77', 'x']))
  })

  it('four megabytes of anything', () => {
    for (const byte of [0x00, 0x0a, 0x22, 0xff])
      survives(() => loadDescriptors(new Uint8Array(DESCRIPTOR_BYTES_MAX).fill(byte)))
    const empty = new Uint8Array(DESCRIPTOR_BYTES_MAX)
    for (let i = 0; i < empty.length; i += 2) empty[i] = 0x0a
    survives(() => loadDescriptors(empty))
  })
})

const tokens = fc.constantFrom(
  ...[
    'syntax',
    '=',
    '"proto3"',
    '"proto2"',
    ';',
    'package',
    'p',
    '.',
    'message',
    'M',
    '{',
    '}',
    'enum',
    'E',
    'string',
    'int32',
    'a',
    'b',
    '1',
    '2',
    '0',
    '-1',
  ],
  ...[
    'repeated',
    'optional',
    'required',
    'oneof',
    'map',
    '<',
    '>',
    ',',
    'reserved',
    'to',
    'max',
    'import',
    '"x.proto"',
    'option',
    'extend',
    'extensions',
    'service',
    'rpc',
  ],
  ...[
    'group',
    'G',
    'edition',
    '"2023"',
    '"2099"',
    '[',
    ']',
    'default',
    'packed',
    'true',
    '//',
    '/*',
    '*/',
    '\n',
    '"',
    "'",
    '(',
    ')',
    '__proto__',
    'constructor',
    'hasOwnProperty',
  ],
)

describe('hostile .proto texts', () => {
  const compile = (text: string) => loadDescriptors(compileTexts([{ name: 'x.proto', text }]))

  it('any tokens', () => {
    fc.assert(
      fc.property(fc.array(tokens, { maxLength: 60 }), paths, (parts, path) => {
        survives(() => use(compile(parts.join(' ')), path))
      }),
      { numRuns: 3000 },
    )
  })

  it('a valid text with tokens changed', () => {
    const valid =
      'syntax = "proto3" ; package p ; message M { string a = 1 ; oneof o { int32 b = 2 ; E e = 3 ; } map < string , M > m = 4 ; enum E { Z = 0 ; } reserved 7 , 9 to 12 ; }'.split(
        ' ',
      )
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(valid.length - 1), tokens), { maxLength: 3 }), (changes) => {
        const parts = [...valid]
        for (const [at, token] of changes) parts[at] = token
        survives(() => use(compile(parts.join(' ')), ['a']))
      }),
      { numRuns: 3000 },
    )
  })

  it.each([
    ['open braces', 'message A {'.repeat(20_000)],
    ['open options', `message A { option (a) = ${'{ a: '.repeat(20_000)}`],
    ['an endless comment', `/*${' '.repeat(400_000)}`],
    ['endless quotes', '"'.repeat(100_000)],
    ['a long name', `syntax = "proto3"; message ${'M'.repeat(400_000)} {}`],
    ['deep packages', `syntax = "proto3"; package ${'a.'.repeat(50_000)}b; message M {}`],
    ['too long', ' '.repeat(1_000_000)],
    [
      'many fields',
      `syntax = "proto3"; message M { ${Array.from({ length: 15_000 }, (_, i) => `string f${i} = ${i + 1};`).join('')} }`,
    ],
    ['the same number', 'syntax = "proto3"; message M { string a = 1; string b = 1; }'],
    ['the same name', 'syntax = "proto3"; message M { string a = 1; string a = 2; }'],
  ])('%s', (_, text) => survives(() => use(compile(text), ['a'])))

  it('leaves the prototypes of objects alone', () => {
    survives(() => compile('syntax = "proto3"; message __proto__ { string polluted = 1; }'))
    survives(() =>
      compile('syntax = "proto3"; message M { string __proto__ = 1; } message constructor { string prototype = 1; }'),
    )
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
    expect(Object.keys(Object.prototype)).toEqual([])
  })
})
