import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { SeededRandom } from '../../src/core/clock.ts'
import { systemClock, systemScheduler } from '../../src/core/system.ts'
import { codecNames } from '../../src/event/compression.ts'
import { RecordBatchWriter } from '../../src/event/record-batch-writer.ts'
import { LogWriter } from '../../src/log/log-writer.ts'
import { addPartitions, createTopic, deleteTopic, describeTopic } from '../../src/log/topic.ts'
import { LogSourceEnumerator } from '../../src/source/log-enumerator.ts'
import { type LogReaderOptions, LogSourceReader } from '../../src/source/log-source.ts'
import { appendNumbered, cleanUpAfterEach, closing, newTopic, temporaryRoot, writerOf } from '../log/support.ts'
import { asRead, type ContractRecord, contractRecords, describeSource, ReadLoop } from './contract.ts'

cleanUpAfterEach()

const bytes = (text: string | null) => (text === null ? null : Buffer.from(text))

async function write(writer: LogWriter, partition: number, records: readonly ContractRecord[]): Promise<void> {
  for (const r of records) writer.append(partition, bytes(r.key), bytes(r.value), r.timestampMs)
  await writer.flush()
}

describeSource('embedded log', async () => {
  const root = temporaryRoot()
  const random = new SeededRandom(11)
  const options = { root, topic: 'events', clock: systemClock, batchBytes: 700, segmentBytes: 4000 } as const
  let writer: LogWriter | undefined
  return {
    async createTopic(partitions, recordsEach) {
      createTopic(root, 'events', partitions, random)
      writer = new LogWriter(options)
      for (let partition = 0; partition < partitions; partition++) {
        await write(writer, partition, contractRecords(partition, 0, recordsEach))
      }
      const reader = (): LogSourceReader =>
        new LogSourceReader({ root, topic: 'events', clock: systemClock, scheduler: systemScheduler, fetchBytes: 900 })
      return {
        expected: (partition) => asRead(contractRecords(partition, 0, recordsEach), 0),
        enumerator: () => new LogSourceEnumerator(root, 'events'),
        reader,
        append: (partition, records) => write(writer!, partition, records),
        appendControlTail: async (partition) => {
          const batch = new RecordBatchWriter()
          batch.appendMarker('commit', 1)
          writer!.appendBatches(partition, batch.finish(0, { control: true, transactional: true }))
        },
        appendCompacted: async (partition, offsets) => {
          writer!.appendBatches(partition, new RecordBatchWriter().finish(0, { lastOffsetDelta: offsets - 1 }))
        },
        deleteBelow: async (partition, offset) => {
          const directory = join(root, 'events', String(partition))
          const names = readdirSync(directory).sort()
          // Whole segments only, as retention does.
          for (const [i, name] of names.entries()) {
            const next = names[i + 1]
            if (next !== undefined && Number.parseInt(next, 10) <= offset) rmSync(join(directory, name))
          }
        },
        addPartitions: async (total) => {
          await writer!.close()
          addPartitions(root, 'events', total)
          writer = new LogWriter(options)
        },
        recreate: async () => {
          await writer!.close()
          deleteTopic(root, 'events')
          createTopic(root, 'events', partitions, random)
        },
      }
    },
    missingTopic: () => new LogSourceEnumerator(root, 'nothing'),
    close: async () => writer?.close(),
  }
}, ['append', 'appendControlTail', 'appendCompacted', 'deleteBelow', 'addPartitions', 'recreate', 'missingTopic'])

