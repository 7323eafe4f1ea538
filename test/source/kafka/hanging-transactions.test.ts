/** What an open transaction of an own producer means, state by state, and the marker that ends it, on the wire. */
import { expect, it } from 'vitest'
import { hangingVerdict } from '../../../src/source/kafka/hanging-transactions.ts'
import { writeEndMarker } from '../../../src/source/kafka/inspect-protocol.ts'
import { isOpen } from '../../../src/source/kafka/open-transactions.ts'
import { readProduce } from '../../../src/source/kafka/transaction-protocol.ts'
import { WireReader, WireWriter } from '../../../src/source/kafka/wire.ts'

/** Every state of Kafka's coordinator, as it spells them. */
const states = [
  'Empty',
  'Ongoing',
  'PrepareCommit',
  'PrepareAbort',
  'CompleteCommit',
  'CompleteAbort',
  'Dead',
  'PrepareEpochFence',
]

it.each([
  ['CompleteCommit', 'commit'],
  ['CompleteAbort', 'abort'],
  ['Empty', 'abort'],
  ['PrepareCommit', 'wait'],
  ['PrepareAbort', 'wait'],
  ['PrepareEpochFence', 'wait'],
  ['Ongoing', 'leave'],
  ['Dead', 'leave'],
  ['Unheard', 'leave'],
] as const)('in state %s: %s', (state, verdict) => {
  expect(hangingVerdict(state)).toBe(verdict)
})

it('ends nothing that its coordinator may still end, and commits only what it has committed', () => {
  for (const state of states) {
    const verdict = hangingVerdict(state)
    if (isOpen(state)) expect(['wait', 'leave']).toContain(verdict)
    if (verdict === 'commit') expect(state).toBe('CompleteCommit')
  }
})

it.each([
  ['commit', 1],
  ['abort', 0],
] as const)(
  'a marker to %s says so, for the producer and its epoch, under the epoch of the coordinator',
  (end, flag) => {
    const producer = { producerId: 7n, producerEpoch: 3, coordinatorEpoch: -1, lastTimestampMs: 0, openOffset: 5 }
    const writer = new WireWriter()
    writeEndMarker(writer, { topic: 'results', partition: 2 }, producer, end)
    const reader = new WireReader(writer.bytes())
    const [marker] = reader.compactArray((r) => {
      const head = [r.bigint64(), r.int16(), r.int8()]
      const topics = r.compactArray((t) => {
        const topic = [t.compactString(), t.compactArray((p) => p.int32())]
        t.skipTags()
        return topic
      })
      const epoch = r.int32()
      r.skipTags()
      return { head, topics, epoch }
    })
    expect(marker).toEqual({ head: [7n, 3, flag], topics: [['results', [2]]], epoch: 0 })
  },
)

it('a Produce is answered with where its records are', () => {
  const writer = new WireWriter()
  writer.int32(2)
  for (const topic of ['a', 'b']) {
    writer.string(topic).int32(1).int32(4).int16(0).int64(70).int64(-1).int64(0)
  }
  expect(readProduce(new WireReader(writer.bytes()))).toEqual([
    { topic: 'a', partition: 4, errorCode: 0, offset: 70 },
    { topic: 'b', partition: 4, errorCode: 0, offset: 70 },
  ])
})
