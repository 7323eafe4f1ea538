import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hashBytes } from '../../src/core/hash.ts'
import { EventBatch, layOutEventBatch } from '../../src/exchange/event-batch.ts'
import { KeyedOutput } from '../../src/exchange/keyed-output.ts'
import type { BatchMessage } from '../../src/exchange/message.ts'
import { dimensionBytes, dimensionTexts, GroupKeyBuilder } from '../../src/operator/group-key.ts'
import { fillScan, newScan, recordingChannels } from '../exchange/support.ts'

/** A batch of rows with three texts each. */
function batchOf(rows: readonly { key: string; texts: readonly string[] }[]): EventBatch {
  const layout = layOutEventBatch(0, 3, false)
  const { channels, sent } = recordingChannels(1, 1, layout.byteLength)
  const output = new KeyedOutput(layout, { numbers: [], texts: [0, 1, 2] }, channels, 16)
  const scan = newScan(0, 3)
  fillScan(
    scan,
    rows.map((row) => ({ ...row, timeMs: 0, mask: 1, numbers: [] })),
  )
  output.write(scan, null)
  output.flush()
  return new EventBatch(layout, (sent[0]!.message as BatchMessage).buffer)
}

const texts = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 5 }),
  fc.constantFrom('', '\u0001', 'abc', '\ufeffabc', 'x'.repeat(127), 'x'.repeat(128), 'y'.repeat(1024)),
)
const rows = fc.array(fc.record({ key: texts, texts: fc.tuple(texts, texts, texts) }), { minLength: 1, maxLength: 12 })
const dimensionLists = fc.uniqueArray(fc.integer({ min: -1, max: 2 }), { maxLength: 4 })

describe('group keys', () => {
  it('name their texts, differ where those differ, and hash as their bytes do', () => {
    fc.assert(
      fc.property(rows, dimensionLists, (all, dimensions) => {
        const batch = batchOf(all)
        const builder = new GroupKeyBuilder(dimensions)
        const seen = new Map<string, string>()
        all.forEach((row, i) => {
          builder.build(batch, i)
          const key = builder.bytes.slice(0, builder.length)
          const expected = dimensions.map((column) => (column < 0 ? row.key : row.texts[column]!))
          expect(dimensionTexts(key, dimensions.length)).toEqual(expected)
          expected.forEach((text, at) => {
            expect(Buffer.from(dimensionBytes(key, dimensions.length, at)).toString()).toBe(text)
          })
          expect(builder.hash).toBe(hashBytes(key, 0, key.length))
          const name = Buffer.from(key).toString('hex')
          expect(seen.get(name) ?? JSON.stringify(expected)).toBe(JSON.stringify(expected))
          seen.set(name, JSON.stringify(expected))
        })
        expect(seen.size).toBe(new Set(seen.values()).size)
      }),
      { numRuns: 200 },
    )
  })

  it('of the event key alone are its very bytes, so that its hash need not be computed again', () => {
    const builder = new GroupKeyBuilder([-1])
    builder.build(batchOf([{ key: 'user-1', texts: ['', '', ''] }]), 0)
    expect(Buffer.from(builder.bytes.subarray(0, builder.length)).toString()).toBe('user-1')
  })
})
