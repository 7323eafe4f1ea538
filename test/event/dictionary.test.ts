import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Dictionary } from '../../src/event/dictionary.ts'
import { isUtf8 } from '../../src/event/utf8.ts'

const encoder = new TextEncoder()

it('gives equal texts one id and different texts different ids, over resets and truncations', () => {
  const dictionary = new Dictionary()
  const word = fc.oneof(
    fc.constantFrom('', 'a', 'b', 'ab', 'ba', 'web', '\ufeffweb', 'ios'),
    fc.string({ maxLength: 40 }),
  )
  fc.assert(
    fc.property(fc.array(fc.oneof(word, fc.constant(null)), { maxLength: 300 }), (words) => {
      dictionary.reset()
      let known = ['']
      for (const text of words) {
        if (text === null) {
          known = known.slice(0, Math.max(1, known.length - 2))
          dictionary.truncate(known.length)
          continue
        }
        const bytes = encoder.encode(text)
        const padded = new Uint8Array([1, ...bytes, 2])
        if (!known.includes(text)) known.push(text)
        expect(dictionary.intern(padded, 1, 1 + bytes.length)).toBe(known.indexOf(text))
        expect(dictionary.count).toBe(known.length)
      }
      known.forEach((text, id) => {
        expect(dictionary.text(id)).toBe(text)
      })
    }),
  )
})

it('holds a text a row, long ones too', () => {
  const dictionary = new Dictionary()
  for (let i = 0; i < 1024; i++) {
    const bytes = encoder.encode(`${i}${'y'.repeat(1000)}`)
    expect(dictionary.intern(bytes, 0, bytes.length)).toBe(i + 1)
  }
  expect(dictionary.text(1024).length).toBe(1004)
})

it('isUtf8 is what the platform says', () => {
  const strict = new TextDecoder('utf-8', { fatal: true })
  const byte = fc.oneof(
    fc.nat(255),
    fc.constantFrom(0xc1, 0xc2, 0xe0, 0xed, 0xa0, 0x9f, 0xf0, 0xf4, 0x8f, 0x90, 0x80, 0xbf),
  )
  const bytes = fc.oneof(
    fc.array(byte, { maxLength: 6 }).map((b) => Uint8Array.from(b)),
    fc.string({ unit: 'binary', maxLength: 6 }).map((s) => encoder.encode(s)),
  )
  fc.assert(
    fc.property(bytes, (b) => {
      let valid = true
      try {
        strict.decode(b)
      } catch {
        valid = false
      }
      expect(isUtf8(new Uint8Array([0x80, ...b, 0x80]), 1, 1 + b.length)).toBe(valid)
    }),
    { numRuns: 3000 },
  )
})
