import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { chunksOf } from '../../src/checkpoint/manifest.ts'
import { mergeSnapshots, rewriteHints, stateBytes } from '../../src/checkpoint/manifest-merge.ts'
import { PageListBuilder, type SubtaskSnapshot } from '../../src/checkpoint/snapshot.ts'
import { anySnapshots, header, manifestOf } from './snapshots.ts'

const key = (n: number): string => `j/1-1-n.window.0.${n}`

/** A snapshot with pages of the given live bytes in chunks of the given size. */
function snapshotOf(
  subtask: number,
  parallelism: number,
  chunks: readonly [key: string, live: number, size: number][],
) {
  const builder = new PageListBuilder()
  for (const [i, [chunk, live]] of chunks.entries())
    builder.add('t', -1, i, 1, { chunk, offset: 0, length: live, crc: 0 })
  const sizes = new Map(chunks.map(([chunk, , size]) => [chunk, size]))
  const base = manifestOf(1, []).subtasks[0]!
  return { ...base, subtask, parallelism, pages: builder.build((k) => sizes.get(k)!) } satisfies SubtaskSnapshot
}

const limits = { bytesMax: 1000, smallBytes: 10, smallCountMax: 3 }

describe('merge', () => {
  test('does not depend on the order of acks', () => {
    fc.assert(
      fc.property(
        anySnapshots.chain((s) => fc.tuple(fc.constant(s), fc.shuffledSubarray(s, { minLength: s.length }))),
        ([snapshots, shuffled]) => {
          expect(mergeSnapshots(header, shuffled)).toEqual(mergeSnapshots(header, snapshots))
        },
      ),
    )
  })

  test('counters are the sum over subtasks, on top of the base', () => {
    const one = { ...snapshotOf(0, 2, []), counters: { read: 3, late: 1 } }
    const two = { ...snapshotOf(1, 2, []), counters: { read: 4 } }
    const merged = mergeSnapshots(header, [two, one], { read: 10, filtered: 2 })
    expect(merged.counters).toEqual({ read: 17, late: 1, filtered: 2 })
    expect(merged.subtasks.map((s) => s.counters)).toEqual([{ read: 3, late: 1 }, { read: 4 }])
  })

  test('what only the ack needed is left out', () => {
    const acked = { ...snapshotOf(0, 1, []), written: [{ key: key(1), sizeBytes: 5 }] }
    expect(mergeSnapshots(header, [acked]).subtasks[0]!.written).toEqual([])
  })

  test('what the checkpoint before has is not said again, what aborted ones had is', () => {
    const block = (n: number, epoch: number) => ({ chunk: { key: key(n), sizeBytes: 9 }, epoch, records: 1, crc32c: 0 })
    const acked = {
      ...snapshotOf(0, 1, []),
      outbox: [
        { sink: 'out', blocks: [block(1, 4), block(2, 5), block(3, 7)] },
        { sink: 'late', blocks: [block(4, 4)] },
      ],
    }
    // Four completed, five and six were aborted.
    const [merged] = mergeSnapshots({ ...header, previousCheckpointId: 4 }, [acked]).subtasks
    expect(merged!.outbox).toEqual([{ sink: 'out', blocks: [block(2, 7), block(3, 7)] }])
  })

  test('outboxes are no state: they are not counted as such, nor written anew', () => {
    const block = { chunk: { key: key(9), sizeBytes: 1000 }, epoch: 7, records: 1, crc32c: 0 }
    const merged = mergeSnapshots(header, [
      { ...snapshotOf(0, 1, [[key(1), 90, 100]]), outbox: [{ sink: 'out', blocks: [block] }] },
    ])
    expect(chunksOf(merged).map((chunk) => chunk.key)).toEqual([key(1), key(9)])
    expect(stateBytes(merged)).toEqual({ live: 90, stored: 100 })
    expect(rewriteHints(merged, limits)).toEqual([])
  })

  test('a subtask that is missing, there twice or too many is a bug', () => {
    fc.assert(
      fc.property(
        anySnapshots.chain((s) => fc.tuple(fc.constant(s), fc.nat(s.length - 1), fc.boolean())),
        ([snapshots, at, twice]) => {
          const broken = twice ? [...snapshots, snapshots[at]!] : snapshots.toSpliced(at, 1)
          // Without its only subtask an operator is just not there.
          fc.pre(twice || snapshots[at]!.parallelism > 1)
          expect(() => mergeSnapshots(header, broken)).toThrow(expect.objectContaining({ code: 'INTERNAL' }))
        },
      ),
    )
    expect(() => mergeSnapshots(header, [snapshotOf(0, 1, []), { ...snapshotOf(1, 1, []) }])).toThrow(/parallelism/)
  })
})

