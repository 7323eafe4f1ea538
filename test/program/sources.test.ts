/** Several sources in one job: types, joins and shared state across them, one watermark, over crashes; what is refused. */
import { expect, expectTypeOf, it } from 'vitest'
import { DeadLetter } from '../../src/gen/millrace/v1/metric.ts'
import { count } from '../../src/program/aggregates.ts'
import { defineJob } from '../../src/program/define.ts'
import type { JobProgram } from '../../src/program/graph.ts'
import { planStages } from '../../src/program/stages.ts'
import { value } from '../../src/program/state.ts'
import type { Stream } from '../../src/program/streams.ts'
import { PARTITION_STRIDE } from '../../src/source/several-sources.ts'
import { openHarness } from '../../src/testing/job-harness.ts'
import { jsonEvent, out } from './support.ts'

interface Order {
  readonly id: string
  readonly customer: string
  readonly atMs: number
}

interface Payment {
  readonly order: string
  readonly cents: number
  readonly paidMs: number
}

const log = (topic: string) => ({ log: { path: 'unused', topic } })
// Its decoder takes no payments: whose record it is must be known on the other side of the exchange too.
const orderEvent = {
  ...jsonEvent<Order>(),
  decode(bytes: Uint8Array): Order {
    const order = jsonEvent<Order>().decode(bytes)
    if (order.customer === undefined) throw new Error('no order')
    return order
  },
}
const orders = { input: log('orders'), event: orderEvent, time: (order: Order) => order.atMs }
const payments = { input: log('payments'), event: jsonEvent<Payment>(), time: (payment: Payment) => payment.paidMs }
const base = { name: 'shop', watermark: { outOfOrderness: 0 } }
const patient = { name: 'shop', watermark: { outOfOrderness: '1h' } }

const joined = (settings: typeof base | typeof patient) =>
  defineJob({
    ...settings,
    sources: { orders, payments },
    build: (streams) => {
      expectTypeOf(streams.orders.map((order) => order.customer).refs).not.toBeAny()
      const byOrder = streams.orders.keyBy((order) => order.id)
      const byPayment = streams.payments.keyBy((payment) => payment.order)
      byOrder
        .intervalJoin(byPayment, {
          id: 'paid',
          lower: 0,
          upper: 100,
          join: (o, p) => `${o.customer} ${o.id} ${p.cents}`,
        })
        .sinkTo({ id: 'paid-out', to: out('paid') })
      const due = { cents: value<number>(), customer: value<string>() }
      byOrder
        .connect<Payment, string, typeof due>(byPayment, {
          id: 'balance',
          state: due,
          onEvent: (order, { state }) => state.customer.set(order.customer),
          onOther: ({ cents }, { state }) => state.cents.set((state.cents.get() ?? 0) + cents),
        })
        .sinkTo({ id: 'balance-out', to: out('balance') })
      streams.orders
        .map((order) => order.atMs)
        .union(streams.payments.map((payment) => payment.paidMs))
        .keyBy(() => 'all')
        .window({ tumbling: 1000 })
        .aggregate({ id: 'both', aggregate: count() })
        .sinkTo({ id: 'both-out', to: out('both') })
    },
  })

it('joins, shares state and unites across sources, over a crash and a change of parallelism', async () => {
  const harness = await openHarness<Order | Payment>(joined(patient), { parallelism: 3, partitions: 2, seed: 5 })
  const order = (i: number): void => harness.push({ id: `o${i}`, customer: `c${i % 3}`, atMs: i * 10 })
  const pay = (i: number, afterMs: number): void =>
    harness.push({ order: `o${i}`, cents: i, paidMs: i * 10 + afterMs }, { source: 'payments' })
  for (let i = 0; i < 20; i++) order(i)
  for (let i = 0; i < 10; i++) pay(i, i < 8 ? 100 : 101)
  await harness.checkpoint()
  await harness.restore({ parallelism: 2 })
  for (let i = 10; i < 20; i++) pay(i, 7)
  for (let i = 20; i < 30; i++) order(i)
  await harness.finish()
  const paid = Array.from({ length: 20 }, (_, i) => (i === 8 || i === 9 ? [] : [`c${i % 3} o${i} ${i}`])).flat()
  expect(harness.output<string>('paid-out').toSorted()).toEqual(paid.toSorted())
  expect(harness.state('balance', 'o7')).toMatchObject({ customer: 'c1', cents: 7 })
  expect(harness.state('balance', 'o13')).toMatchObject({ customer: 'c1', cents: 13 })
  expect(harness.output<{ value: number }>('both-out').map((result) => result.value)).toEqual([50])
  expect(harness.counts).toMatchObject({ read: 50, deadLettered: 0, late: 0 })
  await harness.close()
})

