/**
 * How fast record batches are read on one thread: `node bench/micro/records.bench.ts`.
 *
 * Batches of 1000 records of about 120 bytes, decompressed, CRC checked or not, every record visited. Not measured: I/O,
 * projection.
 */
import { SeededRandom } from '../../src/core/clock.ts'
import { codecNames, Decompressor } from '../../src/event/compression.ts'
import { crc32c } from '../../src/event/crc32c.ts'
import { RecordBatchCursor } from '../../src/event/record-batch.ts'
import { RecordBatchWriter } from '../../src/event/record-batch-writer.ts'
import { RecordCursor } from '../../src/event/records.ts'
import { shopEventEncoder } from '../../src/source/generator-events.ts'
import { fillChunk, newRecordChunk } from '../../src/source/record-chunk.ts'

const RECORDS = 40_000
const SECONDS = 1

/** Calls `run` for a while and returns how often a second it ran. */
function rate(run: () => void): number {
  for (let i = 0; i < 10; i++) run()
  const began = performance.now()
  let runs = 0
  while (performance.now() - began < SECONDS * 1000) {
    run()
    runs++
  }
  return (runs * 1000) / (performance.now() - began)
}

const random = new SeededRandom(1)
const encode = shopEventEncoder(100_000)
const values = Array.from({ length: RECORDS }, (_, index) => {
  const into = new Uint8Array(400)
  const timeMs = 1_700_000_000_000 + index
  return into.slice(0, encode({ index, occurredAtMs: timeMs, sentAtMs: timeMs }, random, into, 0))
})

for (const size of [16_384, 1_048_576]) {
  const bytes = new Uint8Array(size).map(() => random.nextUint32())
  console.log(`crc32c ${size} bytes: ${((rate(() => crc32c(bytes)) * size) / 1e9).toFixed(2)} GB/s`)
}

for (const codec of codecNames) {
  const writer = new RecordBatchWriter()
  const parts: Uint8Array[] = []
  for (const [i, value] of values.entries()) {
    writer.append(null, value, 1_700_000_000_000 + i)
    if (writer.count === 1000) parts.push(writer.finish(i - 999, { codec }).slice())
  }
  const bytes = new Uint8Array(Buffer.concat(parts))
  for (const checkCrc of [true, false]) {
    const batch = new RecordBatchCursor({ checkCrc })
    const records = new RecordCursor('bench')
    const decompressor = new Decompressor()
    const chunk = newRecordChunk()
    let sum = 0
    const perSecond = rate(() => {
      batch.reset(bytes, 0, bytes.length, 'bench', 0)
      while (batch.next()) {
        fillChunk(chunk, batch, batch.baseOffset, Number.POSITIVE_INFINITY, decompressor)
        records.reset(chunk)
        while (records.next()) sum += records.valueEnd - records.valueStart
      }
    })
    const size = (bytes.length / RECORDS).toFixed(0)
    const millions = ((perSecond * RECORDS) / 1e6).toFixed(1)
    console.log(`records ${codec} crc=${checkCrc}: ${millions} M/s, ${size} bytes each${sum < 0 ? '!' : ''}`)
  }
}
