import { appendFileSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SeededRandom } from '../../src/core/clock.ts'
import { RecordBatchWriter } from '../../src/event/record-batch-writer.ts'
import { LogWriter } from '../../src/log/log-writer.ts'
import { RangeTracker } from '../../src/log/partition-range.ts'
import { createTopic } from '../../src/log/topic.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { batchOf, joined, readAll, sections } from '../event/support.ts'
import { appendNumbered, cleanUpAfterEach, newTopic, temporaryRoot, writerOf } from './support.ts'

cleanUpAfterEach()

const FIRST = '00000000000000000000.log'
const fileOf = (at: { root: string; topic: string }, partition = 0, name = FIRST) =>
  join(at.root, at.topic, String(partition), name)
const recordsIn = (path: string) => sections(readFileSync(path)).flatMap(readAll)
const rangeOf = (at: { root: string; topic: string }, partition = 0) =>
  new RangeTracker(join(at.root, at.topic, String(partition))).range()

describe('LogWriter', () => {
  it('writes record batches exactly as on the wire', async () => {
    const at = newTopic(2)
    const writer = writerOf(at, { codec: 'zstd' })
    expect(writer.append(1, Buffer.from('k'), Buffer.from('v'), 1000)).toBe(0)
    expect(writer.append(1, null, null, 990)).toBe(1)
    expect(rangeOf(at, 1)).toEqual({ earliest: 0, end: 0 })
    await writer.flush()
    expect(writer.append(1, null, Buffer.from('w'), 1010)).toBe(2)
    await writer.close()
    expect(recordsIn(fileOf(at, 1))).toEqual([
      { offset: 0, timestampMs: 1000, key: '6b', value: '76' },
      { offset: 1, timestampMs: 990, key: null, value: null },
      { offset: 2, timestampMs: 1010, key: null, value: '77' },
    ])
    expect(rangeOf(at, 1)).toEqual({ earliest: 0, end: 3 })
    expect(rangeOf(at, 0)).toEqual({ earliest: 0, end: 0 })
  })

  it('writes a batch by itself when it is full', () => {
    const at = newTopic()
    const writer = writerOf(at, { batchBytes: 500 })
    appendNumbered(writer, 0, 100)
    const { end } = rangeOf(at)!
    expect(end).toBeGreaterThan(80)
    expect(end).toBeLessThan(100)
    expect(writer.nextOffset(0)).toBe(100)
  })

  it('cuts a partition into segments named by their first offset, and goes on after a restart', async () => {
    const at = newTopic()
    const writer = writerOf(at, { segmentBytes: 2000, batchBytes: 500 })
    appendNumbered(writer, 0, 200)
    await writer.close()
    const names = readdirSync(join(at.root, at.topic, '0')).sort()
    expect(names.length).toBeGreaterThan(4)
    expect(names.flatMap((name) => recordsIn(fileOf(at, 0, name)).map((r) => r.offset))).toEqual([...Array(200).keys()])
    for (const name of names) {
      expect(recordsIn(fileOf(at, 0, name))[0]!.offset).toBe(Number.parseInt(name, 10))
      expect(statSync(fileOf(at, 0, name)).size).toBeLessThanOrEqual(2000)
    }
    const again = writerOf(at)
    expect(again.recoveries).toEqual([{ partition: 0, truncatedBytes: 0 }])
    expect(again.append(0, null, null, 1)).toBe(200)
    await again.close()
    expect(rangeOf(at)).toEqual({ earliest: 0, end: 201 })
  })

  it('goes on appending, into new segments too, while it flushes', async () => {
    const at = newTopic()
    const writer = writerOf(at, { segmentBytes: 1500, batchBytes: 300 })
    const flushes: Promise<void>[] = []
    for (let i = 0; i < 30; i++) {
      appendNumbered(writer, 0, 10)
      flushes.push(writer.flush())
    }
    await Promise.all(flushes)
    appendNumbered(writer, 0, 10)
    const last = writer.flush()
    await writer.close()
    await last
    expect(rangeOf(at)).toEqual({ earliest: 0, end: 310 })
  })

  it('appends ready batches with the next offsets, and refuses damaged ones', async () => {
    const at = newTopic()
    const writer = writerOf(at)
    writer.append(0, null, Buffer.from('a'), 1)
    const record = { key: null, value: Buffer.from('b'), timestampMs: 2 }
    const empty = new RecordBatchWriter().finish(0, { lastOffsetDelta: 4 }).slice()
    const batches = joined([batchOf(900, [record, record]), empty, batchOf(7, [record])])
    const untouched = batches.slice()
    writer.appendBatches(0, batches)
    expect(batches).toEqual(untouched)
    await writer.flush()
    expect(recordsIn(fileOf(at)).map((r) => r.offset)).toEqual([0, 1, 2, 8])
    expect(writer.nextOffset(0)).toBe(9)
    expect(() => writer.appendBatches(0, batches.subarray(0, batches.length - 1))).toThrow(/cut off/)
    batches[batches.length - 2]! ^= 1
    expect(() => writer.appendBatches(0, batches)).toThrow(expect.objectContaining({ code: 'RECORD_BATCH_CORRUPT' }))
    expect(writer.nextOffset(0)).toBe(9)
  })

  it('is the only writer, until it closes or its process is gone', async () => {
    const at = newTopic()
    const writer = writerOf(at)
    expect(() => writerOf(at)).toThrow(
      expect.objectContaining({ code: 'LEASE_HELD', message: expect.stringContaining(`process ${process.pid};`) }),
    )
    await writer.close()
    await writer.close()
    const lock = join(at.root, at.topic, '0.lock')
    for (const gone of ['999999999 1', `${process.pid} 1`, '', 'junk']) {
      writeFileSync(lock, gone)
      await writerOf(at).close()
    }
  })

  it('refuses topics that are not there, and appends to partitions that are not', () => {
    expect(() => writerOf({ root: temporaryRoot(), topic: 'events' })).toThrow(
      expect.objectContaining({ code: 'TOPIC_NOT_FOUND' }),
    )
    const writer = writerOf(newTopic(2))
    expect(() => writer.append(2, null, null, 1)).toThrow(/partition 2 of events, which has 2/)
  })
})

