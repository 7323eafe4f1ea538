/** The `event` section: schemas and several types of event, from the document to the plan. */
import { describe, expect, it } from 'vitest'
import { type Descriptors, loadDescriptors } from '../../src/event/descriptor.ts'
import { compileTexts } from '../../src/event/descriptor-text.ts'
import { JobDefinition } from '../../src/gen/millrace/v1/job.ts'
import { parseJob, parseJobMessage } from '../../src/job/parse.ts'
import { schemaRequest } from '../../src/job/parse-event.ts'
import { planJob } from '../../src/job/planner.ts'
import { checkSchemaEvolution } from '../../src/job/schema-evolution.ts'
import { errorOf } from './parse-support.ts'

const text = `syntax = "proto3"; package shop;
message Placed { string customer = 1; int64 at = 2; int64 amount = 3; string country = 4; Color color = 6; }
message Paid { int64 paid_at = 1; string payer = 2; int64 amount = 5; double fee = 6; string color = 7; repeated string tags = 8; }
enum Color { NONE = 0; RED = 1; }
message Envelope { int64 at = 1; string customer = 2; oneof event { Placed placed = 3; Paid paid = 4; string note = 5; } repeated Paid many = 6; }`
const descriptors = loadDescriptors(compileTexts([{ name: 'shop.proto', text }]))

const byHeader = `{ oneOf: [
  { type: placed, message: shop.Placed, when: { header: kind } },
  { type: paid, message: shop.Paid, when: { header: kind, equals: payment }, time: paid_at, key: payer } ],
  time: at, key: customer }`
const byField = `{ message: shop.Envelope, time: at, key: customer,
  oneOf: [{ when: { field: placed } }, { type: money, when: { field: paid } }] }`

function documentOf(
  event: string,
  metrics = '[{ id: m, count: {}, window: { tumbling: 1m } }]',
  topic = 'orders',
): string {
  return `apiVersion: millrace.dev/v1
kind: Job
metadata: { name: shop }
sources: [{ kafka: { topic: ${topic}, brokers: 'b:1' } }]
event: ${event}
metrics: ${metrics}
`
}
const parse = (document: string, of: Descriptors = descriptors) => parseJob(document, of).definition
const plan = (document: string, of: Descriptors = descriptors) =>
  planJob(parse(document, of), { threads: 1, descriptors: of })
const mistakes = (event: string, metrics?: string): string[] =>
  errorOf(() => parse(documentOf(event, metrics))).violations.map((v) => `${v.field}: ${v.message}`)

