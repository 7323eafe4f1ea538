import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Predicate } from '../../src/job/plan.ts'
import { checkExpression, compileExpression } from '../../src/job/predicate.ts'
import { builtInDescriptors } from '../support/descriptors.ts'

const descriptors = builtInDescriptors()
const scope = {
  resolve: (path: readonly string[]) => descriptors.resolve('millrace.v1.Event', path),
  enumValue: (name: string) => descriptors.enumValue(name),
}

function compile(text: string): { predicate: Predicate; columns: string[] } {
  const checked = checkExpression(text, scope)
  if ('problems' in checked) throw new Error(checked.problems.map((p) => p.message).join('; '))
  const columns: string[] = []
  const predicate = compileExpression(checked.expression, (field, encoding) => {
    const key = `${field.path}/${encoding}`
    return columns.includes(key) ? columns.indexOf(key) : columns.push(key) - 1
  })
  return { predicate, columns }
}

function problems(text: string): string[] {
  const checked = checkExpression(text, scope)
  return 'problems' in checked ? checked.problems.map((p) => `${p.at}: ${p.message}`) : []
}

describe('what columns can express', () => {
  it.each<[string, Predicate, string[]]>([
    ["name == 'x'", { op: 'text', column: 0, relation: '==', values: ['x'] }, ['name/text']],
    ["'x' < name", { op: 'text', column: 0, relation: '>', values: ['x'] }, ['name/text']],
    ["name in ['a', 'b']", { op: 'text', column: 0, relation: 'in', values: ['a', 'b'] }, ['name/text']],
    ["name.startsWith('a')", { op: 'text', column: 0, relation: 'startsWith', values: ['a'] }, ['name/text']],
    ['revenue_minor >= 100', { op: 'compare', column: 0, relation: '>=', value: 100 }, ['revenue_minor/number']],
    ['kind in [1, 2]', { op: 'oneOf', column: 0, values: [1, 2] }, ['kind/number']],
    [
      'kind == millrace.v1.EventKind.EVENT_KIND_PAGE',
      { op: 'compare', column: 0, relation: '==', value: 2 },
      ['kind/number'],
    ],
    ["properties.plan == 'pro'", { op: 'text', column: 0, relation: '==', values: ['pro'] }, ['properties.plan/text']],
    ["properties['a.b'] > 1.5", { op: 'compare', column: 0, relation: '>', value: 1.5 }, ['properties.a.b/number']],
    ['has(properties.plan)', { op: 'text', column: 0, relation: '!=', values: [''] }, ['properties.plan/text']],
    ['has(screen)', { op: 'text', column: 0, relation: '!=', values: [''] }, ['screen/text']],
    [
      'consent.global_privacy_control',
      { op: 'compare', column: 0, relation: '==', value: 1 },
      ['consent.global_privacy_control/number'],
    ],
    [
      "occurred_at >= timestamp('2024-03-01T00:00:00Z')",
      { op: 'compare', column: 0, relation: '>=', value: 1_709_251_200_000 },
      ['occurred_at/number'],
    ],
    ['true', { op: 'true' }, []],
    ['size(name) > 3', { op: 'cel', source: '(size(c0) > (3))', columns: [0] }, ['name/text']],
    [
      "name == 'x' || (name + name).matches('^a')",
      {
        op: 'or',
        of: [
          { op: 'text', column: 0, relation: '==', values: ['x'] },
          { op: 'cel', source: '(c0 + c0).matches("^a")', columns: [0] },
        ],
      },
      ['name/text'],
    ],
    ["name.matches('^a')", { op: 'text', column: 0, relation: 'matches', values: ['^a'] }, ['name/text']],
    // An error below a negation must not turn into true: the whole goes to the slow lane.
    ['!(1 / kind == 1)', { op: 'cel', source: '(!(((1) / c0) == (1)))', columns: [0] }, ['kind/number']],
  ])('%s', (text, predicate, columns) => {
    expect(compile(text)).toEqual({ predicate, columns })
  })
})