describe('recovery', () => {
  it('cuts a torn tail at any byte back to the last whole batch, and says how much', async () => {
    const at = newTopic()
    const writer = writerOf(at, { batchBytes: 120 })
    appendNumbered(writer, 0, 9, 20)
    await writer.close()
    const bytes = readFileSync(fileOf(at))
    const ends: number[] = []
    for (const section of sections(bytes)) ends.push(section.nextOffset)
    let before = 0
    for (let cut = 0; cut <= bytes.length; cut++) {
      writeFileSync(fileOf(at), bytes.subarray(0, cut))
      const again = writerOf(at, { fsync: 'never' })
      const end = again.nextOffset(0)
      expect([0, ...ends]).toContain(end)
      expect(end).toBeGreaterThanOrEqual(before)
      before = end
      const { size } = statSync(fileOf(at))
      expect(again.recoveries).toEqual([{ partition: 0, truncatedBytes: cut - size }])
      expect(recordsIn(fileOf(at))).toHaveLength(end)
      again.append(0, null, Buffer.from('next'), 5)
      await again.close()
      expect(recordsIn(fileOf(at)).at(-1)).toMatchObject({ offset: end, timestampMs: 5 })
    }
    expect(before).toBe(9)
  })

  it('takes any junk after the last whole batch for a torn tail', async () => {
    const at = newTopic()
    const writer = writerOf(at)
    appendNumbered(writer, 0, 20)
    await writer.close()
    const good = readFileSync(fileOf(at))
    const junks = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.nat(5000).map((n) => new Uint8Array(n)),
    )
    await fc.assert(
      fc.asyncProperty(junks, async (junk) => {
        writeFileSync(fileOf(at), joined([good, junk]))
        const again = new LogWriter({ ...at, clock: new ManualClock(), fsync: 'never' })
        const found = [again.nextOffset(0), again.recoveries[0]!.truncatedBytes]
        await again.close()
        expect(found).toEqual([20, junk.length])
        expect(readFileSync(fileOf(at)).equals(good)).toBe(true)
      }),
      { numRuns: 60 },
    )
  })

  it.each([
    ['record', 100],
    ['format version', 16],
    ['length', 8],
  ])('refuses to cut good batches away after damage to a %s', async (_what, position) => {
    const at = newTopic()
    const writer = writerOf(at, { batchBytes: 500 })
    appendNumbered(writer, 0, 100)
    await writer.close()
    const bytes = readFileSync(fileOf(at))
    bytes[position]! ^= 0x40
    writeFileSync(fileOf(at), bytes)
    expect(() => writerOf(at)).toThrow(
      expect.objectContaining({
        code: 'LOG_CORRUPT',
        message: expect.stringContaining(`${FIRST} is corrupt at byte 0`),
      }),
    )
    expect(readFileSync(fileOf(at))).toEqual(bytes)
  })

  it('refuses a segment whose offsets do not follow', async () => {
    const at = newTopic()
    const writer = writerOf(at)
    appendNumbered(writer, 0, 5)
    await writer.close()
    appendFileSync(fileOf(at), batchOf(9, [{ key: null, value: null, timestampMs: 1 }]))
    appendFileSync(fileOf(at), batchOf(10, [{ key: null, value: null, timestampMs: 1 }]))
    expect(() => writerOf(at)).toThrow(/it holds offset 9 where 5 must follow/)
    expect(() => rangeOf(at)).toThrow(expect.objectContaining({ code: 'LOG_CORRUPT' }))
  })
})

