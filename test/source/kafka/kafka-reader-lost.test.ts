/** What ends a read: a topic or a position that is gone, another topic of the same name, corrupt data. */
import { describe, expect, it } from 'vitest'
import { failureOf, fixture, take, values } from './reader-fixture.ts'
import { pollAll, rowsOf } from './support.ts'

describe('a topic or position that is gone', () => {
  it('waits for a topic that is not known for a while, then says TOPIC_NOT_FOUND', async () => {
    const f = fixture()
    f.cluster.exists = false
    const reader = f.open({ missingTimeoutMs: 30_000 })
    f.assign(reader, 0)
    await f.scheduler.runFor(20_000)
    expect(pollAll(reader)).toEqual([])
    f.cluster.exists = true
    f.cluster.partitions[0]!.append(['a'])
    expect(values(await take(f, reader, 1))).toEqual(['a'])
    f.cluster.exists = false
    f.cluster.notify()
    const goneMs = f.clock.monotonicMs()
    const failure = await failureOf(f, reader)
    expect(failure.code).toBe('TOPIC_NOT_FOUND')
    expect(failure.message).toContain('events-0')
    expect(f.clock.monotonicMs() - goneMs).toBeGreaterThan(30_000)
    await reader.close()
  })

  it.each([10, 6])('counts what retention took before it was read (Metadata %i)', async (metadataVersion) => {
    const f = fixture()
    f.cluster.metadataVersion = metadataVersion
    const log = f.cluster.partitions[0]!
    log.append(['a', 'b', 'c'])
    log.append(['d'])
    log.deleteBefore(3)
    const reader = f.open()
    f.assign(reader, 0, 1)
    const failure = await failureOf(f, reader)
    expect(failure).toMatchObject({ code: 'POSITION_LOST', domain: 'external', retry: 'never' })
    expect(failure.message).toContain('events-0')
    expect(failure.message).toContain('2 records')
    expect(() => reader.poll()).toThrow(failure)
    await reader.close()
  })

  it('goes on behind them when told so, and counts them', async () => {
    const f = fixture()
    const log = f.cluster.partitions[0]!
    log.append(['a', 'b', 'c'])
    log.append(['d'])
    log.deleteBefore(3)
    const reader = f.open({ skipLost: true })
    f.assign(reader, 0, 1)
    expect(values(await take(f, reader, 1))).toEqual(['d'])
    expect(reader.lostRecords).toBe(2)
    expect(reader.status(0).position).toBe(4)
    await reader.close()
  })

  it('counts them when it steps over them: a position from before has not lost them yet', async () => {
    const f = fixture()
    const log = f.cluster.partitions[0]!
    log.append(['a', 'b', 'c'])
    log.append(['d'])
    log.deleteBefore(3)
    const reader = f.open({ skipLost: true })
    f.assign(reader, 0, 1)
    await f.scheduler.runFor(50)
    expect([reader.status(0).position, reader.lostRecords]).toEqual([1, 0])
    expect(reader.poll()).toMatchObject({ count: 0, nextOffset: 3 })
    expect([reader.status(0).position, reader.lostRecords]).toEqual([3, 2])
    await reader.close()
  })

  it('counts no further than where a bounded run stops', async () => {
    const f = fixture()
    const log = f.cluster.partitions[0]!
    log.append(['a', 'b', 'c'])
    log.append(['d'])
    log.deleteBefore(3)
    const reader = f.open({ skipLost: true })
    f.assign(reader, 0, 1, 2)
    await f.scheduler.runFor(50)
    expect(reader.poll()).toMatchObject({ count: 0, nextOffset: 2 })
    expect(reader.lostRecords).toBe(1)
    expect(reader.status(0).finished).toBe(true)
    await reader.close()
  })

  it('hands out what it had fetched before it says that the rest is gone', async () => {
    const f = fixture()
    const log = f.cluster.partitions[0]!
    for (const value of ['a', 'b', 'c', 'd', 'e', 'f']) log.append([value])
    log.regionBytes = 2 * log.batches[0]!.bytes.length
    const reader = f.open()
    f.assign(reader, 0)
    await f.scheduler.runFor(50)
    log.deleteBefore(5)
    const next = (): (string | null)[] => values(rowsOf(reader.poll()!))
    expect([next(), next(), next()]).toEqual([['a'], ['b'], ['c']])
    // The first region is done with, so the third was asked for, and refused.
    await f.scheduler.runFor(50)
    expect(f.cluster.fetchLog.at(-1)).toBe('0@4')
    expect(reader.status(0)).toMatchObject({ position: 3, reachable: false })
    expect(next()).toEqual(['d'])
    expect((await failureOf(f, reader)).message).toContain('1 records')
    await reader.close()
  })

  it('tells a re-created topic by its id', async () => {
    const f = fixture()
    const log = f.cluster.partitions[0]!
    log.append(['a', 'b'])
    const reader = f.open()
    f.assign(reader, 0)
    await take(f, reader, 2)
    f.cluster.topicId = '00000000-0000-4000-8000-000000000002'
    log.recreate()
    for (let i = 0; i < 5; i++) log.append(['other'])
    // No error in between: the next look at the metadata finds it.
    const failure = await failureOf(f, reader, 15_000)
    expect(failure.code).toBe('TOPIC_RECREATED')
    await reader.close()
    const later = f.open()
    later.assign({ partition: 0, offset: 2, stopOffset: 5, topicId: '00000000-0000-4000-8000-000000000001' })
    expect((await failureOf(f, later)).code).toBe('TOPIC_RECREATED')
    await later.close()
  })

  it('tells it without ids by an end before the position or a fallen leader epoch, also after a restore', async () => {
    const f = fixture()
    f.cluster.metadataVersion = 6
    const log = f.cluster.partitions[0]!
    log.epoch = 4
    log.append(['a', 'b'])
    const reader = f.open()
    f.assign(reader, 0)
    await take(f, reader, 2)
    const state = reader.splitState(0)
    log.recreate()
    log.epoch = 0
    log.append(['x'])
    f.cluster.notify()
    expect((await failureOf(f, reader)).code).toBe('TOPIC_RECREATED')
    await reader.close()
    log.append(['y', 'z'])
    const later = f.open()
    later.assign({ partition: 0, offset: 2, stopOffset: 3, topicId: '', state })
    expect((await failureOf(f, later)).code).toBe('TOPIC_RECREATED')
    await later.close()
  })

  it('calls a log that was cut under the same id a lost position', async () => {
    const f = fixture()
    const log = f.cluster.partitions[0]!
    log.append(['a', 'b'])
    const reader = f.open()
    f.assign(reader, 0, 5)
    const failure = await failureOf(f, reader)
    expect(failure.code).toBe('POSITION_LOST')
    expect(failure.message).toContain('3 records')
    await reader.close()
  })
})

describe('corrupt data', () => {
  it('names topic, partition and offset of a batch with a wrong CRC, after the good ones', async () => {
    const f = fixture()
    const log = f.cluster.partitions[0]!
    log.append(['good'])
    log.append(['bad'])
    const bad = log.batches[1]!.bytes
    bad[bad.length - 2]! ^= 1
    const reader = f.open()
    f.assign(reader, 0)
    await f.scheduler.runFor(50)
    expect(values(rowsOf(reader.poll()!))).toEqual(['good'])
    const failure = await failureOf(f, reader)
    expect(failure.code).toBe('RECORD_BATCH_CORRUPT')
    expect(failure.message).toContain('events-0 at offset 1')
    expect(() => reader.poll()).toThrow(failure)
    await reader.close()
    const trusting = f.open({ checkCrc: false })
    f.assign(trusting, 0)
    expect(await take(f, trusting, 2)).toHaveLength(2)
    await trusting.close()
  })
})