describe('rewrite hints', () => {
  test('chunks under half live, the emptiest first', () => {
    const manifest = mergeSnapshots(header, [
      snapshotOf(0, 1, [
        [key(1), 49, 100],
        [key(2), 50, 100],
        [key(3), 10, 100],
      ]),
    ])
    expect(rewriteHints(manifest, limits)).toEqual([key(3), key(1)])
    expect(stateBytes(manifest)).toEqual({ live: 109, stored: 300 })
  })

  test('a chunk that several subtasks live in counts whole', () => {
    const manifest = mergeSnapshots(header, [
      snapshotOf(0, 2, [[key(1), 30, 100]]),
      snapshotOf(1, 2, [[key(1), 30, 100]]),
    ])
    expect(rewriteHints(manifest, limits)).toEqual([])
  })

  test('no more than the limit at once, but always one', () => {
    const manifest = mergeSnapshots(header, [
      snapshotOf(0, 1, [
        [key(1), 40, 100],
        [key(2), 41, 100],
        [key(3), 42, 100],
      ]),
    ])
    expect(rewriteHints(manifest, { ...limits, bytesMax: 81 })).toEqual([key(1), key(2)])
    expect(rewriteHints(manifest, { ...limits, bytesMax: 1 })).toEqual([key(1)])
  })

  test('small chunks are put together when a subtask has too many', () => {
    const small = (n: number) => Array.from({ length: n }, (_, i) => [key(i + 1), 5, 5] as [string, number, number])
    expect(rewriteHints(mergeSnapshots(header, [snapshotOf(0, 1, small(3))]), limits)).toEqual([])
    expect(rewriteHints(mergeSnapshots(header, [snapshotOf(0, 1, small(4))]), limits)).toHaveLength(4)
  })

  test('following them keeps what is stored within twice the state and one checkpoint', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.nat(29), { minLength: 1, maxLength: 10 }), { minLength: 5, maxLength: 60 }),
        (rounds) => {
          // Thirty pages of 100 bytes; each round changes some, and writes them with what the hints ask for as one chunk.
          const at = new Map<number, { chunk: string }>()
          const sizes = new Map<string, number>()
          let stale = new Set<string>()
          let manifest = mergeSnapshots(header, [snapshotOf(0, 1, [])])
          const all = Array.from({ length: 30 }, (_, i) => i)
          for (const [round, changed] of [all, ...rounds].entries()) {
            const chunk = key(round)
            let size = 0
            for (const page of all) {
              const location = at.get(page)
              if (location !== undefined && !changed.includes(page) && !stale.has(location.chunk)) continue
              at.set(page, { chunk })
              size += 100
            }
            sizes.set(chunk, size)
            const builder = new PageListBuilder()
            for (const [page, { chunk: c }] of at)
              builder.add('t', -1, page, 1, { chunk: c, offset: 0, length: 100, crc: 0 })
            const pages = builder.build((k) => sizes.get(k)!)
            manifest = mergeSnapshots(header, [{ ...snapshotOf(0, 1, []), pages }])
            const { live, stored } = stateBytes(manifest)
            // Before the hints are followed a chunk may be sparse: by what one round changed and what was asked for.
            expect(stored).toBeLessThanOrEqual(2 * live + 2 * live)
            stale = new Set(rewriteHints(manifest, { bytesMax: 1e9, smallBytes: 0, smallCountMax: 0 }))
            const sparse = chunksOf(manifest).filter((ref) => !stale.has(ref.key))
            const kept = sparse.reduce((sum, ref) => sum + ref.sizeBytes, 0)
            expect(kept).toBeLessThanOrEqual(2 * live)
          }
        },
      ),
      { numRuns: 50 },
    )
  })
})
