/** Stored formats stay readable: one fixture a format, never made anew. A new format adds one. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type CheckpointManifest, decodeManifest } from '../../src/checkpoint/manifest.ts'
import { mergeSnapshots } from '../../src/checkpoint/manifest-merge.ts'
import { noPages, PageListBuilder } from '../../src/checkpoint/snapshot.ts'
import { header } from './snapshots.ts'

function format1(): CheckpointManifest {
  const builder = new PageListBuilder()
  builder.add('views', -1, 0, 12, { chunk: 'j/2-3-n.window.0.1', offset: 0, length: 4096, crc: 0xdeadbeef })
  builder.add('users', 127, 3, 1, { chunk: 'j/1-1-n.window.0.9', offset: 4096, length: 16, crc: 7 })
  const split = { partition: 4, topicId: 'topic', state: '{}', maxTimestampMs: 1_700_000_000_000 }
  const base = { subtask: 0, parallelism: 1, meta: new Uint8Array([1, 2]), outbox: [], written: [] }
  return mergeSnapshots(header, [
    {
      ...base,
      operatorId: 'events',
      watermarkMs: Number.POSITIVE_INFINITY,
      counters: { read: 2 ** 40 },
      splits: [
        { ...split, offset: 2 ** 50, stopOffset: Number.POSITIVE_INFINITY },
        { ...split, partition: 5, offset: 0, stopOffset: 9, maxTimestampMs: Number.NEGATIVE_INFINITY },
      ],
      pages: noPages,
    },
    {
      ...base,
      operatorId: 'window',
      watermarkMs: 1_699_999_994_999,
      counters: { applied: 5, late: 1 },
      splits: [],
      pages: builder.build((key) => (key.includes('2-3') ? 4096 : 8192)),
    },
  ])
}

/** Format 2 adds outboxes, and what is owed of earlier ones. */
function format2(): CheckpointManifest {
  const one = format1()
  const block = (n: number, records: number) => ({
    chunk: { key: `j/2-3-n.window.0.${n}`, sizeBytes: 524_288 + n },
    epoch: one.checkpointId,
    records,
    crc32c: 0xfeedface - n,
  })
  return {
    ...one,
    subtasks: [
      { ...one.subtasks[0]!, outbox: [{ sink: 'deadLetters', blocks: [block(5, 1)] }] },
      {
        ...one.subtasks[1]!,
        outbox: [
          { sink: 'out', blocks: [block(6, 3000), block(7, 12)] },
          { sink: 'lateEvents', blocks: [block(8, 1)] },
        ],
      },
    ],
    owed: [{ checkpointId: 6, sinks: ['deadLetters', 'out'] }],
  }
}

test('format 2', () => {
  const bytes = readFileSync(new URL('./fixtures/manifest-2.binpb', import.meta.url))
  expect(decodeManifest(bytes, 'the fixture')).toEqual(format2())
})

test('format 1', () => {
  const bytes = readFileSync(new URL('./fixtures/manifest-1.binpb', import.meta.url))
  expect(decodeManifest(bytes, 'the fixture')).toEqual(format1())
})