describe('LogSourceReader', () => {
  const options = { clock: systemClock, scheduler: systemScheduler }
  const readerOf = (at: { root: string; topic: string }, more: Partial<LogReaderOptions> = {}) =>
    closing(new LogSourceReader({ ...options, root: at.root, topic: at.topic, ...more }))
  const infoOf = async (at: { root: string; topic: string }) =>
    (await new LogSourceEnumerator(at.root, at.topic).partitions())[0]!

  it.each(codecNames)('reads every codec, and batches larger than a fetch: %s', async (codec) => {
    const at = newTopic()
    const writer = writerOf(at, { codec, batchBytes: 50_000 })
    const records = contractRecords(0, 0, 5000)
    await write(writer, 0, records)
    const reading = new ReadLoop(readerOf(at, { fetchBytes: 100 }))
    reading.assign(await infoOf(at), 0)
    await reading.toEnd()
    expect(reading.of(0)).toEqual(asRead(records, 0))
  })

  it('follows a writer through segment after segment', async () => {
    const at = newTopic()
    const writer = writerOf(at, { segmentBytes: 1500, batchBytes: 300, fsync: 'never' })
    const reading = new ReadLoop(readerOf(at, { fetchBytes: 1000 }))
    reading.assign(await infoOf(at), 0, 2000)
    const read = reading.toEnd()
    for (let i = 0; i < 40; i++) {
      await write(writer, 0, contractRecords(0, 50 * i, 50))
      await new Promise((resolve) => setImmediate(resolve))
    }
    await read
    expect(reading.of(0)).toEqual(asRead(contractRecords(0, 0, 2000), 0))
  })

  it('sees whole batches only, whatever part of one the file has', async () => {
    const at = newTopic()
    const writer = writerOf(at)
    await write(writer, 0, contractRecords(0, 0, 4))
    await write(writer, 0, contractRecords(0, 4, 4))
    await writer.close()
    const path = join(at.root, at.topic, '0', '00000000000000000000.log')
    const whole = readFileSync(path)
    for (let cut = whole.length - 100; cut < whole.length; cut += 9) {
      writeFileSync(path, whole.subarray(0, cut))
      const reading = new ReadLoop(readerOf(at))
      reading.assign({ partition: 0, topicId: '', earliest: 0, end: 8 }, 0)
      await reading.until(() => reading.of(0).length === 4)
      await expect.poll(() => reading.reader.status(0).highWatermark).toBe(4)
      expect(reading.poll()).toBeUndefined()
      writeFileSync(path, whole)
      await reading.toEnd()
      expect(reading.of(0)).toEqual(asRead(contractRecords(0, 0, 8), 0))
    }
  })

  it('stops at damage, and reads on over it without the CRC check', async () => {
    const at = newTopic()
    const writer = writerOf(at)
    await write(writer, 0, contractRecords(0, 0, 10))
    await write(writer, 0, contractRecords(0, 10, 10))
    await writer.close()
    const path = join(at.root, at.topic, '0', '00000000000000000000.log')
    const whole = readFileSync(path)
    whole[whole.length - 3]! ^= 1
    writeFileSync(path, whole)
    const reading = new ReadLoop(readerOf(at))
    reading.assign(await infoOf(at), 0)
    const error = await reading.toError()
    expect(error).toMatchObject({
      code: 'RECORD_BATCH_CORRUPT',
      message: expect.stringContaining('events-0 at offset 10'),
    })
    expect(reading.of(0)).toHaveLength(10)
    expect(() => reading.reader.poll()).toThrow(error as Error)
    const trusting = new ReadLoop(readerOf(at, { checkCrcs: false }))
    trusting.assign(await infoOf(at), 0)
    await trusting.toEnd()
    expect(trusting.of(0)).toHaveLength(20)
  })

  it('says what is missing: segments in the middle, the tail, the topic', async () => {
    const at = newTopic()
    const writer = writerOf(at, { segmentBytes: 2000, batchBytes: 500 })
    appendNumbered(writer, 0, 200)
    await writer.close()
    const info = await infoOf(at)
    const errorFrom = async (offset: number) => {
      const reading = new ReadLoop(readerOf(at))
      reading.assign(info, offset, Number.POSITIVE_INFINITY)
      return reading.toError()
    }
    expect(await errorFrom(207)).toMatchObject({
      code: 'POSITION_LOST',
      message: expect.stringContaining('7 records before offset 207 are gone, the log now ends at 200'),
    })
    const names = readdirSync(join(at.root, at.topic, '0')).sort()
    rmSync(join(at.root, at.topic, '0', names[2]!))
    expect(await errorFrom(0)).toMatchObject({ code: 'LOG_CORRUPT' })
    rmSync(join(at.root, at.topic), { recursive: true })
    expect(await errorFrom(0)).toMatchObject({ code: 'TOPIC_NOT_FOUND' })
  })

  it('refuses a segment that ends in the middle of a batch when there is a next one', async () => {
    const at = newTopic()
    const writer = writerOf(at, { segmentBytes: 2000, batchBytes: 500 })
    appendNumbered(writer, 0, 100)
    await writer.close()
    const path = join(at.root, at.topic, '0', '00000000000000000000.log')
    const whole = readFileSync(path)
    writeFileSync(path, whole.subarray(0, whole.length - 20))
    const reading = new ReadLoop(readerOf(at))
    reading.assign(await infoOf(at), 0)
    expect(await reading.toError()).toMatchObject({
      code: 'LOG_CORRUPT',
      message: expect.stringContaining('ends in the middle of a batch'),
    })
  })

  it('finishes the segment that it reads when retention deletes it, and stops at the gap after it', async () => {
    const at = newTopic()
    const writer = writerOf(at, { segmentBytes: 2000, batchBytes: 500 })
    appendNumbered(writer, 0, 400)
    await writer.flush()
    const reading = new ReadLoop(readerOf(at, { fetchBytes: 600 }))
    reading.assign(await infoOf(at), 0)
    await reading.until(() => reading.of(0).length > 0)
    await writer.close()
    writerOf(at, { retention: { bytes: 1 } }).applyRetention()
    const { earliest } = await infoOf(at)
    const error = await reading.toError()
    expect(error).toMatchObject({ code: 'POSITION_LOST' })
    const { position } = reading.reader.status(0)
    expect(position).toBeGreaterThan(0)
    expect((error as Error).message).toContain(`${earliest - position} records from offset ${position} on are gone`)
  })

  it('knows how far behind a paused partition is', async () => {
    const at = newTopic()
    const writer = writerOf(at)
    await write(writer, 0, contractRecords(0, 0, 10))
    const reading = new ReadLoop(readerOf(at))
    reading.assign(await infoOf(at), 0, Number.POSITIVE_INFINITY)
    reading.reader.setPaused(0, true)
    await write(writer, 0, contractRecords(0, 10, 30))
    await expect.poll(() => reading.reader.status(0).highWatermark, { timeout: 5000 }).toBe(40)
    expect(reading.reader.status(0).position).toBe(0)
  })

  it('gives nothing to a second assignment of a partition', async () => {
    const at = newTopic()
    const reading = new ReadLoop(readerOf(at))
    const info = await infoOf(at)
    reading.assign(info, 0)
    expect(() => reading.reader.assign({ partition: 0, offset: 0, stopOffset: 1, topicId: '' })).toThrow(
      /partition 0 twice/,
    )
    expect(describeTopic(at.root, at.topic).topicId).toBe(info.topicId)
  })
})
