/** Weights of events, read with a kernel and without one; what is no weight is told, record by record. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openKernel } from '../../src/event/kernel.ts'
import { Projection } from '../../src/event/projection.ts'
import { RecordCursor } from '../../src/event/records.ts'
import { ScanBatch } from '../../src/event/scan.ts'
import type { EventSchema } from '../../src/event/schema.ts'
import { EventWeights } from '../../src/event/weights.ts'
import { LATEST_MS, sectionOf } from './kernel-support.ts'
import { All, field } from './projection-support.ts'

function schemaOf(path: string): EventSchema {
  return {
    message: 't.All',
    time: field('at'),
    timeUnitMs: 1,
    key: field('key'),
    columns: [
      { field: field('text'), encoding: 'text' },
      { field: field(path), encoding: 'number', nullable: true },
    ],
  }
}

interface Read {
  /** Key, weight and text of each row, over all batches. */
  readonly rows: [string, number, string][]
  /** Offsets of records that are no events. */
  readonly bad: number[]
  byKernel: number
}

/** Reads values as a source does. */
function read(path: string, values: readonly Uint8Array[], withKernel: boolean): Read {
  const schema = schemaOf(path)
  const kernel = withKernel ? openKernel(schema) : null
  const projection = new Projection(schema)
  const scan = new ScanBatch(schema.columns, kernel?.place)
  const weights = new EventWeights(scan.numbers[1]!, schema.columns[1]!)
  const cursor = new RecordCursor('events')
  const found: Read = { rows: [], bad: [], byKernel: 0 }
  const flush = (): void => {
    for (let row = 0; row < scan.rows; row++) {
      const weight = scan.numbers[1]![row]! < 0 ? -1 : 1
      found.rows.push([scan.keyText(row), weight, scan.dictionaries[0]!.text(scan.texts[0]![row]!)])
    }
    scan.reset()
  }
  cursor.reset(sectionOf(values))
  for (;;) {
    if (scan.rows === scan.capacity) flush()
    if (kernel !== null) {
      found.byKernel += weights.run(kernel, cursor, scan, LATEST_MS)
      if (scan.rows === scan.capacity) continue
    }
    if (!cursor.next()) break
    const row = scan.rows
    if (projection.decode(cursor.bytes, cursor.valueStart, cursor.valueEnd, scan) !== 0) found.bad.push(cursor.offset)
    else if (scan.timeMs[row]! > LATEST_MS) {
      scan.undoLast()
      found.bad.push(cursor.offset)
    } else if (!weights.holds(row)) {
      scan.undoLast()
      found.bad.push(cursor.offset)
    }
  }
  flush()
  return found
}

const encode = (fields: Record<string, unknown>) => All.encode(All.fromObject(fields)).finish()
const event = fc.record({
  weight: fc.oneof(
    { weight: 20, arbitrary: fc.constantFrom(1, -1, undefined) },
    { weight: 1, arbitrary: fc.constantFrom(0, 2, -2, 11, -11, 1000) },
  ),
  text: fc.constantFrom('', 'a', 'b'),
  at: fc.constantFrom(1, 1, 1, 1, LATEST_MS + 1),
})

describe('weights of events', () => {
  it('are 1 and -1, absent is 1, and what is neither is told record by record, by a kernel or not', () => {
    const seen = { byKernel: 0, bad: 0 }
    fc.assert(
      fc.property(fc.array(event, { minLength: 1, maxLength: 3000, size: 'max' }), (events) => {
        const values = events.map(({ weight, text, at }, i) =>
          encode({ key: `k${i}`, at, text, ...(weight === undefined ? {} : { i32: weight }) }),
        )
        const good = (i: number) => events[i]!.at <= LATEST_MS && [1, -1, 0, undefined].includes(events[i]!.weight)
        const rows = events.flatMap(({ weight, text }, i) => (good(i) ? [[`k${i}`, weight === -1 ? -1 : 1, text]] : []))
        const bad = events.flatMap((_, i) => (good(i) ? [] : [i]))
        const alone = read('i32', values, false)
        const fast = read('i32', values, true)
        expect([alone.rows, alone.bad]).toEqual([rows, bad])
        expect([fast.rows, fast.bad]).toEqual([rows, bad])
        seen.byKernel += fast.byKernel
        seen.bad += bad.length
      }),
      { numRuns: 30 },
    )
    expect(seen.byKernel).toBeGreaterThan(0)
    expect(seen.bad).toBeGreaterThan(0)
  })

  it('fit into a batch, however many different texts there are beside one that is none', () => {
    const values = Array.from({ length: 3000 }, (_, i) =>
      encode({ key: `k${i}`, at: 1, text: `t${i}`, i32: i % 700 === 5 ? 7 : 1 }),
    )
    const { rows, bad } = read('i32', values, true)
    expect(bad).toEqual([5, 705, 1405, 2105, 2805])
    const texts = values.flatMap((_, i) => (bad.includes(i) ? [] : [`t${i}`]))
    expect(rows.map(([, , text]) => text)).toEqual(texts)
  })

  it('of fields with presence are none where they are 0; of plain ones 0 is absent, at any depth', () => {
    const weightsOf = (path: string, all: readonly Record<string, unknown>[]) => {
      const values = all.map((fields, i) => encode({ key: `k${i}`, at: 1, ...fields }))
      const [found, byKernel] = [read(path, values, false), read(path, values, true)]
      expect([byKernel.rows, byKernel.bad]).toEqual([found.rows, found.bad])
      return [found.rows.map(([, weight]) => weight), found.bad]
    }
    expect(weightsOf('maybe', [{ maybe: 0 }, {}, { maybe: -1 }, { maybe: 1 }])).toEqual([[1, -1, 1], [0]])
    const deep = [{ text: 'x' }, { count: -1 }, { count: 1 }, { count: 2 }].map((of) => ({ deep: of }))
    expect(weightsOf('deep.count', [{}, ...deep])).toEqual([[1, 1, -1, 1], [4]])
  })
})
