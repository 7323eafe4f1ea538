/** Topics written by Apache Kafka's Java client, read by Millrace and by that client: the same records, bit for bit. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { KafkaReaderOptions } from '../../src/source/kafka/kafka-reader.ts'
import { ReadLoop } from '../source/contract.ts'
import { testBrokers } from '../support/infra.ts'
import { javaRead, javaWrite } from '../support/java-client/java-client.ts'
import { KafkaAccess, kafkaModes } from '../support/kafka-modes.ts'

type Isolation = NonNullable<KafkaReaderOptions['isolation']>

const TIMEOUT_MS = 120_000

describe.each(kafkaModes)('the Java client (%s)', (mode) => {
  let access: KafkaAccess

  beforeAll(async () => {
    access = await KafkaAccess.open(mode, testBrokers(), `java-${mode}-${inject('runId')}`)
  })

  afterAll(() => access.close())

  /** What Millrace reads, as TopicTool prints it; a new reader takes over after every `chunksEach` chunks. */
  async function millraceRead(
    topic: string,
    isolation: Isolation,
    options: Partial<KafkaReaderOptions>,
    chunksEach = Number.POSITIVE_INFINITY,
  ) {
    const enumerator = access.enumerator(topic)
    const infos = await enumerator.partitions()
    // The enumerator's end is that of committed reads; the Java client's own end decides for uncommitted ones.
    const lines: string[] = []
    for (const info of infos) {
      let position = 0
      let state = ''
      while (position < info.end) {
        const reader = access.reader(topic, { isolation, ...options })
        const reading = new ReadLoop(reader)
        reading.assign(info, position, info.end, state)
        await reading.until(() => reader.status(info.partition).finished || reading.order.length >= chunksEach)
        for (const { offset, timestampMs, key, value } of reading.of(info.partition)) {
          lines.push([info.partition, offset, timestampMs, key ?? '-', value ?? '-'].join('\t'))
        }
        position = reader.status(info.partition).position
        state = reader.splitState(info.partition)
        await reader.close()
      }
    }
    await enumerator.close()
    return lines
  }

  const sorted = (lines: readonly string[]): string[] =>
    [...lines].sort((a, b) => {
      const [p, o] = a.split('\t').map(Number)
      const [q, r] = b.split('\t').map(Number)
      return p! - q! || o! - r!
    })

  it('writes with every codec', { timeout: TIMEOUT_MS }, async () => {
    const topic = await access.createTopic(2)
    const script: string[] = []
    for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
      script.push(`producer ${codec} ${codec}`)
      script.push(`send ${codec} 0 1700000000000 key-${codec} value-${codec}`, `send ${codec} 1 1700000000001 - 0x00ff`)
      script.push(`send ${codec} 1 5 0x - `, `flush ${codec}`)
      script.push(`fill ${codec} 0 3000 120 ${codec}-`, `fill ${codec} 1 10 50000 big-${codec}-`)
    }
    await javaWrite(access.directBrokers, topic, script)
    const expected = sorted(await javaRead(access.directBrokers, topic, 'read_committed'))
    expect(expected).toHaveLength(5 * (3 + 3000 + 10))
    expect(await millraceRead(topic, 'read_committed', {})).toEqual(expected)
    expect(await millraceRead(topic, 'read_committed', { maxPartitionBytes: 5000 }, 5)).toEqual(expected)
  })

  it('writes transactions that commit, abort and interleave', { timeout: TIMEOUT_MS }, async () => {
    const topic = await access.createTopic(2)
    const ids = ['a', 'b', 'c'].map((name) => [name, `${topic}-${name}`] as const)
    const script = ids.map(([name, id]) => `producer ${name} ${name === 'b' ? 'lz4' : 'none'} ${id}`)
    script.push('producer plain none')
    const send = (name: string, ...values: string[]): void => {
      for (const value of values) script.push(`send ${name} 0 1700000000000 ${name} ${value}`)
      script.push(`flush ${name}`)
    }
    // Two aborted transactions of one producer, one after the other, around what others commit.
    script.push('begin a', 'begin b')
    send('a', 'a1', 'a2')
    send('b', 'b1')
    send('plain', 'p1')
    script.push('abort a', 'begin a')
    send('a', 'a3')
    send('b', 'b2')
    script.push('abort a', 'commit b', 'begin a')
    send('a', 'a4')
    script.push('commit a')
    // A user key of four zero bytes (an abort marker's key begins so) inside an aborted transaction.
    script.push('begin b', 'send b 0 1700000000000 0x00000000 zero', 'flush b')
    send('b', 'b3')
    script.push('abort b')
    // Three transactions nested in time, and the marker of a large one far behind its records.
    script.push('begin a', 'begin b', 'begin c')
    send('a', 'a5')
    send('b', 'b4')
    send('c', 'c1')
    script.push('fill a 0 400 1000 large-')
    send('plain', 'p2')
    script.push('commit b', 'abort a', 'commit c', 'begin c', 'fill c 1 50 100 c-', 'abort c')
    send('plain', 'p3')
    script.push('begin a')
    send('a', 'a6')
    script.push('abort a')
    await javaWrite(access.directBrokers, topic, script)
    const expected = sorted(await javaRead(access.directBrokers, topic, 'read_committed'))
    const values = expected.map((line) => Buffer.from(line.split('\t')[4]!, 'hex').toString())
    expect(values).toEqual(['b1', 'p1', 'b2', 'a4', 'b4', 'c1', 'p2', 'p3'])
    expect(await millraceRead(topic, 'read_committed', {})).toEqual(expected)
    // A few batches a fetch, a new reader from position and state after every chunk, or every few.
    for (const chunksEach of [1, 3]) {
      expect(await millraceRead(topic, 'read_committed', { maxPartitionBytes: 500 }, chunksEach)).toEqual(expected)
    }
    const all = sorted(await javaRead(access.directBrokers, topic, 'read_uncommitted'))
    expect(all.length).toBeGreaterThan(460)
    expect(await millraceRead(topic, 'read_uncommitted', {})).toEqual(all)
  })
})
