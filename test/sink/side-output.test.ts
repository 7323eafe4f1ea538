import { describe, expect, it } from 'vitest'
import { DeadLetter } from '../../src/gen/millrace/v1/metric.ts'
import { DEAD_LETTER_BYTES_MAX, writeDeadLetter } from '../../src/sink/side-output.ts'

const origin = { job: 'j', topic: 't', partition: 3, offset: 42 }

function letterOf(bytes: Uint8Array, key: [number, number], value: [number, number]) {
  const written: { key: Uint8Array | null; letter: DeadLetter }[] = []
  const writer = {
    bufferedBytes: 0,
    write: (recordKey: Uint8Array | null, letter: Uint8Array) => {
      written.push({ key: recordKey, letter: DeadLetter.decode(letter) })
    },
    flush: async () => {},
    close: async () => {},
  }
  writeDeadLetter(writer, origin, 'undecodable', bytes, ...key, ...value, 1000)
  return written[0]!
}

describe('a dead letter', () => {
  it('holds key and value as they were read, and where from', () => {
    const { key, letter } = letterOf(new Uint8Array([9, 1, 2, 3]), [0, 1], [1, 4])
    expect([...key!]).toEqual([9])
    expect(letter).toMatchObject({ ...origin, reason: 'undecodable', keyBytes: 1, valueBytes: 3 })
    expect([...letter.value]).toEqual([1, 2, 3])
    expect(letter.recordTime).toEqual(new Date(1000))
  })

  it('has no key or value where there was none', () => {
    const { key, letter } = letterOf(new Uint8Array(0), [-1, -1], [-1, -1])
    expect(key).toBe(null)
    expect(letter).toMatchObject({ keyBytes: 0, valueBytes: 0 })
  })

  it('is cut where an output topic could not take it, and says how long it was', () => {
    const large = DEAD_LETTER_BYTES_MAX + 5
    const { key, letter } = letterOf(new Uint8Array(2 * large).fill(7), [0, large], [large, 2 * large])
    expect([key!.length, letter.value.length]).toEqual([DEAD_LETTER_BYTES_MAX, DEAD_LETTER_BYTES_MAX])
    expect(letter).toMatchObject({ keyBytes: large, valueBytes: large })
  })
})
