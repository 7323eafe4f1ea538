/** What a reader sees of a partition with transactions, held against what was committed. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Decompressor } from '../../../src/event/compression.ts'
import type { AbortedTransaction } from '../../../src/source/kafka/fetch-protocol.ts'
import { PartitionFeed } from '../../../src/source/kafka/partition-feed.ts'
import { newRecordChunk } from '../../../src/source/record-chunk.ts'
import { FakePartition } from './fake-partition.ts'
import { rowsOf } from './support.ts'

type Action =
  | { readonly kind: 'plain'; readonly records: number }
  | { readonly kind: 'compacted'; readonly records: number }
  | { readonly kind: 'send'; readonly producer: number; readonly records: number }
  | { readonly kind: 'end'; readonly how: 'abort' | 'commit'; readonly producer: number }

const producer = fc.integer({ min: 1, max: 3 })
const records = fc.integer({ min: 1, max: 3 })
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('plain' as const), records }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('compacted' as const), records }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('send' as const), producer, records }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('end' as const),
      how: fc.constantFrom('abort' as const, 'commit' as const),
      producer,
    }),
  },
)

interface Written {
  readonly log: FakePartition
  /** Values that a committed reader sees below the last stable offset, in order. */
  readonly visible: string[]
  /** All values below the end. */
  readonly all: string[]
}

/** Writes the log and remembers, independently of any filter, what became of every value. */
function write(actions: readonly Action[]): Written {
  const log = new FakePartition()
  const fates: { value: string; offset: number; producer: number; committed: boolean }[] = []
  const open = new Set<number>()
  let n = 0
  for (const each of actions) {
    if (each.kind === 'compacted') {
      log.append([], 0, { lastOffsetDelta: each.records - 1 })
    } else if (each.kind === 'plain' || each.kind === 'send') {
      const from = each.kind === 'send' ? each.producer : 0
      const values = Array.from({ length: each.records }, () => `v${n++}`)
      const offset = log.endOffset
      if (from === 0) {
        // The id of a producer that also has transactions, but outside of any: never hidden.
        log.append(values, 0, { producerId: 1n, producerEpoch: 0 })
      } else {
        log.appendIn(BigInt(from), values)
        open.add(from)
      }
      for (const [i, value] of values.entries()) {
        fates.push({ value, offset: offset + i, producer: from, committed: from === 0 })
      }
    } else if (open.delete(each.producer)) {
      log.end(BigInt(each.producer), each.how)
      for (const fate of fates) {
        if (fate.producer !== each.producer) continue
        fate.producer = -1
        fate.committed = each.how === 'commit'
      }
    }
  }
  const stable = fates.filter((fate) => fate.offset < log.lastStableOffset)
  return { log, visible: stable.filter((f) => f.committed).map((f) => f.value), all: fates.map((f) => f.value) }
}

/** At most `batches` batches from `offset` on, below `upper`, and the aborted transactions that reach into them. */
function fetch(log: FakePartition, offset: number, upper: number, batches: number, generous: boolean) {
  const found = log.batches.filter((each) => each.nextOffset > offset && each.baseOffset < upper).slice(0, batches)
  const reached = generous ? upper : (found.at(-1)?.nextOffset ?? offset)
  const aborted: AbortedTransaction[] = log.transactions
    .filter((each) => each.aborted && each.markerOffset >= offset && each.firstOffset < reached)
    // Kafka lists them in the order of their markers.
    .sort((a, b) => a.markerOffset - b.markerOffset)
  return { bytes: Buffer.concat(found.map((each) => each.bytes)), aborted }
}

const newFeed = (offset: number, stopOffset: number, state = ''): PartitionFeed =>
  new PartitionFeed('events', { partition: 0, offset, stopOffset, topicId: 'id', state }, 1 << 20, true)

