/** The Kafka reader against brokers in memory, in virtual time: what it retries, what it gives up on, what it holds. */
import { describe, expect, it } from 'vitest'
import { failureOf, fixture, take, values } from './reader-fixture.ts'
import { pollAll, rowsOf } from './support.ts'

describe('reading', () => {
  it('hands out what is there and what comes, and knows how far it is', async () => {
    const f = fixture()
    const log = f.cluster.partitions[0]!
    log.append(['a', 'b'], 5)
    const reader = f.open()
    f.assign(reader, 0)
    expect(reader.status(0)).toMatchObject({ position: 0, highWatermark: -1, lastFetchMs: Number.NEGATIVE_INFINITY })
    expect(await take(f, reader, 2)).toEqual([
      { partition: 0, offset: 0, timestampMs: 5, key: null, value: 'a' },
      { partition: 0, offset: 1, timestampMs: 5, key: null, value: 'b' },
    ])
    log.append(['c'])
    f.cluster.notify()
    expect(values(await take(f, reader, 1))).toEqual(['c'])
    await f.scheduler.runFor(500)
    const status = reader.status(0)
    expect(status).toMatchObject({
      position: 3,
      highWatermark: 3,
      lastStableOffset: 3,
      reachable: true,
      finished: false,
    })
    expect(f.clock.monotonicMs() - status.lastFetchMs).toBeLessThanOrEqual(100)
    await reader.close()
  })

  it('wakes a waiter once when something arrives, and at once when something is there', async () => {
    const f = fixture()
    const reader = f.open()
    f.assign(reader, 0)
    let wakes = 0
    reader.onReady(() => wakes++)
    await f.scheduler.runFor(1000)
    expect(wakes).toBe(0)
    for (const value of ['a', 'b']) {
      f.cluster.partitions[0]!.append([value])
      f.cluster.notify()
      await f.scheduler.runFor(200)
    }
    expect(wakes).toBe(1)
    reader.onReady(() => wakes++)
    await f.scheduler.runFor(0)
    expect(wakes).toBe(2)
    await reader.close()
  })

  it('has the next fetch in flight while the last is read, and never more than two regions', async () => {
    const f = fixture()
    const log = f.cluster.partitions[0]!
    log.regionBytes = 1
    for (let i = 0; i < 6; i++) log.append([`v${i}`])
    const reader = f.open()
    f.assign(reader, 0)
    await f.scheduler.runFor(10_000)
    expect(f.cluster.fetchLog).toEqual(['0@0', '0@1'])
    expect(rowsOf(reader.poll()!)[0]!.value).toBe('v0')
    await f.scheduler.runFor(10_000)
    // v0's region is finished only when something after it is asked for.
    expect(f.cluster.fetchLog).toEqual(['0@0', '0@1'])
    expect(rowsOf(reader.poll()!)[0]!.value).toBe('v1')
    await f.scheduler.runFor(10_000)
    expect(f.cluster.fetchLog).toEqual(['0@0', '0@1', '0@2'])
    expect(values(await take(f, reader, 4))).toEqual(['v2', 'v3', 'v4', 'v5'])
    await reader.close()
  })

  it('takes partitions in turn and asks their leaders in one fetch each', async () => {
    const f = fixture(3, [1, 2])
    f.cluster.partitions[1]!.leader = 2
    for (const log of f.cluster.partitions) for (let i = 0; i < 3; i++) log.append([`${i}`])
    const reader = f.open()
    for (let p = 0; p < 3; p++) f.assign(reader, p)
    await f.scheduler.runFor(50)
    const order: number[] = []
    for (let chunk = reader.poll(); chunk !== undefined; chunk = reader.poll()) order.push(chunk.partition)
    expect(order).toEqual([0, 1, 2, 0, 1, 2, 0, 1, 2])
    expect(f.cluster.fetchLog.slice(0, 2).sort()).toEqual(['0@0 2@0', '1@0'])
    await reader.close()
  })

  it('keeps a paused partition, at most one fetch of it, and reads on after', async () => {
    const f = fixture(2)
    const [a, b] = f.cluster.partitions as [(typeof f.cluster.partitions)[0], (typeof f.cluster.partitions)[0]]
    const reader = f.open()
    f.assign(reader, 0)
    f.assign(reader, 1)
    reader.setPaused(0, true)
    a.append(['a'])
    b.append(['b'])
    expect(values(await take(f, reader, 1))).toEqual(['b'])
    await f.scheduler.runFor(1000)
    expect(pollAll(reader)).toEqual([])
    expect(f.cluster.fetchLog.slice(2).every((line) => !line.includes('0@'))).toBe(true)
    let woken = false
    reader.setPaused(0, false)
    reader.onReady(() => {
      woken = true
    })
    await f.scheduler.runFor(300)
    expect(woken).toBe(true)
    expect(values(pollAll(reader))).toEqual(['a'])
    await reader.close()
  })

  it('ends a bounded partition inside a batch, and steps over a tail without records', async () => {
    const f = fixture(2)
    const [a, b] = f.cluster.partitions as [(typeof f.cluster.partitions)[0], (typeof f.cluster.partitions)[0]]
    a.append(['a0', 'a1', 'a2'])
    b.append(['b0'])
    b.appendIn(9n, ['x'])
    b.end(9n, 'abort')
    b.append([], 0, { lastOffsetDelta: 4 })
    const reader = f.open()
    f.assign(reader, 0, 1, 2)
    f.assign(reader, 1, 0, 8)
    expect(values(await take(f, reader, 2)).sort()).toEqual(['a1', 'b0'])
    await f.scheduler.runUntil(() => {
      pollAll(reader)
      return reader.status(0).finished && reader.status(1).finished
    })
    expect([reader.status(0).position, reader.status(1).position]).toEqual([2, 8])
    const { fetches } = f.cluster
    await f.scheduler.runFor(5000)
    expect(f.cluster.fetches).toBe(fetches)
    await reader.close()
  })
})

