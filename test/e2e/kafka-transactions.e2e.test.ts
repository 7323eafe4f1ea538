/**
 * What may pass in a transaction, and connections that are cut at every step of one: each made on purpose in front of a real
 * broker. What a transaction cannot survive is in kafka-transactions-lost.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { KafkaFault } from '../support/kafka-proxy-faults.ts'
import { blocksOf, streamOf } from '../support/outbox.ts'
import { answer, FaultBench, type Outcome, recordsOf, settle } from '../support/transaction-faults.ts'

let bench: FaultBench

beforeAll(async () => {
  bench = await FaultBench.start()
})

afterAll(() => bench.stop())

describe('answers that say "not now"', () => {
  it.each<[string, KafkaFault[]]>([
    [
      'CONCURRENT_TRANSACTIONS on adding partitions',
      [answer('addPartitionsToTxn', 51), answer('addPartitionsToTxn', 51)],
    ],
    ['CONCURRENT_TRANSACTIONS on the end', [answer('endTxn', 51), answer('endTxn', 51)]],
    ['CONCURRENT_TRANSACTIONS on an end that was done', [{ api: 'endTxn', happens: 'answer-after', errorCode: 51 }]],
    ['NOT_COORDINATOR on adding partitions', [answer('addPartitionsToTxn', 16)]],
    [
      'NOT_COORDINATOR on the end',
      [answer('endTxn', 16), answer('findCoordinator', 15), answer('findCoordinator', 14)],
    ],
    ['COORDINATOR_LOAD_IN_PROGRESS on adding partitions', [answer('addPartitionsToTxn', 14)]],
    ['COORDINATOR_LOAD_IN_PROGRESS on the end', [answer('endTxn', 14), answer('endTxn', 14)]],
    ['COORDINATOR_NOT_AVAILABLE on the end', [answer('endTxn', 15)]],
    ['a leader that has moved', [answer('produce', 6), answer('produce', 5)]],
    ['a leader that moved after it had written', [{ api: 'produce', happens: 'answer-after', errorCode: 6 }]],
    ['a write that timed out and was done', [{ api: 'produce', happens: 'answer-after', errorCode: 7 }]],
    ['NOT_ENOUGH_REPLICAS_AFTER_APPEND', [{ api: 'produce', happens: 'answer-after', errorCode: 20 }]],
    ['a topic that a broker does not know yet', [answer('produce', 3), answer('addPartitionsToTxn', 3)]],
  ])('%s: waited out', async (_, faults) => {
    await bench.underFaults(faults, 'resolves')
  })
})

describe('connections that are cut', () => {
  it.each<[string, KafkaFault, Outcome, number?]>([
    ['before partitions are added', { api: 'addPartitionsToTxn', happens: 'cut-before' }, 'resolves'],
    ['after partitions were added', { api: 'addPartitionsToTxn', happens: 'cut-after' }, 'resolves'],
    ['before records are sent', { api: 'produce', happens: 'cut-before' }, 'resolves'],
    ['while records are sent', { api: 'produce', happens: 'cut-sent' }, 'resolves'],
    ['after records were written', { api: 'produce', happens: 'cut-after' }, 'resolves'],
    ['before the end is sent', { api: 'endTxn', happens: 'cut-before' }, 'restart', 1],
    ['while the end is sent', { api: 'endTxn', happens: 'cut-sent' }, 'restart'],
    ['after the broker committed, before it could say so', { api: 'endTxn', happens: 'cut-after' }, 'restart', 2],
  ])('%s', async (_, fault, outcome, marker) => {
    await bench.underFaults([fault], outcome, marker)
  })

  it.each(['cut-before', 'cut-after', 'cut-sent'] as const)('%s, while an owner is taking over', async (happens) => {
    const owner = bench.newOwner()
    const sink = bench.sinkOf(owner)
    await sink.open()
    await bench.applyAll(owner, sink, 1, 1)
    bench.proxy.faults.push({ api: 'initProducerId', happens })
    const next = bench.sinkOf({ ...owner, generation: 2 })
    expect(await next.open()).toMatchObject({ epoch: 1 })
    expect(bench.proxy.faults).toEqual([])
    await bench.applyAll({ ...owner, generation: 2 }, next, 2, 3)
  })

  it('all of them, between one request and the next', async () => {
    for (const api of ['addPartitionsToTxn', 'produce'] as const) {
      await bench.underFaults([{ api, happens: 'call', run: async () => bench.proxy.kill() }], 'resolves')
    }
    await bench.underFaults([{ api: 'endTxn', happens: 'call', run: async () => bench.proxy.kill() }], 'restart', 1)
  })

  it('half-open while the end is sent', async () => {
    const owner = bench.newOwner()
    const sink = bench.sinkOf(owner)
    await sink.open()
    bench.proxy.faults.push({ api: 'endTxn', happens: 'call', run: async () => bench.proxy.stall(true) })
    const error = await settle(sink.apply(1, streamOf(blocksOf(recordsOf(owner, 1)))))
    expect(error).toMatchObject({ code: 'SINK_FAILED', retry: 'restart' })
    bench.proxy.stall(false)
    const next = bench.sinkOf(owner)
    const marker = await next.open()
    if (marker?.epoch === 1) bench.note(owner, 1)
    await bench.applyAll(owner, next, (marker?.epoch ?? 0) + 1, 3)
  })
})

describe('answers while an owner takes over', () => {
  it.each([
    ['CONCURRENT_TRANSACTIONS', 51],
    ['NOT_COORDINATOR', 16],
    ['COORDINATOR_LOAD_IN_PROGRESS', 14],
    ['COORDINATOR_NOT_AVAILABLE', 15],
  ])('%s: waited out', async (_, errorCode) => {
    const owner = bench.newOwner()
    bench.proxy.faults.push(answer('initProducerId', errorCode), answer('findCoordinator', 15))
    const sink = bench.sinkOf(owner)
    expect(await sink.open()).toBeNull()
    expect(bench.proxy.faults).toEqual([])
    await bench.applyAll(owner, sink, 1, 1)
  })

  it.each([
    ['no right to the transactional id', 53, /TRANSACTIONAL_ID_AUTHORIZATION_FAILED.*Grant/],
    ['a timeout above the cap', 50, /transaction\.max\.timeout\.ms/],
  ])('%s: said', async (_, errorCode, message) => {
    bench.proxy.faults.push(answer('initProducerId', errorCode))
    const error = await settle(bench.sinkOf(bench.newOwner()).open())
    expect(error).toMatchObject({ code: 'SINK_FAILED', retry: 'never', message: expect.stringMatching(message) })
  })
})

it('leaves every record once, and nothing open', () => bench.check())
