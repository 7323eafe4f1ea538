import { celEnv, celUint, isCelError, parse, plan } from '@bufbuild/cel'
import { timestampFromMs } from '@bufbuild/protobuf/wkt'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileProjection } from '../../src/event/projection.ts'
import { ScanBatch } from '../../src/event/scan.ts'
import type { Column, EventSchema, FieldRef } from '../../src/event/schema.ts'
import { Event } from '../../src/gen/millrace/v1/event.ts'
import type { Predicate } from '../../src/job/plan.ts'
import { checkExpression, compileExpression } from '../../src/job/predicate.ts'
import { compilePredicates } from '../../src/operator/filter.ts'
import { builtInDescriptors } from '../support/descriptors.ts'

const descriptors = builtInDescriptors()
const scope = {
  resolve: (path: readonly string[]) => descriptors.resolve('millrace.v1.Event', path),
  enumValue: (name: string) => descriptors.enumValue(name),
}

function fieldOf(path: string): FieldRef {
  const resolved = scope.resolve(path.split('.'))
  if (!resolved.ok) throw new Error(resolved.problem)
  return resolved.field
}

/** Compiles expressions over shared columns, as the planner does. */
function compileAll(texts: readonly string[]): { predicates: Predicate[]; schema: EventSchema } {
  const columns: Column[] = []
  const keys: string[] = []
  const predicates = texts.map((text) => {
    const checked = checkExpression(text, scope)
    if ('problems' in checked) throw new Error(`${text}: ${checked.problems.map((p) => p.message).join('; ')}`)
    return compileExpression(checked.expression, (field, encoding) => {
      const key = `${field.path}/${encoding}`
      if (!keys.includes(key)) {
        keys.push(key)
        columns.push({ field, encoding })
      }
      return keys.indexOf(key)
    })
  })
  const schema = {
    message: 'millrace.v1.Event',
    time: fieldOf('occurred_at'),
    timeUnitMs: 1,
    key: fieldOf('person'),
    columns,
  }
  return { predicates, schema }
}

interface Sample {
  readonly name: string
  readonly platform: string
  readonly kind: number
  readonly revenue: number
  readonly country: string
  readonly sentAtMs: number
  readonly plan: string
  readonly price: number
  readonly vip: boolean
  readonly gpc: boolean
}

function fill(schema: EventSchema, samples: readonly Sample[]): ScanBatch {
  const batch = new ScanBatch(schema.columns)
  const projection = compileProjection(schema)
  for (const s of samples) {
    const bytes = Event.encode(
      Event.fromPartial({
        person: 'p',
        occurredAt: new Date(1000),
        name: s.name,
        platform: s.platform,
        kind: s.kind as Event['kind'],
        revenueMinor: s.revenue,
        sentAt: new Date(s.sentAtMs),
        context: { country: s.country },
        consent: { globalPrivacyControl: s.gpc },
        properties: {
          plan: { value: { $case: 'stringValue', value: s.plan } },
          price: { value: { $case: 'doubleValue', value: s.price } },
          vip: { value: { $case: 'boolValue', value: s.vip } },
        },
      }),
    ).finish()
    expect(projection.decode(bytes, 0, bytes.length, batch)).toBe(0)
  }
  return batch
}

/** The decoded event as CEL sees it. */
function bindings(s: Sample): Record<string, unknown> {
  return {
    name: s.name,
    platform: s.platform,
    kind: BigInt(s.kind),
    revenue_minor: BigInt(s.revenue),
    sent_at: timestampFromMs(s.sentAtMs),
    context: { country: s.country },
    consent: { global_privacy_control: s.gpc },
    properties: { plan: s.plan, price: s.price, vip: s.vip },
  }
}

const word = fc.constantFrom('', 'a', 'ab', 'b', 'page_view', 'web', 'żółw', '\u{1F600}', "it's", 'a"b', 'tab\t')
const number = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.maxSafeInteger())
const double = fc.oneof(fc.constantFrom(0, -0, 1.5, -2, 1e300), fc.double({ noNaN: true, noDefaultInfinity: true }))
const time = fc.constantFrom(0, 1, 1_700_000_000_000, 1_700_000_000_001, -1)
const sample = fc.record({
  name: word,
  platform: word,
  kind: fc.integer({ min: 0, max: 6 }),
  revenue: number,
  country: word,
  sentAtMs: time,
  plan: word,
  price: double,
  vip: fc.boolean(),
  gpc: fc.boolean(),
})

