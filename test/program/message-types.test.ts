/** Messages of one's own: from a descriptor set, from generated code, and out of the framing of a schema registry. */
import fc from 'fast-check'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { compileTexts } from '../../src/event/descriptor-text.ts'
import { LateEvent } from '../../src/gen/millrace/v1/metric.ts'
import { defineJob } from '../../src/program/define.ts'
import { describeProgram } from '../../src/program/graph.ts'
import { framed, messageType, registeredType, withSchemas } from '../../src/program/message-types.ts'
import type { WindowResult } from '../../src/program/window-operator.ts'
import { openHarness } from '../../src/testing/job-harness.ts'
import { out } from './support.ts'

const text = `syntax = "proto3";
package shop.v1;
import "google/protobuf/timestamp.proto";
message Other { string a = 1; }
message Order {
  string customer = 1;
  google.protobuf.Timestamp placed_at = 2;
  int64 amount = 3;
  oneof how { string card = 4; bool cash = 5; }
  message Line { string article = 1; }
}
`

interface Order {
  customer: string
  placedAt?: { seconds: bigint; nanos: number }
  amount: bigint
  how: { case: 'card'; value: string } | { case: 'cash'; value: boolean } | { case: undefined; value?: undefined }
}

const set = compileTexts([{ name: 'shop.proto', text }])
const Order = messageType<Order>(set, 'shop.v1.Order')
const noon = 1_700_000_000_000

function order(customer: string, amount: bigint, atMs: number): Order {
  const placedAt = { seconds: BigInt(Math.floor(atMs / 1000)), nanos: (atMs % 1000) * 1_000_000 }
  return { customer, amount, placedAt, how: { case: 'cash', value: true } }
}

function job(event: typeof Order) {
  return defineJob<Order>({
    name: 'orders',
    source: { input: { log: { path: 'unused', topic: 'orders' } }, event, time: ({ placedAt }) => placedAt },
    watermark: { outOfOrderness: '1h' },
    build: (orders) =>
      orders
        .keyBy(({ customer }) => customer)
        .process<string>({
          id: 'seen',
          onEvent: ({ amount, how }, context) => context.emit(`${amount} ${how.case} ${context.timestampMs}`),
        })
        .sinkTo({ id: 'out', to: out('out') }),
  })
}

describe('messages of a descriptor set', () => {
  it('are events like any other: read, keyed, sent on, with their time', async () => {
    const harness = await openHarness<Order>(job(Order), { parallelism: 3 })
    harness.push(order('ada', 2n ** 60n, noon + 7))
    harness.pushBytes(Uint8Array.of(0x0a, 0xff))
    harness.push({ ...order('bob', 1n, noon), placedAt: undefined } as unknown as Order)
    await harness.run()
    expect(harness.output('out')).toEqual([`${2n ** 60n} cash ${noon + 7}`])
    expect(harness.counts).toMatchObject({ read: 3, deadLettered: 2 })
    await harness.close()
  })

  it('must be in the set', () => {
    expect(() => messageType(set, 'shop.v1.Odrer')).toThrow(/no message shop\.v1\.Odrer/)
    expect(() => messageType(Uint8Array.of(1, 2, 3), 'a.B')).toThrow(/cannot be used/)
  })
})

describe('messages of a schema registry', () => {
  const Registered = registeredType<Order>({ subject: 'orders-value', message: 'shop.v1.Order' })

  it('are decoded by the schema that the job is given, and are framed', async () => {
    const harness = await openHarness<Order>(job(Registered), { descriptorSet: set })
    harness.push(order('ada', 5n, noon))
    // Orders are the second message of their schema.
    harness.pushBytes(Uint8Array.of(0, 0, 0, 0, 9, 2, 2, ...Order.encode(order('bob', 6n, noon)).finish()))
    harness.pushBytes(Uint8Array.of(0, 0, 0, 0, 9, 0, ...Order.encode(order('bob', 7n, noon)).finish()))
    harness.pushBytes(Order.encode(order('bob', 8n, noon)).finish())
    await harness.checkpoint()
    await harness.restore({ parallelism: 3 })
    harness.push(order('ada', 9n, noon))
    await harness.run()
    expect(harness.output('out').toSorted()).toEqual([5, 6, 9].map((amount) => `${amount} cash ${noon}`))
    expect(harness.counts).toMatchObject({ read: 5, deadLettered: 2 })
    await harness.close()
  })

  it('are named in what a job says of itself', () => {
    expect(describeProgram(job(Registered))).toMatchObject({
      subjects: ['orders-value'],
      nodes: [{ detail: 'shop.v1.Order of subject orders-value' }, {}, {}],
    })
    expect(describeProgram(job(Order)).subjects).toEqual([])
  })

  it('must be in the schema', () => {
    const wrong = registeredType<Order>({ subject: 'orders-value', message: 'shop.v1.Odrer' })
    expect(() => withSchemas(job(wrong), set)).toThrow(/no message shop\.v1\.Odrer/)
    expect(() => Registered.decode(Uint8Array.of())).toThrow(/descriptorSet/)
  })
})

