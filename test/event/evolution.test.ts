/**
 * The rules of evolution, against the real `buf breaking` on generated pairs of schemas, and by example.
 *
 * Many pairs go into one file, as messages M0, M1, …, so that buf runs once for all of them.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Descriptors, loadDescriptors } from '../../src/event/descriptor.ts'
import { compileTexts } from '../../src/event/descriptor-text.ts'
import { evolutionRules, readProblems, wireProblems } from '../../src/event/evolution.ts'
import { projectRoot } from '../support/infra-process.ts'

const buf = join(projectRoot, 'node_modules/.bin/buf')
let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-evolution-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const types = [
  'double',
  'float',
  'int64',
  'uint64',
  'int32',
  'fixed64',
  'fixed32',
  'bool',
  'string',
  'bytes',
  'uint32',
  'sfixed32',
  'sfixed64',
  'sint32',
  'sint64',
  'Color',
  'Shade',
  'other.Color',
  'Sub',
  'Sup',
] as const

interface Field {
  readonly type: (typeof types)[number]
  readonly name: string
  readonly form: 'single' | 'optional' | 'repeated' | 'map' | 'oneof' | 'gone' | 'reserved' | 'renumbered'
}

const field: fc.Arbitrary<Field> = fc.record({
  type: fc.constantFrom(...types),
  name: fc.constantFrom('a', 'b'),
  form: fc.oneof(
    { weight: 4, arbitrary: fc.constant('single' as const) },
    { weight: 3, arbitrary: fc.constantFrom('optional', 'repeated', 'map', 'oneof') },
    { weight: 2, arbitrary: fc.constantFrom('gone', 'reserved', 'renumbered') },
  ),
})
/** Half of the time nothing but one thing changes, so that single rules are met. */
const pair = fc
  .record({ before: field, after: field, values: fc.tuple(values(), values()), keep: fc.boolean() })
  .map(({ before, after, keep, ...rest }) => ({
    ...rest,
    before,
    after: keep ? { ...after, type: before.type } : after,
  }))

function values(): fc.Arbitrary<string> {
  return fc.constantFrom(
    'ONE = 1;',
    'ONE = 1; TWO = 2;',
    'UNO = 1; TWO = 2;',
    'reserved 2; ONE = 1;',
    'TWO = 2;',
    'reserved 1;',
  )
}

/** One message with a field of number 1, and an enum of its own. */
function message(i: number, { type, name, form }: Field, enumValues: string): string {
  const known = `E${i} own = 8; int32 last = 9;`
  const unique = enumValues.replace(/([A-Z]+) =/g, `$1_${i} =`)
  const body = {
    single: `${type} ${name} = 1;`,
    optional: `optional ${type} ${name} = 1;`,
    repeated: `repeated ${type} ${name} = 1;`,
    // buf names the entry's message only: `M12Entry`.
    map: `map<string, ${type}> m_${i} = 1;`,
    oneof: `oneof choice { ${type} ${name} = 1; string rest = 7; }`,
    gone: '',
    reserved: 'reserved 1;',
    renumbered: `${type} ${name} = 2;`,
  }[form]
  return `message M${i} { ${body} ${known} } enum E${i} { ZERO_${i} = 0; ${unique} }`
}

const other = 'syntax = "proto3"; package other; enum Color { OTHER_NONE = 0; }'
function file(messages: readonly string[]): string {
  return `syntax = "proto3"; package t; import "other.proto";
    enum Color { NONE = 0; RED = 1; } enum Shade { DARK = 0; } message Sub { int32 x = 1; } message Sup { int32 x = 1; }
    ${messages.join('\n')}`
}

function image(name: string, text: string): { readonly path: string; readonly descriptors: Descriptors } {
  const root = mkdtempSync(join(folder, `${name}-`))
  writeFileSync(join(root, 'other.proto'), other)
  writeFileSync(join(root, 't.proto'), text)
  const path = join(root, 'set.binpb')
  execFileSync(buf, ['build', root, '--as-file-descriptor-set', '-o', path])
  return { path, descriptors: loadDescriptors(readFileSync(path)) }
}

/** What buf says: `M3 RULE`, by the name of the message or the enum. */
function bufSays(before: string, after: string): Set<string> {
  const config = JSON.stringify({ version: 'v2', breaking: { use: evolutionRules } })
  const run = spawnSync(buf, ['breaking', after, '--against', before, '--config', config, '--error-format', 'json'])
  const lines = run.stdout.toString().trim().split('\n').filter(Boolean)
  if (run.status !== 0 && lines.length === 0) throw new Error(run.stderr.toString())
  return new Set(
    lines.map((line) => {
      const { type, message: said } = JSON.parse(line) as { type: string; message: string }
      return `${/\b[ME](\d+)(?:Entry)?\b/.exec(said)?.[1] ?? said} ${type}`
    }),
  )
}

