/** Arbitrary snapshots and manifests. */
import fc from 'fast-check'
import type { CheckpointManifest } from '../../src/checkpoint/manifest.ts'
import { type OutboxPart, type PageList, PageListBuilder, type SubtaskSnapshot } from '../../src/checkpoint/snapshot.ts'

const watermark = fc.oneof(
  fc.constantFrom(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, -1.5, 0),
  fc.integer({ min: 0, max: 4e12 }),
)

/** Whole numbers up to 2^53 - 1. */
const count = fc.maxSafeNat()
const counters = fc.dictionary(fc.constantFrom('read', 'late/views', 'applied/ünïcode', 'filtered'), fc.nat(1e9), {
  noNullPrototype: true,
})

/** A page list whose chunks are among `j/1-1-n.window.0.<0..9>` with 1 MB each. */
export const anyPages: fc.Arbitrary<PageList> = fc
  .array(
    fc.record({
      table: fc.constantFrom('a', 'b', 'views by platform'),
      keyGroup: fc.integer({ min: -1, max: 32_767 }),
      page: fc.nat(100_000),
      rows: fc.nat(10_000),
      chunk: fc.nat(9),
      offset: fc.nat(500_000),
      length: fc.nat(400_000),
      crc: fc.nat(0xffff_ffff),
    }),
    { maxLength: 20 },
  )
  .map((pages) => {
    const builder = new PageListBuilder()
    for (const p of pages) {
      const chunk = `j/1-1-n.window.0.${p.chunk}`
      builder.add(p.table, p.keyGroup, p.page, p.rows, { chunk, offset: p.offset, length: p.length, crc: p.crc })
    }
    return builder.build(() => 1_000_000)
  })

const anySplit = fc.record({
  partition: fc.nat(1000),
  offset: count,
  stopOffset: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), count),
  topicId: fc.constantFrom('', 'b2c1'),
  state: fc.constantFrom('', '{"aborted":[7]}'),
  maxTimestampMs: watermark,
})

/** Outboxes for up to two sinks, of the epoch that the manifest's `header` ends. */
const anyOutbox: fc.Arbitrary<readonly OutboxPart[]> = fc
  .uniqueArray(fc.constantFrom('out', 'deadLetters', 'ünïcode'), { maxLength: 2 })
  .chain((sinks) =>
    fc.tuple(
      ...sinks.map((sink) =>
        fc
          .array(fc.record({ n: fc.integer({ min: 10, max: 19 }), records: fc.nat(1e6), crc: fc.nat(0xffff_ffff) }), {
            minLength: 1,
            maxLength: 4,
          })
          .map((blocks) => ({
            sink,
            blocks: blocks.map(({ n, records, crc }) => ({
              chunk: { key: `j/1-1-n.window.0.${n}`, sizeBytes: 500 },
              epoch: 7,
              records,
              crc32c: crc,
            })),
          })),
      ),
    ),
  )

/** All snapshots of a job of one source and one keyed operator. */
export const anySnapshots: fc.Arbitrary<SubtaskSnapshot[]> = fc
  .tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 4 }))
  .chain(([sources, windows]) => {
    const one = (operatorId: string, subtask: number, parallelism: number): fc.Arbitrary<SubtaskSnapshot> =>
      fc.record({
        operatorId: fc.constant(operatorId),
        subtask: fc.constant(subtask),
        parallelism: fc.constant(parallelism),
        watermarkMs: watermark,
        meta: fc.uint8Array({ maxLength: 20 }),
        counters,
        splits: operatorId === 'events' ? fc.array(anySplit, { maxLength: 3 }) : fc.constant([]),
        pages: anyPages,
        outbox: anyOutbox,
        written: fc.constant([]),
      })
    return fc.tuple(
      ...Array.from({ length: sources }, (_, i) => one('events', i, sources)),
      ...Array.from({ length: windows }, (_, i) => one('window', i, windows)),
    )
  })

/** A manifest without its snapshots. */
export const header: Omit<CheckpointManifest, 'subtasks' | 'counters'> = {
  jobName: 'j',
  jobId: 'id-1',
  checkpointId: 7,
  previousCheckpointId: 6,
  generation: 2,
  attempt: 3,
  kind: 'checkpoint',
  createdAtMs: 1_700_000_000_123,
  keyHashName: 'murmur3-x86-32',
  keyHashSeed: 0,
  keyGroups: 128,
  definitionHash: 'abc',
  owed: [],
}

/** A manifest with nothing in it but chunks: one page over the whole of each. */
export function manifestOf(checkpointId: number, chunkKeys: readonly string[]): CheckpointManifest {
  const builder = new PageListBuilder()
  for (const [i, chunk] of chunkKeys.entries()) builder.add('t', -1, i, 1, { chunk, offset: 0, length: 10, crc: 0 })
  return {
    ...header,
    checkpointId,
    counters: {},
    subtasks: [
      {
        operatorId: 'window',
        subtask: 0,
        parallelism: 1,
        watermarkMs: 0,
        meta: new Uint8Array(0),
        counters: {},
        splits: [],
        pages: builder.build(() => 10),
        outbox: [],
        written: [],
      },
    ],
  }
}
