/** The Kafka sink against a producer in memory: batches, order, copies, and what a failure leaves. */
import { describe, expect, it } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import { KafkaSinkWriter } from '../../src/sink/kafka-sink.ts'
import type { KafkaProducer, KafkaRecord } from '../../src/source/kafka/admin.ts'

const text = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString())

class MemoryProducer implements KafkaProducer {
  readonly sends: [string | null, string | null, number][][] = []
  failNext = false
  failure = new MillraceError('BROKER_UNREACHABLE', 'gone')
  underWay = 0

  async send(_topic: string, records: readonly KafkaRecord[]): Promise<void> {
    expect(++this.underWay).toBe(1)
    await Promise.resolve()
    this.underWay--
    if (this.failNext) throw this.failure
    this.sends.push(records.map((r) => [text(r.key), text(r.value), r.timestampMs]))
  }

  async flush(): Promise<void> {}
  async close(): Promise<void> {}
}

describe('KafkaSinkWriter', () => {
  it('copies, batches by bytes, keeps order, and has sent all after a flush', async () => {
    const producer = new MemoryProducer()
    const sink = new KafkaSinkWriter(Promise.resolve(producer), { topic: 't', batchBytes: 8 })
    const scratch = new Uint8Array(3)
    for (let i = 0; i < 5; i++) {
      scratch.fill(97 + i)
      sink.write(i === 2 ? null : scratch.subarray(0, 1), scratch, i)
    }
    expect(sink.bufferedBytes).toBe(19)
    await sink.flush()
    expect(producer.sends).toEqual([
      [
        ['a', 'aaa', 0],
        ['b', 'bbb', 1],
      ],
      [
        [null, 'ccc', 2],
        ['d', 'ddd', 3],
      ],
      [['e', 'eee', 4]],
    ])
    expect(sink.bufferedBytes).toBe(0)
    await sink.flush()
    expect(producer.sends).toHaveLength(3)
  })

  it('gives no record a time that the broker has not come to', async () => {
    const producer = new MemoryProducer()
    const clock = { nowMs: () => 1000, monotonicMs: () => 0 }
    const sink = new KafkaSinkWriter(Promise.resolve(producer), { topic: 't', clock })
    for (const timestampMs of [5, 2000, 7]) sink.write(null, Buffer.from('v'), timestampMs)
    await sink.flush()
    expect(producer.sends[0]!.map(([, , timestampMs]) => timestampMs)).toEqual([5, 1000, 7])
  })

  it('takes a record larger than a batch', async () => {
    const producer = new MemoryProducer()
    const sink = new KafkaSinkWriter(Promise.resolve(producer), { topic: 't', batchBytes: 8 })
    sink.write(null, Buffer.from('small'), 0)
    sink.write(null, Buffer.from('larger than eight'), 1)
    sink.write(null, Buffer.from('s'), 2)
    await sink.flush()
    expect(producer.sends.flat().map(([, value]) => value)).toEqual(['small', 'larger than eight', 's'])
  })

  it('sends nothing after a failure and says so at every flush', async () => {
    const producer = new MemoryProducer()
    const sink = new KafkaSinkWriter(Promise.resolve(producer), { topic: 't', batchBytes: 4 })
    producer.failNext = true
    sink.write(null, Buffer.from('lost'), 0)
    sink.write(null, Buffer.from('next'), 1)
    await expect(sink.flush()).rejects.toMatchObject({ code: 'SINK_FAILED', retry: 'restart' })
    producer.failNext = false
    sink.write(null, Buffer.from('more'), 2)
    await expect(sink.flush()).rejects.toMatchObject({ code: 'SINK_FAILED' })
    expect(producer.sends).toEqual([])
  })

  it('fails for good with what no repetition can mend, else so that the job restarts', async () => {
    for (const [cause, retry] of [
      [new MillraceError('BROKER_ERROR', 'too large', { retry: 'never' }), 'never'],
      [new MillraceError('BROKER_UNREACHABLE', 'gone'), 'restart'],
      [new MillraceError('TOPIC_NOT_FOUND', 'not yet'), 'restart'],
    ] as const) {
      const producer = new MemoryProducer()
      producer.failNext = true
      producer.failure = cause
      const sink = new KafkaSinkWriter(producer, { topic: 't' })
      sink.write(null, new Uint8Array(1), 0)
      await expect(sink.flush()).rejects.toMatchObject({ code: 'SINK_FAILED', retry })
    }
  })
})