describe('mistakes in expressions', () => {
  it.each([
    ["platfrom == 'x'", '0: millrace.v1.Event has no field "platfrom"; did you mean "platform"?'],
    ['name == 3', '4: == does not take "name" (string) and an int'],
    ["revenue_minor > '5'", 'does not take "revenue_minor" (int64) and a string'],
    ["kind == 'EVENT_KIND_PAGE'", 'an enum compares with its number: EVENT_KIND_PAGE is 2'],
    ["occurred_at > '2024-01-01'", 'write timestamp("2024-03-01T00:00:00Z")'],
    ["occurred_at > timestamp('2024-01-01')", 'timestamp() takes RFC 3339'],
    ["occurred_at > timestamp('2024-01-01T00:00:00.0005Z')", 'whole milliseconds'],
    ['name', '0: this is a string, not a condition'],
    ["name = 'x'", '5: expected an expression that goes on; to compare, write "=="'],
    ["name == 'x' and kind == 1", '12: cannot read on from "and"; CEL writes &&, || and !'],
    ["name <> 'x'", 'CEL writes "!="'],
    ["name == 'x", 'is a quote missing?'],
    ['name ==', 'cannot read'],
    ['', 'the expression is empty'],
    ['[1, 2].exists(x, x == kind)', 'macros over lists'],
    ['kind in [1, "a"]', 'differ in type'],
    ['kind in name', 'must be a list'],
    ['name in [screen]', 'literals only'],
    ['name == null', 'a field is never null'],
    ["nmae(name) == 'x'", 'there is no function nmae()'],
    ["name.matches('(')", 'missing closing )'],
    ['name.matches(screen)', 'must be a literal'],
    ["name.matches('[a-z]{1000}')", 'patterns of 1002 steps, of at most 500 in one condition'],
    ["name.matches('a{200}') && name.matches('b{200}') || name.matches('c{200}')", 'patterns of 606 steps'],
    [`name.matches('${'a'.repeat(257)}')`, 'longer than 256 characters'],
    ["occurred_at.getHours('Mars') == 1", 'there is no time zone "Mars"'],
    ['properties.a == properties.b', 'say which with string(…) or double(…)'],
    ['context.country == 1 && context.contry == "x"', '== does not take'],
    ['kind + revenue_minor * 1.5 > 2', '* does not take'],
    ['context == 1', '"context" is a message'],
    [`${'('.repeat(80)}true${')'.repeat(80)}`, 'brackets nest deeper'],
    [`${'true ? true : '.repeat(80)}true`, 'nests deeper'],
    ['x'.repeat(5000), 'longer than 4096'],
    [`kind in [${'1,'.repeat(1500)}1]`, 'more than 1000 items'],
    ['1e999 > 1.0', 'too large for a double'],
    ['has(context)', '"context" is a message'],
  ])('%s', (text, expected) => {
    expect(problems(text).join('\n')).toContain(expected)
  })

  it('are told all at once', () => {
    expect(problems("nam == 'x' && kind == 'y' || screeen.startsWith('z')").length).toBe(3)
  })

  it('long lists of alternatives are not deep', () => {
    expect(problems(Array.from({ length: 150 }, (_, i) => `kind == ${i}`).join(' || '))).toEqual([])
  })

  it('any text is an expression or a problem with a place inside it', () => {
    const token = fc.constantFrom(
      'name',
      'kind',
      '==',
      '<',
      '&&',
      '||',
      '!',
      '(',
      ')',
      '[',
      ']',
      '.',
      ',',
      "'a'",
      '1',
      '1.5',
      'in',
      '?',
      ':',
      'has',
      'size',
      'x',
      '{',
      '}',
      '-',
      '"',
      '\\',
      '\n',
    )
    const text = fc.oneof(
      fc.array(token, { maxLength: 14 }).map((t) => t.join(' ')),
      fc.string({ maxLength: 30, unit: 'binary' }),
    )
    fc.assert(
      fc.property(text, (t) => {
        const checked = checkExpression(t, scope)
        if ('expression' in checked) return
        expect(checked.problems.length).toBeGreaterThan(0)
        for (const p of checked.problems) {
          expect(p.at).toBeGreaterThanOrEqual(0)
          expect(p.at).toBeLessThanOrEqual(t.length)
        }
      }),
      { numRuns: 500 },
    )
  })
})
