import { lz4Decompress, snappyDecompress } from '@platformatic/wasm-utils'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type CodecName, codecNames, compress, Decompressor } from '../../src/event/compression.ts'
import { lz4DecompressInto } from '../../src/event/lz4.ts'
import { OUT_OF_INPUT, OUT_OF_ROOM } from '../../src/event/match-copy.ts'
import { snappyDecompressInto, snappySize } from '../../src/event/snappy.ts'

const packed = codecNames.filter((name) => name !== 'none')

function decompress(codec: CodecName, bytes: Uint8Array, limitBytes?: number): Uint8Array {
  const decompressor = new Decompressor(limitBytes)
  decompressor.run(codecNames.indexOf(codec), bytes, 0, bytes.length, 'events', 3, 77)
  return decompressor.bytes.subarray(decompressor.start, decompressor.end)
}

/** Text with repeats near and far, runs and noise: all kinds of matches. */
const texts = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 90 }),
      fc.tuple(fc.nat(255), fc.nat(5000)).map(([byte, length]) => new Uint8Array(length).fill(byte)),
      fc.constantFrom('page_view', '/home/products/', 'user-12345').map((word) => new Uint8Array(Buffer.from(word))),
    ),
    { maxLength: 60 },
  )
  .map((parts) => new Uint8Array(Buffer.concat(parts)))

function xerial(blocks: readonly Uint8Array[]): Uint8Array {
  const head = Buffer.from('82534e41505059000000000100000001', 'hex')
  const parts: Uint8Array[] = [head]
  for (const block of blocks) {
    const chunk = compress('snappy', block, 0, block.length)
    const length = Buffer.alloc(4)
    length.writeInt32BE(chunk.length)
    parts.push(length, chunk)
  }
  return new Uint8Array(Buffer.concat(parts))
}

/** What happened: 'ok', or the code of the error. */
function outcome(codec: CodecName, bytes: Uint8Array, limitBytes: number): string {
  try {
    const result = decompress(codec, bytes, limitBytes)
    return result.length <= limitBytes ? 'ok' : 'over the limit'
  } catch (error) {
    return (error as { code: string }).code
  }
}

describe.each(packed)('%s', (codec) => {
  it('gives back what was compressed', () => {
    fc.assert(
      fc.property(texts, (text) => {
        expect(Buffer.compare(decompress(codec, compress(codec, text, 0, text.length)), text)).toBe(0)
      }),
      { numRuns: 60 },
    )
  })

  it('takes the part of the bytes it is told to', () => {
    const text = Buffer.from('abcabcabcabcabcabcabc xyz')
    const part = compress(codec, text, 3, 20)
    const framed = new Uint8Array(part.length + 9).fill(0xee)
    framed.set(part, 5)
    const decompressor = new Decompressor()
    decompressor.run(codecNames.indexOf(codec), framed, 5, 5 + part.length, 't', 0, 0)
    const result = Buffer.from(decompressor.bytes.subarray(decompressor.start, decompressor.end))
    expect(result.toString()).toBe(text.toString().slice(3, 20))
  })

  it('refuses more than the limit, names the place, and works again afterwards', () => {
    const bomb = compress(codec, new Uint8Array(3_000_000), 0, 3_000_000)
    expect(() => decompress(codec, bomb, 1_000_000)).toThrow(
      expect.objectContaining({
        code: 'RECORD_BATCH_CORRUPT',
        message: expect.stringContaining(`events-3 at offset 77 is corrupt: its ${codec} data gives more than 1000000`),
      }),
    )
    expect(decompress(codec, bomb, 3_000_000).length).toBe(3_000_000)
  })

  it('meets damaged, cut and invented bytes with an error or some bytes within the limit, nothing else', () => {
    fc.assert(
      fc.property(texts, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }), fc.nat(), (text, hits, cut) => {
        const bytes = Uint8Array.from(compress(codec, text, 0, text.length))
        for (const [at, value] of hits) bytes[at % bytes.length] = value
        const part = bytes.subarray(0, bytes.length - (cut % bytes.length))
        expect(['ok', 'RECORD_BATCH_CORRUPT']).toContain(outcome(codec, part, 300_000))
        expect(['ok', 'RECORD_BATCH_CORRUPT']).toContain(outcome(codec, text, 300_000))
      }),
      { numRuns: 200 },
    )
  })
})

describe('empty data', () => {
  it('compresses after the library has grown its memory, to what the library itself reads as empty', () => {
    const noise = Uint8Array.from({ length: 9_000_000 }, (_, i) => Math.imul(i, 0x9e3779b1) >>> 24)
    for (const [codec, read] of [
      ['snappy', snappyDecompress],
      ['lz4', lz4Decompress],
    ] as const) {
      compress(codec, noise, 0, noise.length)
      const empty = compress(codec, noise, 5, 5)
      expect(read(Buffer.from(empty))).toHaveLength(0)
      expect(decompress(codec, empty)).toHaveLength(0)
    }
  })
})