const quote = (s: string) => `"${s.replace(/["\\]/g, '\\$&').replace(/\t/g, '\\t')}"`
const float = (d: number) => (/[.e]/.test(String(d)) ? String(d) : `${d}.0`)
const instant = (ms: number) => `timestamp("${new Date(ms).toISOString()}")`
const relation = fc.constantFrom('==', '!=', '<', '<=', '>', '>=')
const textField = fc.constantFrom('name', 'platform', 'context.country', 'properties.plan', 'properties["plan"]')
const intField = fc.constantFrom('kind', 'revenue_minor')
const numericLiteral = fc.oneof(
  number.map(String),
  double.map(float),
  fc.nat(5).map((n) => `${n}u`),
  fc.constantFrom('9007199254740993', '-9223372036854775808'),
)
const leaf = fc.oneof(
  fc.tuple(textField, relation, word).map(([f, r, w]) => `${f} ${r} ${quote(w)}`),
  fc.tuple(word, relation, textField).map(([w, r, f]) => `${quote(w)} ${r} ${f}`),
  fc
    .tuple(textField, relation, textField)
    .filter(([a, , b]) => !(a.startsWith('prop') && b.startsWith('prop')))
    .map(([a, r, b]) => `${a} ${r} ${b}`),
  fc.tuple(intField, relation, numericLiteral).map(([f, r, n]) => `${f} ${r} ${n}`),
  fc.tuple(numericLiteral, relation, intField).map(([n, r, f]) => `${n} ${r} ${f}`),
  fc.tuple(relation, double).map(([r, d]) => `properties.price ${r} ${float(d)}`),
  fc
    .tuple(textField, fc.array(word, { minLength: 1, maxLength: 4 }))
    .map(([f, ws]) => `${f} in [${ws.map(quote).join(', ')}]`),
  fc
    .tuple(intField, fc.array(numericLiteral, { minLength: 1, maxLength: 4 }))
    .map(([f, ns]) => `${f} in [${ns.join(', ')}]`),
  fc
    .tuple(textField, fc.constantFrom('startsWith', 'endsWith', 'contains'), word)
    .map(([f, fn, w]) => `${f}.${fn}(${quote(w)})`),
  fc.tuple(textField, fc.constantFrom('^a', 'b$', '[ab]+', 'web|page')).map(([f, p]) => `${f}.matches(${quote(p)})`),
  fc.tuple(textField, relation, fc.nat(3)).map(([f, r, n]) => `size(${f}) ${r} ${n}`),
  fc.tuple(relation, time).map(([r, t]) => `sent_at ${r} ${instant(t)}`),
  fc
    .tuple(fc.constantFrom('getHours()', 'getDayOfWeek("Europe/Berlin")'), relation, fc.nat(23))
    .map(([g, r, n]) => `sent_at.${g} ${r} ${n}`),
  fc
    .tuple(fc.constantFrom('+', '-', '*', '/', '%'), number, relation, number)
    .map(([o, a, r, b]) => `revenue_minor ${o} (${a}) ${r} ${b}`),
  fc
    .tuple(fc.constantFrom('+', '-', '*', '/'), double, relation, double)
    .map(([o, a, r, b]) => `properties.price ${o} (${float(a)}) ${r} ${float(b)}`),
  fc.constantFrom(
    'consent.global_privacy_control',
    'consent.global_privacy_control == false',
    'consent.global_privacy_control != (name == "a")',
    'properties.vip == true',
    'true',
    'false',
    'kind == millrace.v1.EventKind.EVENT_KIND_PAGE',
    'name + platform == "aweb"',
    '(name + platform).matches("^a.*b$")',
    '!name.matches("[a-m]+")',
    'int(properties.price) == 1',
    '-revenue_minor > 0',
    'string(kind) == "2"',
  ),
)
const { expression } = fc.letrec<{ expression: string }>((tie) => ({
  expression: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    leaf,
    fc
      .tuple(tie('expression'), fc.constantFrom('&&', '||'), tie('expression'))
      .map(([a, o, b]) => `(${a}) ${o} (${b})`),
    tie('expression').map((e) => `!(${e})`),
    fc.tuple(tie('expression'), tie('expression'), tie('expression')).map(([c, a, b]) => `(${c}) ? (${a}) : (${b})`),
  ),
}))