describe('generated code', () => {
  it('types the whole job', () => {
    defineJob({
      name: 'late',
      source: { input: { kafka: { topic: 'late' } }, event: framed(LateEvent), time: ({ eventTime }) => eventTime },
      build(events) {
        const counted = events
          .keyBy((event) => event.partition)
          .window({ tumbling: '1h' })
          .aggregate({
            id: 'n',
            aggregate: { create: () => 0n, add: (sum, event) => sum + BigInt(event.offset), result: (n) => n },
          })
        expectTypeOf(counted.map((result) => result)).toEqualTypeOf(
          counted.map((r) => r as WindowResult<number, bigint>),
        )
        counted.sinkTo({ id: 'out', to: { discard: {} } })
      },
    })
  })
})

describe('the framing of a schema registry', () => {
  const read = async (index: readonly number[], values: readonly Uint8Array[]) => {
    const harness = await openHarness<Order>(job(framed(Order, { index })))
    for (const value of values) harness.pushBytes(value)
    await harness.run()
    const reasons = harness.records<Uint8Array>('deadLetters').map(({ bytes }) => bytes)
    const result = { out: harness.output<string>('out').length, dead: harness.counts.deadLettered, reasons }
    await harness.close()
    return result
  }

  it('comes off, whatever the id and whichever form its index has', async () => {
    const bare = Order.encode(order('ada', 5n, noon)).finish()
    const short = Uint8Array.of(0, 1, 2, 3, 4, 0, ...bare)
    const long = Uint8Array.of(0, 0, 0, 0, 9, 2, 0, ...bare)
    expect(await read([0], [short, long])).toMatchObject({ out: 2, dead: 0 })
    const nested = Uint8Array.of(0, 0, 0, 0, 9, 4, 2, 0, ...bare)
    expect(await read([1, 0], [nested])).toMatchObject({ out: 1, dead: 0 })
  })

  it('makes dead letters of what is not framed, and of other messages', async () => {
    const bare = Order.encode(order('ada', 5n, noon)).finish()
    expect(await read([1], [bare, Uint8Array.of(0, 0, 0, 0, 1, 0, ...bare), Uint8Array.of(0, 0, 0)])).toMatchObject({
      out: 0,
      dead: 3,
    })
    const reasonOf = (bytes: Uint8Array): unknown => {
      try {
        return framed(Order, { index: [1] }).decode(bytes)
      } catch (thrown) {
        return (thrown as { reason: string }).reason
      }
    }
    expect(reasonOf(bare)).toBe('not_framed')
    expect(reasonOf(Uint8Array.of(0, 0, 0, 0, 1, 0, ...bare))).toBe('unknown_type')
    expect(reasonOf(Uint8Array.of(0, 0, 0))).toBe('not_framed')
  })

  it('goes on and comes off again, for every index and id', () => {
    const index = fc.array(fc.nat(1000), { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(
        index,
        fc.nat(2 ** 31),
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        (at, schemaId, amount) => {
          const type = framed(Order, { index: at, schemaId })
          const bytes = type.encode(order('ada', amount, noon)).finish()
          expect(new DataView(bytes.buffer).getUint32(1)).toBe(schemaId)
          expect(type.decode(bytes)).toMatchObject(order('ada', amount, noon))
        },
      ),
    )
    expect(() => framed(Order, { index: [] })).toThrow(/no index/)
  })
})
