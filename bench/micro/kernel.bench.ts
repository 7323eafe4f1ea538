/**
 * What reading records into rows costs, by a kernel and by the decoder alone: nanoseconds an event, and their ratio.
 *
 *   node bench/micro/kernel.bench.ts [seconds]
 *
 * Sections of 2,000 records of the benches, which are in no near cache; the copy into the kernel's memory is in it, the CRC
 * is not. Rounds alternate, the best one counts. `same` says that both made the same rows, `unusual` how many records the
 * kernel left to the decoder.
 */
import { systemClock } from '../../src/core/system.ts'
import { openKernel } from '../../src/event/kernel.ts'
import { Projection } from '../../src/event/projection.ts'
import { RecordBatchCursor } from '../../src/event/record-batch.ts'
import { RecordBatchWriter } from '../../src/event/record-batch-writer.ts'
import { RecordCursor, type RecordSection } from '../../src/event/records.ts'
import { ScanBatch } from '../../src/event/scan.ts'
import type { EventSchema, FieldRef, FieldType } from '../../src/event/schema.ts'
import { benchStream, drawEvent, encodeEvent, encodeKey, MAX_EVENT_BYTES, newEventDraw } from '../events.ts'

const seconds = Number(process.argv[2] ?? 2)
const BATCH = 2000
const BATCHES = 20

const field = (path: string, type: FieldType, number: number): FieldRef => ({
  path,
  type,
  steps: [{ kind: 'field', number }],
})
const base = {
  message: 'millrace.v1.Event',
  time: field('occurred_at', 'timestamp', 7),
  timeUnitMs: 1,
  key: field('person', 'string', 2),
}
const schemas: Record<string, EventSchema> = {
  distinct: { ...base, columns: [{ field: field('screen', 'string', 11), encoding: 'text' }] },
  tumbling: { ...base, columns: [{ field: field('revenue_minor', 'int64', 12), encoding: 'number' }] },
}

const writer = new RecordBatchWriter()
const draw = newEventDraw()
const sections: RecordSection[] = []
for (let b = 0; b < BATCHES; b++) {
  for (let i = 0; i < BATCH; i++) {
    const k = b * BATCH + i
    drawEvent(benchStream, k, draw)
    const value = new Uint8Array(MAX_EVENT_BYTES)
    const key = new Uint8Array(64)
    writer.append(
      key.subarray(0, encodeKey(draw, key, 0)),
      value.subarray(0, encodeEvent(benchStream, k, draw, value, 0)),
      draw.occurredAtMs,
    )
  }
  const bytes = writer.finish(b * BATCH).slice()
  const cursor = new RecordBatchCursor()
  cursor.reset(bytes, 0, bytes.length, 't', 0)
  if (!cursor.next()) throw new Error('no batch')
  sections.push({
    partition: 0,
    bytes,
    start: cursor.recordsStart,
    end: cursor.recordsEnd,
    count: cursor.count,
    baseOffset: cursor.baseOffset,
    baseTimestampMs: cursor.baseTimestampMs,
    logAppendTime: false,
    firstOffset: 0,
    nextOffset: Number.MAX_SAFE_INTEGER,
  })
}

for (const [name, schema] of Object.entries(schemas)) {
  const projection = new Projection(schema)
  const own = new ScanBatch(schema.columns)
  const kernel = openKernel(schema)!
  const placed = new ScanBatch(schema.columns, kernel.place)
  const cursor = new RecordCursor('t')
  let unusual = 0
  const decoder = (batch: ScanBatch, section: RecordSection): void => {
    cursor.reset(section)
    while (cursor.next()) {
      if (batch.rows === batch.capacity) batch.reset()
      projection.decode(cursor.bytes, cursor.valueStart, cursor.valueEnd, batch)
      batch.offset[batch.rows - 1] = section.baseOffset + cursor.offsetDelta
    }
  }
  const byKernel = (batch: ScanBatch, section: RecordSection): void => {
    cursor.reset(section)
    for (;;) {
      if (batch.rows === batch.capacity) batch.reset()
      kernel.run(cursor, batch, 8e15)
      if (batch.rows === batch.capacity && cursor.left > 0) continue
      if (!cursor.next()) break
      unusual++
      projection.decode(cursor.bytes, cursor.valueStart, cursor.valueEnd, batch)
      batch.offset[batch.rows - 1] = section.baseOffset + cursor.offsetDelta
    }
  }
  const times: number[][] = [[], []]
  const deadline = systemClock.monotonicMs() + seconds * 1000
  for (let round = 0; round < 5 || systemClock.monotonicMs() < deadline; round++) {
    for (const [i, run] of [
      () => {
        for (const section of sections) decoder(own, section)
      },
      () => {
        for (const section of sections) byKernel(placed, section)
      },
    ].entries()) {
      const began = process.hrtime.bigint()
      run()
      times[i]!.push(Number(process.hrtime.bigint() - began) / (BATCH * BATCHES))
    }
  }
  // The last batches must be the same.
  let same = own.rows === placed.rows
  for (let row = 0; row < own.rows; row++) {
    same &&= own.timeMs[row] === placed.timeMs[row] && own.keyText(row) === placed.keyText(row)
    same &&= own.keyHash[row] === placed.keyHash[row] && own.offset[row] === placed.offset[row]
    same &&= own.keyStart[row] === placed.keyStart[row] && own.keyEnd[row] === placed.keyEnd[row]
    same &&= own.numbers[0]![row] === placed.numbers[0]![row] && own.texts[0]![row] === placed.texts[0]![row]
  }
  const [a, b] = times.map((each) => each.sort((x, y) => x - y)[0]!)
  console.log(
    `${name} decoder_ns=${a!.toFixed(1)} kernel_ns=${b!.toFixed(1)} ratio=${(b! / a!).toFixed(2)} unusual=${unusual} rows=${own.rows} same=${same}`,
  )
}