describe('wireProblems', () => {
  it('says what buf breaking says', () => {
    fc.assert(
      fc.property(fc.array(pair, { minLength: 300, maxLength: 300 }), (pairs) => {
        const before = image('before', file(pairs.map((p, i) => message(i, p.before, p.values[0]))))
        const after = image('after', file(pairs.map((p, i) => message(i, p.after, p.values[1]))))
        const ours = new Set(
          pairs.flatMap((_, i) =>
            wireProblems(before.descriptors, after.descriptors, `t.M${i}`).map(({ rule }) => `${i} ${rule}`),
          ),
        )
        const theirs = bufSays(before.path, after.path)
        const explain = (all: ReadonlySet<string>, of: ReadonlySet<string>): string[] =>
          [...all]
            .filter((line) => !of.has(line))
            .map((line) => `${line}: ${JSON.stringify(pairs[Number.parseInt(line, 10)])}`)
        expect(explain(ours, theirs), 'only ours').toEqual([])
        expect(explain(theirs, ours), 'only buf').toEqual([])
      }),
      { numRuns: 4, endOnFailure: true },
    )
  }, 60_000)

  it('knows required fields and defaults of proto2', () => {
    const problems = (before: string, after: string): string[] => {
      const [was, is] = [before, after].map((body) =>
        descriptorsOf(`syntax = "proto2"; package t; message M { ${body} }`),
      )
      return wireProblems(was!, is!, 't.M').map(({ rule, field: of }) => `${of} ${rule}`)
    }
    expect(problems('optional int32 a = 1;', 'required int32 a = 1;')).toEqual([
      't.M.a FIELD_WIRE_COMPATIBLE_CARDINALITY',
      't.M.a MESSAGE_SAME_REQUIRED_FIELDS',
    ])
    expect(problems('optional int32 a = 1;', 'optional int32 a = 1; required int32 b = 2;')).toEqual([
      't.M.b MESSAGE_SAME_REQUIRED_FIELDS',
    ])
    expect(problems('optional int32 a = 1 [default = 3];', 'optional int32 a = 1 [default = 4];')).toEqual([
      't.M.a FIELD_SAME_DEFAULT',
    ])
  })
})

function descriptorsOf(text: string): Descriptors {
  return loadDescriptors(compileTexts([{ name: 't.proto', text }]))
}

describe('readProblems', () => {
  const before = descriptorsOf(
    `syntax = "proto3"; package t; message M { string key = 1; int32 amount = 2; Deep deep = 3; map<string, int64> counts = 4; string unread = 5; }
     message Deep { string name = 1; }`,
  )
  const problems = (text: string, paths: string[], messageName = 't.M'): string[] =>
    readProblems(
      { descriptors: before, message: 't.M' },
      { descriptors: descriptorsOf(`syntax = "proto3"; package t; ${text}`), message: messageName },
      paths,
    ).map(({ field: of, reason, rule }) => `${of} ${reason} (${rule})`)
  const deep = 'message Deep { string name = 1; }'

  it.each([
    [
      'nothing',
      `message M { string key = 1; int32 amount = 2; Deep deep = 3; } ${deep}`,
      ['key', 'amount', 'deep.name'],
      [],
    ],
    ['a field that the job does not read', `message M { string key = 1; bool unread = 5; }`, ['key'], []],
    ['a new field', `message M { string key = 1; string fresh = 9; }`, ['key', 'fresh'], []],
    ['a wider integer', `message M { int64 amount = 2; }`, ['amount'], []],
    [
      'other names of messages on the way',
      `message M { Renamed deep = 3; } message Renamed { string name = 1; }`,
      ['deep.name'],
      [],
    ],
    [
      'one that is gone',
      `message M { reserved 2; }`,
      ['amount'],
      ['amount can be read no more: t.M has no field "amount"'],
    ],
    ['one that moved', `message M { int32 amount = 7; }`, ['amount'], ['amount had number 2 and now has number 7']],
    [
      'one that moved inside',
      `message M { Deep deep = 3; } message Deep { string name = 2; }`,
      ['deep.name'],
      ['deep.name had number 3.1 and now has number 3.2'],
    ],
    ['another type', `message M { double amount = 2; }`, ['amount'], ['amount was int32 and is now double']],
    [
      'another type of a map',
      `message M { map<string, string> counts = 4; }`,
      ['counts.a'],
      ['counts.a was int64 and is now string'],
    ],
    ['zigzag', `message M { sint32 amount = 2; }`, ['amount'], ['amount was int32 and is now sint32']],
    [
      'one that is repeated now',
      `message M { repeated int32 amount = 2; }`,
      ['amount'],
      ['amount can be read no more: "amount" is repeated'],
    ],
    [
      'one that is in a oneof now',
      `message M { oneof o { int32 amount = 2; int32 x = 8; } }`,
      ['amount'],
      ['amount was in no oneof and is now in oneof o'],
    ],
  ] as const)('%s', (_, text, paths, expected) => {
    const found = problems(text, [...paths])
    expect(found).toHaveLength(expected.length)
    for (const [i, part] of expected.entries()) expect(found[i]).toContain(part)
  })
})