describe('snappy in xerial framing', () => {
  it('joins the blocks, and framings that were joined', () => {
    fc.assert(
      fc.property(fc.array(texts, { maxLength: 4 }), fc.array(texts, { maxLength: 3 }), (a, b) => {
        const joined = Buffer.concat([xerial(a), xerial(b)])
        expect(Buffer.compare(decompress('snappy', joined), Buffer.concat([...a, ...b]))).toBe(0)
      }),
      { numRuns: 40 },
    )
  })

  it('refuses cut and damaged framing', () => {
    const good = xerial([Buffer.from('hello hello hello'), Buffer.from('world')])
    for (let end = 17; end < good.length; end++) {
      const cut = good.subarray(0, end)
      // A cut between two blocks cannot be told from the end.
      expect(['ok', 'RECORD_BATCH_CORRUPT']).toContain(outcome('snappy', cut, 1000))
    }
    const negative = Uint8Array.from(good)
    negative.fill(0xff, 16, 20)
    expect(outcome('snappy', negative, 1000)).toBe('RECORD_BATCH_CORRUPT')
  })
})

describe('lz4 frames', () => {
  it('reads skippable frames, several frames, stored and linked blocks', () => {
    const skip = Buffer.from('522a4d1803000000aabbcc', 'hex')
    const stored = Buffer.from('04224d186040820300008061626300000000', 'hex')
    // Two linked blocks: "abcd" literal, then a match of 4 (+1 literal) that reaches back into the first block.
    const linked = Buffer.from(
      '04224d18404000' + '05000000' + '4061626364' + '05000000' + '00040010' + '65' + '00000000',
      'hex',
    )
    expect(Buffer.from(decompress('lz4', Buffer.concat([skip, stored]))).toString()).toBe('abc')
    expect(Buffer.from(decompress('lz4', Buffer.concat([stored, linked]))).toString()).toBe('abcabcdabcde')
  })
})

describe('an output without a byte to spare', () => {
  type Into = (bytes: Uint8Array, out: Uint8Array) => number | boolean
  const decoders: readonly [CodecName, Into][] = [
    ['lz4', (bytes, out) => lz4DecompressInto(bytes, 0, bytes.length, out)],
    ['snappy', (bytes, out) => snappyDecompressInto(bytes, 0, bytes.length, out)],
  ]

  it.each(decoders)('%s: is filled to the end, and never makes damaged bytes throw', (codec, into) => {
    fc.assert(
      fc.property(
        texts,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
        fc.nat(30),
        (text, hits, less) => {
          if (codec === 'lz4' && text.length === 0) return
          const bytes = Uint8Array.from(compress(codec as 'lz4', text, 0, text.length))
          const exact = new Uint8Array(text.length)
          expect([text.length, true]).toContain(into(bytes, exact))
          expect(Buffer.compare(exact, text)).toBe(0)
          for (const [at, value] of hits) bytes[at % bytes.length] = value
          const tight = new Uint8Array(Math.max(0, text.length - less))
          if (codec === 'snappy' && snappySize(bytes, 0, bytes.length) > tight.length) return
          const result = into(bytes, tight)
          if (typeof result === 'number') expect(result).toBeLessThanOrEqual(tight.length)
        },
      ),
      { numRuns: 300 },
    )
  })

  it('lz4: refuses matches from before the frame, and one byte too many', () => {
    const frame = (block: string) => Buffer.from(`04224d18604000${block}00000000`, 'hex')
    const match = frame('06000000' + '1061' + '0100' + '1062')
    const before = frame('06000000' + '1061' + '0200' + '1062')
    const out = new Uint8Array(6)
    expect(lz4DecompressInto(match, 0, match.length, out)).toBe(6)
    expect(Buffer.from(out).toString()).toBe('aaaaab')
    expect(lz4DecompressInto(match, 0, match.length, out.subarray(0, 5))).toBe(OUT_OF_ROOM)
    expect(lz4DecompressInto(match, 0, match.length, out.subarray(0, 3))).toBe(OUT_OF_ROOM)
    expect(lz4DecompressInto(match, 0, match.length, out.subarray(0, 0))).toBe(OUT_OF_ROOM)
    const twice = Buffer.concat([match, before])
    expect(lz4DecompressInto(twice, 0, twice.length, new Uint8Array(100))).toBe(OUT_OF_INPUT)
  })

  it('snappy: refuses matches from before the block, and more or less than it states', () => {
    const run = (hex: string, room = 50) => {
      const bytes = Buffer.from(hex, 'hex')
      return snappyDecompressInto(bytes, 0, bytes.length, new Uint8Array(room))
    }
    expect(run('05' + '0061' + '0101', 5)).toBe(true)
    expect(run('05' + '0061' + '0102')).toBe(false)
    expect(run('05' + '0061' + '0100')).toBe(false)
    expect(run('04' + '0061' + '0101')).toBe(false)
    expect(run('06' + '0061' + '0101')).toBe(false)
    expect(run('02' + '08616263', 2)).toBe(false)
    expect(run('40' + 'f0ff')).toBe(false)
    expect(run(`40f045${'61'.repeat(70)}`, 64)).toBe(false)
    expect(run(`46f045${'61'.repeat(70)}`, 70)).toBe(true)
  })
})

describe('codec numbers', () => {
  it('passes codec none through without a copy and refuses unknown ones', () => {
    const bytes = Buffer.from('abc')
    const decompressor = new Decompressor()
    decompressor.run(0, bytes, 1, 3, 't', 0, 0)
    expect(decompressor.bytes).toBe(bytes)
    expect([decompressor.start, decompressor.end]).toEqual([1, 3])
    expect(() => decompressor.run(5, bytes, 0, 3, 't', 0, 0)).toThrow(
      expect.objectContaining({ code: 'CODEC_UNSUPPORTED' }),
    )
  })
})
