/**
 * The records of one records section, walked in place.
 *
 *   length varint | attributes i8 | timestampDelta varlong | offsetDelta varint | keyLength varint | key
 *   | valueLength varint | value | headers (skipped by `length`)
 *
 * The hottest loop of the source side: nothing is allocated a record, fields are plain numbers. The bytes may be
 * hostile: every length is checked against the section and the record, so nothing outside is ever read and the walk ends
 * after at most `count` records. A section that lies is RECORD_BATCH_CORRUPT.
 */
import { recordBatchCorrupt } from './record-batch.ts'

/** A records section, decompressed: what RecordChunk of source/source.ts is, as far as its records go. */
export interface RecordSection {
  partition: number
  bytes: Uint8Array
  start: number
  end: number
  count: number
  baseOffset: number
  baseTimestampMs: number
  logAppendTime: boolean
  /** Records below this offset are passed over. */
  firstOffset: number
  /** Records from this offset on are passed over. */
  nextOffset: number
}

/** Walks records. One object is reused: `reset` it on a section, call `next` until false. */
export class RecordCursor {
  /** The section's bytes: key and value positions are into these. */
  bytes: Uint8Array = new Uint8Array(0)
  /** The key is bytes[keyStart .. keyEnd); both -1 for a null key. */
  keyStart = -1
  keyEnd = -1
  /** The value is bytes[valueStart .. valueEnd); both -1 for a null value. */
  valueStart = -1
  valueEnd = -1
  /** Where the record ends: behind a value that is there, its headers are bytes[valueEnd .. recordEnd). */
  recordEnd = 0
  /** The record's offset is the section's baseOffset + this. */
  offsetDelta = 0
  /** The record's timestamp is the section's baseTimestampMs + this (0 under log append time). A double. */
  timestampDelta = 0
  /** Sections that the cursor has been set on, this one included: tells one from another. */
  sections = 0
  /** For error messages. */
  topic: string
  #at = 0
  #end = 0
  #left = 0
  #minDelta = 0
  #maxDelta = 0
  #keepTime = true
  #partition = 0
  #baseOffset = 0
  #baseTimestampMs = 0

  constructor(topic = '') {
    this.topic = topic
  }

  /** Starts before the first record of `section` that somebody asked for. */
  reset(section: RecordSection): void {
    this.sections++
    this.bytes = section.bytes
    this.#at = section.start
    this.#end = section.end
    this.#left = section.count
    this.#minDelta = section.firstOffset - section.baseOffset
    this.#maxDelta = section.nextOffset - section.baseOffset
    this.#keepTime = !section.logAppendTime
    this.#partition = section.partition
    this.#baseOffset = section.baseOffset
    this.#baseTimestampMs = section.baseTimestampMs
  }

  /** Position of the next record in `bytes`. */
  get position(): number {
    return this.#at
  }

  /** Records that are left, those that nobody asked for included. */
  get left(): number {
    return this.#left
  }

  /** End of the section. */
  get end(): number {
    return this.#end
  }

  get minDelta(): number {
    return this.#minDelta
  }

  get maxDelta(): number {
    return this.#maxDelta
  }

  get baseOffset(): number {
    return this.#baseOffset
  }

  /** Steps over records that somebody else has read: the next one is at `position`, `left` are left. */
  skipTo(position: number, left: number, offsetDelta: number): void {
    this.#at = position
    this.#left = left
    this.offsetDelta = offsetDelta
  }

  /** Offset of the record. */
  get offset(): number {
    return this.#baseOffset + this.offsetDelta
  }

  /** Timestamp of the record, epoch ms. */
  get timestampMs(): number {
    return this.#baseTimestampMs + this.timestampDelta
  }

