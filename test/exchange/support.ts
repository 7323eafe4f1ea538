/** Rows into scan batches, and event batches back into rows. */
import { hashBytes } from '../../src/core/hash.ts'
import { keyRoom, ScanBatch } from '../../src/event/scan.ts'
import { OutputChannels } from '../../src/exchange/channel.ts'
import { EventBatch, type EventBatchLayout } from '../../src/exchange/event-batch.ts'
import type { BatchBuffer, Message } from '../../src/exchange/message.ts'

/** One event as a test writes it. */
export interface Row {
  readonly key: string
  readonly timeMs: number
  readonly mask: number
  readonly numbers: readonly number[]
  readonly texts: readonly string[]
  readonly partition?: number
  readonly offset?: number
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** A scan whose columns are so many numbers, then so many texts. */
export function newScan(numbers: number, texts: number): ScanBatch {
  const column = (encoding: 'number' | 'text') => () => ({ encoding })
  return new ScanBatch([
    ...Array.from({ length: numbers }, column('number')),
    ...Array.from({ length: texts }, column('text')),
  ])
}

/** Replaces the content of a scan by these rows, at most 1024. Returns the partition of each. */
export function fillScan(scan: ScanBatch, rows: readonly Row[]): Uint32Array {
  scan.reset()
  const partitions = new Uint32Array(scan.capacity)
  let used = 0
  for (const { key, timeMs, mask, numbers, texts, partition, offset } of rows) {
    const row = scan.rows++
    const bytes = encoder.encode(key)
    const room = keyRoom(bytes.length)
    scan.growKeys(used, room)
    scan.keyBytes.fill(0, used, used + room)
    scan.keyBytes.set(bytes, used)
    scan.keyStart[row] = used
    scan.keyEnd[row] = used + bytes.length
    used += room
    scan.keyHash[row] = hashBytes(bytes, 0, bytes.length)
    scan.timeMs[row] = timeMs
    scan.mask[row] = mask
    scan.offset[row] = offset ?? 0
    partitions[row] = partition ?? 0
    numbers.forEach((value, i) => {
      scan.numbers[i]![row] = value
    })
    texts.forEach((text, i) => {
      const entry = encoder.encode(text)
      const column = numbers.length + i
      scan.texts[column]![row] = scan.dictionaries[column]!.intern(entry, 0, entry.length)
    })
  }
  return partitions
}

/** The rows of a batch, and the hash of each key. */
export function readBatch(layout: EventBatchLayout, buffer: BatchBuffer): { rows: Row[]; hashes: number[] } {
  const batch = new EventBatch(layout, buffer)
  const rows: Row[] = []
  const hashes: number[] = []
  for (let row = 0; row < batch.rows; row++) {
    const start = batch.keyStart[row]!
    hashes.push(batch.hash[row]!)
    rows.push({
      key: decoder.decode(batch.bytes.subarray(start, start + batch.keyLength[row]!)),
      timeMs: batch.timeMs[row]!,
      mask: batch.mask[row]!,
      numbers: batch.numbers.map((column) => column[row]!),
      texts: batch.texts.map((column, i) => {
        const id = column[row]!
        const from = batch.entryStart[i]![id]!
        return decoder.decode(batch.bytes.subarray(from, from + batch.entryLength[i]![id]!))
      }),
      ...(batch.offset === null ? {} : { offset: batch.offset[row]! }),
      ...(batch.partition === null ? {} : { partition: batch.partition[row]! }),
    })
  }
  return { rows, hashes }
}

/** Channels that keep what they are given, in order, and give credits back only when asked. */
export function recordingChannels(receivers: number, credits: number, bufferBytes: number) {
  const sent: { receiver: number; message: Message }[] = []
  const channels = new OutputChannels(receivers, credits, bufferBytes, (receiver, message) =>
    sent.push({ receiver, message }),
  )
  return { channels, sent }
}
