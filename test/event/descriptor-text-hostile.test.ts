/**
 * Hostile .proto texts, and a registry that answers anything: an answer within a second, and errors with a code of ours.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import { loadDescriptors } from '../../src/event/descriptor.ts'
import { compileTexts } from '../../src/event/descriptor-text.ts'
import { SchemaRegistry } from '../../src/event/schema-registry.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { fuzz, fuzzRuns, fuzzTimeoutMs, withstand } from '../fuzz/hostile.ts'
import { paths, use } from './hostile-support.ts'

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

describe('a registry that answers anything', () => {
  it('gives a schema, nothing, or an error with a code', { timeout: fuzzTimeoutMs }, async () => {
    const text = fc.constantFrom('syntax = "proto3"; message M { string a = 1; }', 'message', '', 'import "a";')
    const reference = fc.oneof(
      fc.record({
        name: fc.constantFrom('a', 'b'),
        subject: fc.constantFrom('s', '../..', '?'),
        version: fc.constantFrom(1, 2),
      }),
      fc.jsonValue(),
    )
    const body = fc.oneof(
      fc.record(
        {
          schema: fc.oneof(text, fc.jsonValue()),
          schemaType: fc.constantFrom('PROTOBUF', 'JSON', 7),
          references: fc.array(reference, { maxLength: 3 }),
        },
        { requiredKeys: [] },
      ),
      fc.record({ error_code: fc.constantFrom(40401, 40403, 500, 'x'), message: fc.jsonValue() }),
      fc.jsonValue(),
    )
    const answer = fc.record({ status: fc.constantFrom(200, 200, 200, 404, 500, 0), body })
    await fuzz(
      'answers of a registry',
      fuzzRuns / 4,
      fc.asyncProperty(fc.array(answer, { minLength: 1, maxLength: 6 }), async (answers) => {
        let asked = 0
        const registry = new SchemaRegistry(async () => answers[asked++ % answers.length]!, new ManualClock())
        for (const ask of [() => registry.byId(1), () => registry.latest(['s', 't'])]) {
          const error = await ask().then(
            () => null,
            (thrown: unknown) => thrown,
          )
          if (error !== null) expect(error).toBeInstanceOf(MillraceError)
          if (error !== null) expect((error as MillraceError).code).not.toBe('INTERNAL')
        }
        expect(asked).toBeLessThan(200)
      }),
    )
  })
})

describe('hostile .proto texts', () => {
  const compile = (text: string) => loadDescriptors(compileTexts([{ name: 'x.proto', text }]))

  it('any tokens', { timeout: fuzzTimeoutMs }, async () => {
    await fuzz(
      '.proto texts, any tokens',
      fuzzRuns / 4,
      fc.property(fc.array(tokens, { maxLength: 60 }), paths, (parts, path) => {
        withstand(() => use(compile(parts.join(' ')), path))
      }),
    )
  })

  it('a valid text with tokens changed', { timeout: fuzzTimeoutMs }, async () => {
    const valid =
      'syntax = "proto3" ; package p ; message M { string a = 1 ; oneof o { int32 b = 2 ; E e = 3 ; } map < string , M > m = 4 ; enum E { Z = 0 ; } reserved 7 , 9 to 12 ; }'.split(
        ' ',
      )
    await fuzz(
      '.proto texts, tokens changed',
      fuzzRuns / 4,
      fc.property(fc.array(fc.tuple(fc.nat(valid.length - 1), tokens), { maxLength: 3 }), (changes) => {
        const parts = [...valid]
        for (const [at, token] of changes) parts[at] = token
        withstand(() => use(compile(parts.join(' ')), ['a']))
      }),
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
  ])('%s', (_, text) => {
    withstand(() => use(compile(text), ['a']))
  })

  it('leaves the prototypes of objects alone', () => {
    withstand(() => compile('syntax = "proto3"; message __proto__ { string polluted = 1; }'))
    withstand(() =>
      compile('syntax = "proto3"; message M { string __proto__ = 1; } message constructor { string prototype = 1; }'),
    )
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
    expect(Object.keys(Object.prototype)).toEqual([])
  })
})