  /**
   * Steps to the next record from `firstOffset` on and below `nextOffset`; false after the last. Throws
   * RECORD_BATCH_CORRUPT when the section is malformed.
   */
  next(): boolean {
    const bytes = this.bytes
    const end = this.#end
    const minDelta = this.#minDelta
    const maxDelta = this.#maxDelta
    let at = this.#at
    let left = this.#left
    while (left > 0) {
      left--
      // Varints are read in line. Reading past the section gives a byte of somewhere or undefined (taken as 0): harmless,
      // for `at` only grows, and is checked against the record's end before anything read is used.
      let byte = bytes[at++]!
      let raw = byte & 0x7f
      if (byte >= 0x80) {
        byte = bytes[at++]!
        raw |= (byte & 0x7f) << 7
        if (byte >= 0x80) {
          byte = bytes[at++]!
          raw |= (byte & 0x7f) << 14
          if (byte >= 0x80) {
            byte = bytes[at++]!
            raw |= (byte & 0x7f) << 21
            if (byte >= 0x80) raw |= (bytes[at++]! & 0x0f) << 28
          }
        }
      }
      const length = (raw >>> 1) ^ -(raw & 1)
      const recordEnd = at + length
      if (length < 6 || recordEnd > end) this.#fail(`a record of ${length} bytes ${end - at} before the end`)
      at++

      byte = bytes[at++]!
      raw = byte & 0x7f
      let timestampDelta = 0
      const second = bytes[at]!
      if (byte < 0x80) {
        timestampDelta = (raw >>> 1) ^ -(raw & 1)
      } else if (second < 0x80) {
        at++
        raw |= second << 7
        timestampDelta = (raw >>> 1) ^ -(raw & 1)
      } else {
        let delta = raw
        let scale = 0x80
        for (let i = 1; ; i++) {
          if (i === 10) this.#fail('a timestamp of more than 10 bytes')
          byte = bytes[at++]!
          delta += (byte & 0x7f) * scale
          if (byte < 0x80 || at >= recordEnd) break
          scale *= 0x80
        }
        const halved = Math.floor(delta / 2)
        timestampDelta = delta === halved * 2 ? halved : -halved - 1
      }

      byte = bytes[at++]!
      raw = byte & 0x7f
      if (byte >= 0x80) {
        for (let shift = 7; ; shift += 7) {
          if (shift === 35) this.#fail('an offset of more than 5 bytes')
          byte = bytes[at++]!
          raw |= (byte & 0x7f) << shift
          if (byte < 0x80 || at >= recordEnd) break
        }
      }
      const offsetDelta = (raw >>> 1) ^ -(raw & 1)

      byte = bytes[at++]!
      raw = byte & 0x7f
      if (byte >= 0x80) {
        for (let shift = 7; ; shift += 7) {
          if (shift === 35) this.#fail('a key length of more than 5 bytes')
          byte = bytes[at++]!
          raw |= (byte & 0x7f) << shift
          if (byte < 0x80 || at >= recordEnd) break
        }
      }
      const keyLength = (raw >>> 1) ^ -(raw & 1)
      const keyStart = at
      if (keyLength > 0) at += keyLength
      if (at >= recordEnd) this.#fail(`a key of ${keyLength} bytes in a record of ${length}`)

      byte = bytes[at++]!
      raw = byte & 0x7f
      if (byte >= 0x80) {
        for (let shift = 7; ; shift += 7) {
          if (shift === 35) this.#fail('a value length of more than 5 bytes')
          byte = bytes[at++]!
          raw |= (byte & 0x7f) << shift
          if (byte < 0x80 || at >= recordEnd) break
        }
      }
      const valueLength = (raw >>> 1) ^ -(raw & 1)
      const valueStart = at
      if (valueLength > 0) at += valueLength
      // The count of headers, a byte at least, still follows.
      if (at >= recordEnd) this.#fail(`a value of ${valueLength} bytes in a record of ${length}`)
      at = recordEnd
      if (left === 0 && at !== end) this.#fail(`${end - at} bytes after its last record`)
      if (offsetDelta < minDelta || offsetDelta >= maxDelta) continue

      this.#at = at
      this.#left = left
      this.offsetDelta = offsetDelta
      this.timestampDelta = this.#keepTime ? timestampDelta : 0
      this.keyStart = keyLength < 0 ? -1 : keyStart
      this.keyEnd = keyLength < 0 ? -1 : keyStart + keyLength
      this.valueStart = valueLength < 0 ? -1 : valueStart
      this.valueEnd = valueLength < 0 ? -1 : valueStart + valueLength
      this.recordEnd = recordEnd
      return true
    }
    this.#at = at
    this.#left = 0
    return false
  }

  #fail(reason: string): never {
    this.#left = 0
    throw recordBatchCorrupt(this.topic, this.#partition, this.#baseOffset, `its records section has ${reason}`)
  }
}