describe('columns against the CEL runtime', () => {
  it('takes the rows for which CEL says true', () => {
    let slow = 0
    fc.assert(
      fc.property(expression, fc.array(sample, { minLength: 1, maxLength: 12 }), (text, samples) => {
        const { predicates, schema } = compileAll([text])
        if (JSON.stringify(predicates).includes('"cel"')) slow++
        const batch = fill(schema, samples)
        const taken = compilePredicates(predicates, schema).evaluate(batch)
        // An enum constant needs a registry in the runtime; its number is what it means.
        const evaluate = plan(celEnv(), parse(text.replaceAll('millrace.v1.EventKind.EVENT_KIND_PAGE', '2'))) as (
          b: unknown,
        ) => unknown
        const expected = samples.map((s) => {
          const result = evaluate(bindings(s))
          return !isCelError(result) && result === true ? 1 : 0
        })
        expect([...batch.mask.subarray(0, batch.rows)], text).toEqual(expected)
        expect(taken).toBe(expected.filter((e) => e === 1).length)
      }),
      { numRuns: 1500 },
    )
    expect(slow).toBeGreaterThan(0)
  })

  it('gives each predicate its bit', () => {
    const { predicates, schema } = compileAll(['name == "a"', 'true', 'kind > 2', 'name in ["a", "b"]'])
    const base = {
      name: '',
      platform: '',
      kind: 0,
      revenue: 0,
      country: '',
      sentAtMs: 0,
      plan: '',
      price: 0,
      vip: false,
      gpc: false,
    }
    const batch = fill(schema, [
      { ...base, name: 'a', kind: 3 },
      { ...base, name: 'b' },
      { ...base, kind: 6 },
    ])
    expect(compilePredicates(predicates, schema).evaluate(batch)).toBe(3)
    expect([...batch.mask.subarray(0, 3)]).toEqual([0b1111, 0b1010, 0b0110])
    const rare = compileAll(['name == "a"', 'kind > 2'])
    const again = fill(rare.schema, [
      { ...base, name: 'a', kind: 3 },
      { ...base, name: 'b' },
    ])
    expect(compilePredicates(rare.predicates, rare.schema).evaluate(again)).toBe(1)
    expect([...again.mask.subarray(0, 2)]).toEqual([0b11, 0])
  })

  it('keeps unsigned numbers unsigned in the slow lane', () => {
    expect(celUint(1n)).toBeDefined()
    const columns: Column[] = [
      { field: { path: 'u', steps: [{ kind: 'field', number: 12 }], type: 'uint64' }, encoding: 'number' },
    ]
    const { schema } = compileAll(['kind > 2'])
    const own = { ...schema, columns }
    const base = {
      name: '',
      platform: '',
      kind: 0,
      country: '',
      sentAtMs: 0,
      plan: '',
      price: 0,
      vip: false,
      gpc: false,
    }
    const batch = fill(own, [
      { ...base, revenue: 7 },
      { ...base, revenue: 1 },
    ])
    compilePredicates([{ op: 'cel', source: '(c0 - 5u) == 2u', columns: [0] }], own).evaluate(batch)
    // The second would be below zero, which CEL calls an error: the row is not taken.
    expect([...batch.mask.subarray(0, 2)]).toEqual([1, 0])
  })
})

describe('what absent fields mean', () => {
  const text = (t: string, events: object[]) => {
    const { predicates, schema } = compileAll([t])
    const batch = new ScanBatch(schema.columns)
    const projection = compileProjection(schema)
    for (const e of events) {
      const bytes = Event.encode(Event.fromPartial({ person: 'p', occurredAt: new Date(0), ...e })).finish()
      expect(projection.decode(bytes, 0, bytes.length, batch)).toBe(0)
    }
    compilePredicates(predicates, schema).evaluate(batch)
    return [...batch.mask.subarray(0, batch.rows)]
  }
  const property = (value: NonNullable<Event['properties'][string]['value']>) => ({ properties: { x: { value } } })
  const absent = {}
  const zero = property({ $case: 'intValue', value: 0 })
  const word2 = property({ $case: 'stringValue', value: 'w' })

  it.each([
    ['properties.x == "w"', [0, 0, 1]],
    ['properties.x != "w"', [1, 1, 0]],
    ['properties.x == 0', [1, 1, 1]],
    ['has(properties.x)', [0, 1, 1]],
    ['"x" in properties', [0, 1, 1]],
    ['!has(properties.x) || properties.x == "w"', [1, 0, 1]],
    ['has(occurred_at)', [1, 1, 1]],
    ['has(sent_at)', [0, 0, 0]],
    ['has(name)', [0, 0, 0]],
    ['has(person)', [1, 1, 1]],
    ['has(kind) || has(revenue_minor)', [0, 0, 0]],
    ['has(consent.categories.analytics)', [0, 0, 0]],
  ])('%s', (t, expected) => {
    expect(text(t, [absent, zero, word2])).toEqual(expected)
  })

  it('tells an explicit false in a map from none', () => {
    expect(text('has(consent.categories.analytics)', [{ consent: { categories: { analytics: false } } }, {}])).toEqual([
      1, 0,
    ])
  })
})
