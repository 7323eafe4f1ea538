import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type CheckpointManifest, chunksOf, decodeManifest, encodeManifest } from '../../src/checkpoint/manifest.ts'
import { mergeSnapshots } from '../../src/checkpoint/manifest-merge.ts'
import { crc32c } from '../../src/event/crc32c.ts'
import { CheckpointFile, CheckpointManifest as GenManifest } from '../../src/gen/millrace/v1/checkpoint.ts'
import { anySnapshots, header, manifestOf } from './snapshots.ts'

const what = 'checkpoint 7 of job j'

/** A file around whatever a test made of a manifest, with the right checksum. */
function seal(manifest: GenManifest, formatVersion = 1): Uint8Array {
  const body = Buffer.from(GenManifest.encode(manifest).finish())
  return CheckpointFile.encode({ formatVersion, manifestCrc32c: crc32c(body), manifest: body }).finish()
}

function tampered(change: (manifest: GenManifest) => void): Uint8Array {
  const whole = manifestOf(7, ['j/1-1-n.window.0.1', 'j/1-1-n.window.0.2'])
  const block = { chunk: { key: 'j/1-1-n.window.0.3', sizeBytes: 9 }, epoch: 7, records: 1, crc32c: 5 }
  const subtasks = [{ ...whole.subtasks[0]!, outbox: [{ sink: 'out', blocks: [block] }] }]
  const file = CheckpointFile.decode(encodeManifest({ ...whole, subtasks }))
  const manifest = GenManifest.decode(file.manifest)
  change(manifest)
  return seal(manifest, 2)
}

describe('manifest', () => {
  test('round trip', () => {
    fc.assert(
      fc.property(anySnapshots, fc.constantFrom('checkpoint', 'savepoint'), fc.boolean(), (snapshots, kind, more) => {
        const owed = more ? [{ checkpointId: 5, sinks: ['deadLetters', 'out'] }] : []
        const manifest: CheckpointManifest = mergeSnapshots({ ...header, kind, owed }, snapshots, { read: 5 })
        const bytes = encodeManifest(manifest)
        expect(decodeManifest(bytes, what)).toEqual(manifest)
        // A build that knows no outboxes must not read one that has some: it would lose them.
        const plain = !more && snapshots.every(({ outbox }) => outbox.length === 0)
        expect(CheckpointFile.decode(bytes).formatVersion).toBe(plain ? 1 : 2)
      }),
    )
  })

  test('its arrays are its own: posting one to a thread does not copy the file', () => {
    const snapshots = [{ ...manifestOf(7, ['j/1-1-n.window.0.1']).subtasks[0]!, meta: new Uint8Array([1, 2, 3]) }]
    const decoded = decodeManifest(encodeManifest(mergeSnapshots(header, snapshots)), what)
    const { meta } = decoded.subtasks[0]!
    expect(meta.buffer.byteLength).toBe(3)
    expect(Object.getPrototypeOf(meta)).toBe(Uint8Array.prototype)
  })

  test('chunks are listed once, also when subtasks share them', () => {
    const one = manifestOf(7, ['j/1-1-n.window.0.1', 'j/1-1-n.window.0.2'])
    const two = manifestOf(7, ['j/1-1-n.window.0.2'])
    const shared = { ...one, subtasks: [...one.subtasks, { ...two.subtasks[0]!, operatorId: 'z' }] }
    expect(chunksOf(shared).map((chunk) => chunk.key)).toEqual(['j/1-1-n.window.0.1', 'j/1-1-n.window.0.2'])
    expect(decodeManifest(encodeManifest(shared), what)).toEqual(shared)
  })

  test('any flipped bit and any cut is CHECKPOINT_CORRUPT or STATE_INCOMPATIBLE, never another manifest', () => {
    const manifest = manifestOf(7, ['j/1-1-n.window.0.1'])
    const good = encodeManifest(manifest)
    for (let at = 0; at < good.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const bad = Uint8Array.from(good)
        bad[at]! ^= 1 << bit
        let decoded: CheckpointManifest | undefined
        try {
          decoded = decodeManifest(bad, what)
        } catch (error) {
          expect(error).toHaveProperty('code', expect.stringMatching(/^(CHECKPOINT_CORRUPT|STATE_INCOMPATIBLE)$/))
        }
        if (decoded !== undefined) expect(decoded).toEqual(manifest)
      }
      expect(() => decodeManifest(good.subarray(0, at), what)).toThrow(
        expect.objectContaining({ code: 'CHECKPOINT_CORRUPT' }),
      )
    }
  })

  test('a newer format is refused with what to do', () => {
    const file = CheckpointFile.decode(encodeManifest(manifestOf(7, [])))
    const newer = seal(GenManifest.decode(file.manifest), 3)
    expect(() => decodeManifest(newer, what)).toThrow(
      expect.objectContaining({ code: 'STATE_INCOMPATIBLE', message: expect.stringContaining('format 3') as string }),
    )
  })

  const broken: readonly (readonly [string, (m: GenManifest) => unknown])[] = [
    ['no checkpoint id', (m: GenManifest) => (m.checkpointId = 0)],
    ['an unknown kind', (m: GenManifest) => (m.kind = 0)],
    ['a page in no chunk', (m: GenManifest) => (m.subtasks[0]!.pages!.chunkIndex[0] = 9)],
    ['a page of no table', (m: GenManifest) => (m.subtasks[0]!.tables = [])],
    ['a page beyond its chunk', (m: GenManifest) => (m.subtasks[0]!.pages!.offset[0] = 1)],
    ['a block in no chunk', (m: GenManifest) => (m.subtasks[0]!.outbox[0]!.chunkIndex[0] = 9)],
    ['columns of an outbox of different length', (m: GenManifest) => m.subtasks[0]!.outbox[0]!.records.pop()],
    ['columns of different length', (m: GenManifest) => m.subtasks[0]!.pages!.crc32c.pop()],
    [
      'a split of no subtask',
      (m: GenManifest) =>
        m.splits.push({
          operatorId: 'x',
          subtask: 0,
          partition: 0,
          offset: 0,
          stopOffset: 0,
          topicId: '',
          state: '',
          maxTimestampMs: 0,
        }),
    ],
  ]

  test.each(broken)('%s is CHECKPOINT_CORRUPT although the checksum is right', (_name, change) => {
    const bytes = tampered((manifest) => void change(manifest))
    expect(() => decodeManifest(bytes, what)).toThrow(
      expect.objectContaining({ code: 'CHECKPOINT_CORRUPT', message: expect.stringContaining(what) as string }),
    )
  })
})