it('has one watermark: the slowest source holds windows back', async () => {
  const harness = await openHarness<Order | Payment>(joined(base))
  harness.push({ id: 'a', customer: 'c', atMs: 5 })
  harness.push({ id: 'b', customer: 'c', atMs: 5000 })
  await harness.run()
  expect(harness.output('both-out')).toEqual([])
  harness.push({ order: 'a', cents: 1, paidMs: 4000 }, { source: 'payments' })
  await harness.run()
  expect(harness.output<{ endMs: number }>('both-out').map(({ endMs }) => endMs)).toEqual([1000])
  await harness.close()
})

it('tells in dead letters which topic and partition it was', async () => {
  const job = defineJob({ ...base, deadLetters: log('dead'), sources: { orders, payments }, build: joinedBuild })
  const harness = await openHarness(job, { partitions: 3 })
  harness.pushBytes(new TextEncoder().encode('{}'), { source: 'payments', partition: 2 })
  harness.pushBytes(new TextEncoder().encode('{'), { source: 'payments', partition: 2 })
  await harness.run()
  const letters = harness.records('deadLetters').map(({ bytes }) => DeadLetter.decode(bytes))
  expect(letters.map(({ topic, partition, offset, reason }) => [topic, partition, Number(offset), reason])).toEqual([
    ['payments', 2, 0, 'missing_time'],
    ['payments', 2, 1, 'undecodable'],
  ])
  await harness.close()
})

const joinedBuild = (streams: { readonly orders: { sinkTo(sink: never): void } }): void =>
  streams.orders.sinkTo({ id: 'out', to: out('out') } as never)

it('goes on when a job of one source gets a second one', async () => {
  const seen = { n: value<number>() }
  const counting = (single: boolean): JobProgram => {
    const build = (all: Stream<Order>): void =>
      all
        .keyBy((order) => order.customer)
        .process<number, typeof seen>({
          id: 'seen',
          state: seen,
          onEvent(_order, { state }) {
            state.n.set((state.n.get() ?? 0) + 1)
          },
        })
        .sinkTo({ id: 'out', to: out('out') })
    if (single) return defineJob<Order>({ ...base, source: { ...orders, id: 'orders' }, build })
    const more = { ...orders, input: log('more') }
    return defineJob({ ...base, sources: { orders, more }, build: (all) => build(all.orders.union(all.more)) })
  }
  const harness = await openHarness<Order>(counting(true))
  for (let i = 0; i < 4; i++) harness.push({ id: `${i}`, customer: 'c', atMs: i })
  await harness.checkpoint()
  await harness.restore({ job: counting(false) })
  harness.push({ id: 'x', customer: 'c', atMs: 9 })
  harness.push({ id: 'y', customer: 'c', atMs: 9 }, { source: 'more' })
  await harness.run()
  expect(harness.state('seen', 'c')).toMatchObject({ n: 6 })
  expect(harness.counts.read).toBe(6)
  await harness.checkpoint()
  const swapped = defineJob({ ...base, sources: { orders, other: orders }, build: joinedBuild })
  await expect(harness.restore({ job: swapped })).rejects.toMatchObject({ code: 'STATE_INCOMPATIBLE' })
})

it('is one stage, with one operator for all sources, named by the first', () => {
  const { heads, links } = planStages(joined(base))
  expect(heads).toHaveLength(4)
  expect(links.map(({ from, to, input }) => [from, to, input])).toEqual([
    [0, 1, 0],
    [0, 2, 0],
    [0, 3, 0],
    [0, 1, 1],
    [0, 2, 1],
  ])
  expect(joined(base).settings.source).toMatchObject({ id: 'orders', input: { kind: 'several' }, bounded: false })
  expect(PARTITION_STRIDE).toBeGreaterThan(10_000)
})

it('refuses sources that cannot be', () => {
  const refused = (sources: object): unknown => {
    try {
      return defineJob({ ...base, sources, build: () => {} } as never)
    } catch (thrown) {
      return (thrown as Error).message
    }
  }
  expect(refused({})).toMatch(/a source at least/)
  expect(refused({ Orders: orders })).toMatch(/must be lower-case/)
  expect(refused({ a: orders, b: { ...orders, bounded: true } })).toMatch(/all of them are bounded, or none/)
  expect(refused({ a: { ...orders, maxFuture: 'soon' } })).toMatch(/maxFuture of source a/)
})