describe('trouble that passes', () => {
  it('waits for a broker that is away for a minute, without a throw, a loss or a repeat', async () => {
    const f = fixture()
    const log = f.cluster.partitions[0]!
    log.append(['before'])
    const reader = f.open()
    f.assign(reader, 0)
    await take(f, reader, 1)
    f.cluster.stop(1)
    const { connects } = f.cluster
    for (let second = 0; second < 60; second++) {
      await f.scheduler.runFor(1000)
      expect(pollAll(reader)).toEqual([])
      expect(reader.status(0)).toMatchObject({ reachable: false, position: 1 })
    }
    // Backoff: quick at first, then every one to two seconds.
    expect(f.cluster.connects - connects).toBeGreaterThan(30)
    expect(f.cluster.connects - connects).toBeLessThan(80)
    f.cluster.up.add(1)
    log.append(['after'])
    const cameBackMs = f.clock.monotonicMs()
    expect(values(await take(f, reader, 1))).toEqual(['after'])
    expect(f.clock.monotonicMs() - cameBackMs).toBeLessThan(2500)
    expect(reader.status(0).reachable).toBe(true)
    await reader.close()
  })

  it('starts while no broker is there', async () => {
    const f = fixture()
    f.cluster.stop(1)
    const reader = f.open()
    f.assign(reader, 0)
    await f.scheduler.runFor(5000)
    expect(reader.status(0).reachable).toBe(false)
    f.cluster.up.add(1)
    f.cluster.partitions[0]!.append(['a'])
    expect(values(await take(f, reader, 1))).toEqual(['a'])
    await reader.close()
  })

  it('follows a leader to another broker, and reads the other partitions meanwhile', async () => {
    const f = fixture(2, [1, 2])
    const [a, b] = f.cluster.partitions as [(typeof f.cluster.partitions)[0], (typeof f.cluster.partitions)[0]]
    b.leader = 2
    const reader = f.open()
    f.assign(reader, 0)
    f.assign(reader, 1)
    await f.scheduler.runFor(50)
    f.cluster.stop(2)
    b.append(['b'])
    a.append(['a'])
    f.cluster.notify()
    expect(values(await take(f, reader, 1))).toEqual(['a'])
    expect([reader.status(0).reachable, reader.status(1).reachable]).toEqual([true, false])
    b.leader = 1
    expect(values(await take(f, reader, 1))).toEqual(['b'])
    a.leader = 2
    f.cluster.up.add(2)
    a.append(['a2'])
    f.cluster.notify()
    expect(values(await take(f, reader, 1))).toEqual(['a2'])
    await reader.close()
  })

  it('does not count a partition as reachable while its broker owes an answer', async () => {
    const f = fixture()
    const reader = f.open()
    f.assign(reader, 0)
    await f.scheduler.runFor(50)
    f.cluster.silent.add(1)
    await f.scheduler.runFor(150)
    expect(reader.status(0).reachable).toBe(true)
    await f.scheduler.runFor(2000)
    expect(reader.status(0).reachable).toBe(false)
    await reader.close()
  })

  it('sits out error codes that pass and gives up on others', async () => {
    const f = fixture()
    const log = f.cluster.partitions[0]!
    log.append(['a'])
    log.fetchError = 6
    const reader = f.open()
    f.assign(reader, 0)
    for (const code of [6, 5, 9, 56, 74, 78, -1]) {
      log.fetchError = code
      await f.scheduler.runFor(3000)
      expect(pollAll(reader)).toEqual([])
      expect(reader.status(0).reachable).toBe(false)
    }
    log.fetchError = 0
    await take(f, reader, 1)
    log.fetchError = 29
    const failure = await failureOf(f, reader)
    expect(failure).toMatchObject({ code: 'BROKER_ERROR', retry: 'never' })
    expect(failure.message).toContain('TOPIC_AUTHORIZATION_FAILED')
    await reader.close()
  })
})

describe('closing', () => {
  it('ends everything, twice too, in any state', async () => {
    for (let steps = 0; steps < 40; steps++) {
      const f = fixture()
      const reader = f.open()
      f.assign(reader, 0)
      let closed = false
      reader.onReady(() => expect(closed).toBe(false))
      for (let i = 0; i < steps; i++) {
        if (i === 20) f.cluster.stop(1)
        await f.scheduler.settle()
        if (!f.scheduler.step()) f.scheduler.advanceToNext()
      }
      closed = true
      await reader.close()
      await reader.close()
      const { connects, fetches, metadataRequests } = f.cluster
      f.cluster.partitions[0]!.append(['a'])
      f.cluster.notify()
      await f.scheduler.runFor(60_000)
      expect(f.scheduler.pending).toBe(0)
      expect([f.cluster.connects, f.cluster.fetches, f.cluster.metadataRequests]).toEqual([
        connects,
        fetches,
        metadataRequests,
      ])
      expect(reader.poll()).toBeUndefined()
    }
  })
})