describe('types of event', () => {
  it('by header: fields of all types, each at its own place', () => {
    const metrics = `[
      { id: amounts, sum: { field: amount }, by: [event_type], window: { tumbling: 1m } },
      { id: fees, sum: { field: fee }, where: "event_type == 'paid' && country == ''", window: { tumbling: 1m } } ]`
    const { schema } = plan(documentOf(byHeader, metrics))
    const { format } = schema
    expect(schema.columns.map(({ field, encoding }) => `${field.path} ${encoding}`)).toEqual([
      'event_type text',
      'amount number',
      'country text',
      'fee number',
    ])
    expect(format).toMatchObject({
      framing: 'none',
      others: 'filter',
      types: [
        {
          message: 'shop.Placed',
          when: { kind: 'header', name: 'kind', equals: 'placed' },
          time: { steps: [{ number: 2 }] },
          key: { steps: [{ number: 1 }] },
          columns: [{ constant: 'placed' }, { steps: [{ number: 3 }] }, { steps: [{ number: 4 }] }, null],
        },
        {
          message: 'shop.Paid',
          when: { kind: 'header', name: 'kind', equals: 'payment' },
          time: { steps: [{ number: 1 }] },
          key: { steps: [{ number: 2 }] },
          columns: [{ constant: 'paid' }, { steps: [{ number: 5 }] }, null, { steps: [{ number: 6 }] }],
        },
      ],
    })
  })

  it('by a field of an envelope: the type’s own fields first, then those of the envelope', () => {
    const metrics =
      '[{ id: amounts, sum: { field: amount }, by: [event_type, placed.country], window: { tumbling: 1m } }]'
    const { format } = plan(documentOf(byField, metrics)).schema
    const placed = format!.types[0]!
    expect(placed.when).toEqual({ kind: 'field', number: 3, group: [3, 4, 5] })
    expect(placed.time.steps.map(({ number }) => number)).toEqual([3, 2])
    expect(format!.types[1]).toMatchObject({ time: { steps: [{ number: 1 }] }, key: { steps: [{ number: 2 }] } })
    expect(
      placed.columns.map((c) => (c === null || 'constant' in c ? c : c.steps.map(({ number }) => number))),
    ).toEqual([{ constant: 'placed' }, [3, 4], [3, 3]])
  })

  it('a number may be absent where a type lacks it, not where only the type’s own field holds it', () => {
    const metrics = `[
      { id: amounts, sum: { field: amount }, window: { tumbling: 1m } },
      { id: fees, sum: { field: fee }, window: { tumbling: 1m } },
      { id: inner, sum: { field: placed.amount }, window: { tumbling: 1m } } ]`
    const nullable = (event: string, of: string) =>
      plan(documentOf(event, of)).schema.columns.map((c) => `${c.field.path}${c.nullable ? '?' : ''}`)
    expect(nullable(byHeader, metrics.replace('placed.amount', 'amount'))).toEqual(['amount', 'fee?'])
    expect(nullable(byField, metrics)).toEqual(['amount', 'fee?', 'placed.amount?'])
  })

  it('means the same in YAML, JSON and the message', () => {
    for (const event of [byHeader, byField]) {
      const definition = parse(
        documentOf(
          `{ schema: { registry: { subjects: [a, b] } }, others: deadLetter, maxFuture: 1m, ${event.slice(1)}`,
        ),
      )
      const json = {
        apiVersion: 'millrace.dev/v1',
        kind: 'Job',
        metadata: { name: 'shop' },
        sources: [{ kafka: { topic: 'orders', brokers: 'b:1' } }],
        metrics: [{ id: 'm', count: {}, window: { tumbling: '1m' } }],
        event: {
          schema: { registry: { subjects: ['a', 'b'] } },
          others: 'deadLetter',
          maxFuture: '1m',
          time: 'at',
          key: 'customer',
          ...(event === byHeader
            ? {
                oneOf: [
                  { type: 'placed', message: 'shop.Placed', when: { header: 'kind' } },
                  {
                    type: 'paid',
                    message: 'shop.Paid',
                    when: { header: 'kind', equals: 'payment' },
                    time: 'paid_at',
                    key: 'payer',
                  },
                ],
              }
            : {
                message: 'shop.Envelope',
                oneOf: [{ when: { field: 'placed' } }, { type: 'money', when: { field: 'paid' } }],
              }),
        },
      }
      const message = JobDefinition.decode(JobDefinition.encode(JobDefinition.fromJSON(json)).finish())
      expect(parseJobMessage(JobDefinition.toJSON(message), descriptors).definition).toEqual(definition)
      expect(definition.event.others).toBe('deadLetter')
    }
  })

  it.each([
    ['no type', '{ oneOf: [] }', 'event.oneOf: must name at least one type'],
    [
      'a message that is not there',
      '{ oneOf: [{ message: shop.Plced, when: { header: h } }] }',
      'event.oneOf[0].message: there is no message "shop.Plced"',
    ],
    [
      'no test',
      '{ time: at, key: customer, oneOf: [{ message: shop.Placed }, { message: shop.Paid }] }',
      'event.oneOf[0].when: is missing',
    ],
    [
      'tests of two kinds',
      '{ message: shop.Envelope, oneOf: [{ message: shop.Placed, when: { header: h } }, { when: { field: paid } }] }',
      'event.oneOf[1].when: all types are told apart in the same way',
    ],
    [
      'two headers',
      '{ oneOf: [{ message: shop.Placed, when: { header: a } }, { message: shop.Paid, when: { header: b } }] }',
      'event.oneOf[1].when.header: must be "a"',
    ],
    [
      'the same test',
      '{ oneOf: [{ message: shop.Placed, when: { header: a, equals: x } }, { message: shop.Paid, when: { header: a, equals: x } }] }',
      'event.oneOf[1].when: is the test of another type',
    ],
    [
      'one name twice',
      '{ oneOf: [{ type: t, message: shop.Placed, when: { header: a, equals: x } }, { type: t, message: shop.Paid, when: { header: a, equals: y } }] }',
      'event.oneOf[1].type: type "t" is named twice',
    ],
    [
      'a field that is no message',
      '{ message: shop.Envelope, oneOf: [{ when: { field: note } }] }',
      'event.oneOf[0].when.field: "note" must be a single message',
    ],
    [
      'a field that is repeated',
      '{ message: shop.Envelope, oneOf: [{ when: { field: many } }] }',
      '"many" must be a single message',
    ],
    [
      'a field that is not there',
      '{ message: shop.Envelope, oneOf: [{ when: { field: placd } }] }',
      'shop.Envelope has no field "placd"; did you mean "placed"?',
    ],
    [
      'a type without the time',
      '{ time: at, key: customer, oneOf: [{ message: shop.Placed, when: { header: a, equals: x } }, { message: shop.Paid, key: payer, when: { header: a, equals: y } }] }',
      'event.time: type shop.Paid: shop.Paid has no field "at"',
    ],
    [
      'an unknown key',
      '{ oneOf: [{ message: shop.Placed, wenn: {} }] }',
      'event.oneOf[0].wenn: unknown key; did you mean "when"?',
    ],
    [
      'two sources of a schema',
      '{ schema: { descriptorSet: a, registry: {} } }',
      'event.schema: has descriptorSet and registry',
    ],
  ])('%s', (_, event, expected) => {
    expect(mistakes(event).join('\n')).toContain(expected)
  })

  it.each([
    ['two meanings', 'color', '"color" is enum in type placed and string in type paid'],
    ['a field that is wrong in one of them', 'tags', 'in type paid: "tags" is repeated'],
    ['a field of none', 'nothing', 'no type of event has "nothing"'],
  ])('a dimension with %s', (_, field, expected) => {
    expect(mistakes(byHeader, `[{ id: m, count: {}, by: [${field}], window: { tumbling: 1m } }]`).join()).toContain(
      expected,
    )
  })

  it('says which schema a document wants, before anything is checked', () => {
    expect(schemaRequest({ text: documentOf('{ schema: { registry: {} } }') })).toEqual({
      schema: { kind: 'registry', subjects: [] },
      topic: 'orders',
    })
    expect(schemaRequest({ value: { event: { schema: { descriptorSet: 'a.binpb' } }, sources: 3 } })).toMatchObject({
      schema: { kind: 'descriptorSet', path: 'a.binpb' },
    })
    for (const value of [
      null,
      3,
      [],
      {},
      { event: 1 },
      { event: { schema: [] } },
      { event: { schema: { registry: {}, descriptorSet: 'x' } } },
    ])
      expect(schemaRequest({ value })).toBeNull()
    expect(schemaRequest({ text: '{{{' })).toBeNull()
  })
})