describe('PartitionFeed', () => {
  it('shows what was committed, once and in order, whatever the fetches and restores', () => {
    const step = fc.record({
      batches: fc.integer({ min: 1, max: 4 }),
      ahead: fc.boolean(),
      generous: fc.boolean(),
      restore: fc.boolean(),
      withState: fc.boolean(),
    })
    fc.assert(
      fc.property(
        fc.array(action, { maxLength: 40 }),
        fc.array(step, { minLength: 1, maxLength: 20 }),
        (plan, steps) => {
          const { log, visible } = write(plan)
          const end = log.lastStableOffset
          let feed = newFeed(0, end)
          const seen: (string | null)[] = []
          const chunk = newRecordChunk()
          const decompressor = new Decompressor()
          let turn = 0
          while (!feed.finished) {
            const { batches, ahead, generous, restore, withState } = steps[turn++ % steps.length]!
            for (let i = 0; i < (ahead ? 2 : 1) && !feed.full && feed.fetchOffset < end; i++) {
              const { bytes, aborted } = fetch(log, feed.fetchOffset, end, batches, generous)
              feed.addRegion(bytes, 0, bytes.length, aborted)
            }
            const before = feed.position
            expect(feed.take(chunk, decompressor)).toBe(true)
            expect(chunk.firstOffset).toBe(before)
            expect(chunk.nextOffset).toBe(feed.position)
            expect(feed.position).toBeGreaterThan(before)
            seen.push(...rowsOf(chunk).map((row) => row.value))
            if (restore) feed = newFeed(feed.position, end, withState ? feed.state() : '')
          }
          expect(seen).toEqual(visible)
          expect(feed.position).toBe(end)
        },
      ),
      { numRuns: 2000 },
    )
  })

  it('shows everything when the broker lists nothing (read_uncommitted)', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 40 }), fc.integer({ min: 1, max: 4 }), (plan, batches) => {
        const { log, all } = write(plan)
        const feed = newFeed(0, log.endOffset)
        const seen: (string | null)[] = []
        const chunk = newRecordChunk()
        while (!feed.finished) {
          const { bytes } = fetch(log, feed.fetchOffset, log.endOffset, batches, false)
          feed.addRegion(bytes, 0, bytes.length, null)
          while (feed.take(chunk, new Decompressor())) seen.push(...rowsOf(chunk).map((row) => row.value))
        }
        expect(seen).toEqual(all)
      }),
      { numRuns: 300 },
    )
  })

  it('is not misled by a user key of four zero bytes, which looks like an abort marker', () => {
    const log = new FakePartition()
    log.appendIn(5n, ['hidden'])
    const batch = log.batches[0]!
    // The same bytes as a marker's record, in a batch without the control flag.
    const marker = new FakePartition()
    marker.appendIn(5n, ['x'])
    marker.end(5n, 'abort')
    const forged = marker.batches[1]!.bytes
    forged[22]! &= ~0x20
    const feed = new PartitionFeed('events', { partition: 0, offset: 0, stopOffset: 3, topicId: 'id' }, 1 << 20, false)
    log.appendIn(5n, ['filler'])
    const last = log.batches[1]!.bytes.slice()
    new DataView(last.buffer, last.byteOffset).setBigInt64(0, 2n)
    const bytes = Buffer.concat([batch.bytes, forged, last])
    feed.addRegion(bytes, 0, bytes.length, [{ producerId: 5n, firstOffset: 0 }])
    const chunk = newRecordChunk()
    expect(feed.take(chunk, new Decompressor())).toBe(true)
    expect([chunk.count, chunk.nextOffset, feed.finished]).toEqual([0, 3, true])
  })

  it('keeps an open aborted transaction over a restore when a broker lists it only once', () => {
    const log = new FakePartition()
    log.appendIn(5n, ['hidden 1'])
    log.append(['shown'])
    log.appendIn(5n, ['hidden 2'])
    log.end(5n, 'abort')
    log.appendIn(5n, ['kept'])
    log.end(5n, 'commit')
    const chunk = newRecordChunk()
    const first = newFeed(0, 6)
    const region = fetch(log, 0, 6, 2, false)
    first.addRegion(region.bytes, 0, region.bytes.length, region.aborted)
    expect(first.take(chunk, new Decompressor())).toBe(true)
    expect(first.state()).toBe('aborted=5:0')
    const second = newFeed(first.position, 6, first.state())
    const rest = fetch(log, 2, 6, 9, false)
    second.addRegion(rest.bytes, 0, rest.bytes.length, null)
    const seen: (string | null)[] = []
    while (second.take(chunk, new Decompressor())) seen.push(...rowsOf(chunk).map((row) => row.value))
    expect(seen).toEqual(['kept'])
    expect(second.state()).toBe('')
  })

  it('ignores a batch that the end of the region cuts off, and asks for more when not even one fits', () => {
    const log = new FakePartition()
    log.append(['a'])
    log.append(['b'.repeat(500)])
    const whole = Buffer.concat(log.batches.map((each) => each.bytes))
    const chunk = newRecordChunk()
    for (let cut = 0; cut <= whole.length; cut++) {
      const feed = new PartitionFeed('events', { partition: 0, offset: 0, stopOffset: 9, topicId: '' }, 100, true)
      if (cut > 0) feed.addRegion(whole, 0, cut, [])
      let count = 0
      while (feed.take(chunk, new Decompressor())) count += chunk.count
      const firstEnd = log.batches[0]!.bytes.length
      expect(count).toBe(cut === whole.length ? 2 : cut >= firstEnd ? 1 : 0)
      expect(feed.fetchOffset).toBe(count)
    }
    const feed = new PartitionFeed('events', { partition: 0, offset: 1, stopOffset: 9, topicId: '' }, 100, true)
    const big = log.batches[1]!.bytes
    feed.addRegion(big, 0, 100, [])
    expect([feed.drained, feed.maxBytes]).toEqual([true, big.length])
  })
})