describe('retention', () => {
  it('deletes the oldest segments beyond the bytes, never the last', async () => {
    const at = newTopic()
    const writer = writerOf(at, { segmentBytes: 2000, batchBytes: 500, retention: { bytes: 5000 } })
    appendNumbered(writer, 0, 400)
    await writer.flush()
    const { earliest, end } = rangeOf(at)!
    expect(end).toBe(400)
    expect(earliest).toBeGreaterThan(200)
    const sizes = readdirSync(join(at.root, at.topic, '0')).map((name) => statSync(fileOf(at, 0, name)).size)
    expect(sizes.reduce((a, b) => a + b)).toBeLessThanOrEqual(5000)
    await writer.close()
    const strict = writerOf(at, { retention: { bytes: 0 } })
    expect(strict.applyRetention()).toBeGreaterThan(0)
    expect(readdirSync(join(at.root, at.topic, '0'))).toHaveLength(1)
    expect(strict.applyRetention()).toBe(0)
  })

  it('deletes segments that nobody has appended to for long', async () => {
    const at = newTopic()
    const writer = writerOf(at, { segmentBytes: 2000, batchBytes: 500 })
    appendNumbered(writer, 0, 200)
    await writer.close()
    const segments = readdirSync(join(at.root, at.topic, '0')).length
    const clock = new ManualClock(Math.max(...[FIRST].map((name) => statSync(fileOf(at, 0, name)).mtimeMs)) + 1000)
    const again = writerOf(at, { clock, retention: { ageMs: 3_600_000 } })
    expect(again.applyRetention()).toBe(0)
    clock.advance(4_000_000)
    expect(again.applyRetention()).toBeGreaterThan(100)
    expect(segments).toBeGreaterThan(4)
    expect(readdirSync(join(at.root, at.topic, '0'))).toHaveLength(1)
  })
})

describe('RangeTracker', () => {
  it('follows a partition through appends, new segments and retention', async () => {
    const at = newTopic()
    const tracker = new RangeTracker(join(at.root, at.topic, '0'))
    expect(tracker.range()).toEqual({ earliest: 0, end: 0 })
    const writer = writerOf(at, { segmentBytes: 2000, batchBytes: 100 })
    for (let i = 1; i <= 100; i++) {
      appendNumbered(writer, 0, 3)
      await writer.flush()
      expect(tracker.range()!.end).toBe(3 * i)
    }
    expect(new RangeTracker(join(at.root, at.topic, '9')).range()).toBeUndefined()
  })

  it('does not count a batch before all of it is there', async () => {
    const at = newTopic()
    const writer = writerOf(at)
    appendNumbered(writer, 0, 10)
    await writer.close()
    const bytes = readFileSync(fileOf(at))
    createTopic(at.root, 'other', 1, new SeededRandom(3))
    for (let cut = 0; cut < bytes.length; cut += 7) {
      writeFileSync(fileOf({ ...at, topic: 'other' }), bytes.subarray(0, cut))
      expect(rangeOf({ ...at, topic: 'other' })).toEqual({ earliest: 0, end: 0 })
    }
  })
})