describe('checkSchemaEvolution', () => {
  const check = (event: string, metric: string, changed: string, after = event) => {
    const metrics = `[{ id: m, ${metric}, window: { tumbling: 1m } }]`
    const now = loadDescriptors(compileTexts([{ name: 'shop.proto', text: changed }]))
    const before = { definition: parse(documentOf(event, metrics)), descriptors }
    const definition = parse(documentOf(after, metrics), now)
    checkSchemaEvolution(
      before,
      { definition, descriptors: now },
      planJob(definition, { threads: 1, descriptors: now }),
    )
  }
  const sum = 'sum: { field: amount }'

  it('lets through what the job does not read, and new types', () => {
    check(byHeader, sum, text)
    check(byHeader, sum, text.replace('string country = 4', 'string country = 44'))
    const one = byHeader.replace(/\{ type: paid.*\} \],/, '],')
    check(one, sum, text, byHeader)
    check(byField, sum, text.replace('Placed {', 'Placed { int32 extra = 99;'))
  })

  it('refuses another key or time of a type', () => {
    const changed = byHeader.replace('key: payer', 'key: color')
    expect(errorOf(() => check(byHeader, sum, text, changed)).message).toContain('paid: key was payer and is now color')
  })

  it.each([
    [
      'a field of one type',
      byHeader,
      'int64 amount = 5',
      'int64 amount = 55',
      'shop.Paid: amount had number 5 and now has number 55',
    ],
    ['the time', byHeader, 'int64 paid_at = 1', 'sint64 paid_at = 1', 'shop.Paid: paid_at was int64 and is now sint64'],
    [
      'a field inside an envelope',
      byField,
      'Paid paid = 4',
      'Paid paid = 14',
      'shop.Envelope: paid.amount had number 4.5 and now has number 14.5',
    ],
    ['the key', byHeader, 'string customer = 1', 'bytes customer = 9', 'customer had number 1 and now has number 9'],
  ])('refuses another %s', (_, event, from, to, expected) => {
    const error = errorOf(() => check(event, sum, text.replace(from, to)))
    expect([error.code, error.violations.map((v) => `${v.field} ${v.message}`).join()]).toEqual([
      'SCHEMA_INCOMPATIBLE',
      expect.stringContaining(expected),
    ])
  })
  it('refuses another name of an enum value that state knows by name, and no other one', () => {
    const renamed = text.replace('RED = 1', 'ROSE = 1')
    const placed = '{ message: shop.Placed, time: at, key: customer }'
    for (const metric of ['count: {}, by: [color]', 'distinct: { field: color }', 'last: { field: color }']) {
      const error = errorOf(() => check(placed, metric, renamed))
      expect([error.code, error.violations.map((v) => `${v.field} ${v.message}`)]).toEqual([
        'SCHEMA_INCOMPATIBLE',
        ['color value 1 was RED and is now ROSE: state is by name (ENUM_VALUE_SAME_NAME)'],
      ])
    }
    const flag = text.replace('int64 amount = 3', 'bool amount = 3')
    expect(errorOf(() => check(placed, 'count: {}, by: [amount]', flag)).message).toContain(
      'amount was int64 and is now bool: state is by its text',
    )
    // A condition is about the number; a further value, or a second name, changes no text.
    check(placed, 'count: {}, where: color == 1', renamed)
    check(placed, 'count: {}, by: [color]', text.replace('RED = 1', 'RED = 1; BLUE = 2'))
    check(placed, 'count: {}, by: [color]', text.replace('RED = 1', 'option allow_alias = true; RED = 1; ROSE = 1'))
  })
})
