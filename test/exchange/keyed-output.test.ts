import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { keyGroupOf, subtaskOf } from '../../src/core/key-groups.ts'
import type { OutputChannels } from '../../src/exchange/channel.ts'
import { type EventBatchLayout, layOutEventBatch, ROWS_MAX } from '../../src/exchange/event-batch.ts'
import { KeyedOutput } from '../../src/exchange/keyed-output.ts'
import type { BatchMessage, Message } from '../../src/exchange/message.ts'
import { fillScan, newScan, type Row, readBatch, recordingChannels } from './support.ts'

const KEY_GROUPS = 128

interface Shape {
  readonly numbers: number
  readonly texts: number
  readonly origins: boolean
}

/** What a job with these columns exchanges, and everything that each receiver got. */
class Exchange {
  readonly layout: EventBatchLayout
  readonly output: KeyedOutput
  readonly got: { row: Row; receiver: number }[] = []
  readonly #shape: Shape
  readonly #scan
  readonly #channels: OutputChannels
  readonly #sent: { receiver: number; message: Message }[]

  constructor(shape: Shape, receivers: number, credits = 1) {
    this.#shape = shape
    const { numbers, texts, origins } = shape
    this.layout = layOutEventBatch(numbers, texts, origins)
    const { channels, sent } = recordingChannels(receivers, credits, this.layout.byteLength)
    this.#channels = channels
    this.#sent = sent
    this.#scan = newScan(numbers, texts)
    // Columns travel in the order of the plan, which need not be that of the schema.
    const columns = {
      numbers: Array.from({ length: numbers }, (_, i) => numbers - 1 - i),
      texts: Array.from({ length: texts }, (_, i) => numbers + texts - 1 - i),
    }
    this.output = new KeyedOutput(this.layout, columns, channels, KEY_GROUPS)
  }

  write(rows: readonly Row[]): void {
    const partitions = fillScan(this.#scan, rows)
    expect(this.#channels.ready).toBe(true)
    this.output.write(this.#scan, this.#shape.origins ? partitions : null)
  }

  /** Reads what was sent and gives its credit and its buffer back, as a receiver does. Returns the number of batches. */
  receive(): number {
    const sent = this.#sent.splice(0)
    for (const { receiver, message } of sent) {
      const { buffer, byteLength } = message as BatchMessage
      const { rows, hashes } = readBatch(this.layout, buffer)
      expect(rows.length).toBeGreaterThan(0)
      expect(rows.length).toBeLessThanOrEqual(ROWS_MAX)
      expect(byteLength).toBeLessThanOrEqual(buffer.byteLength)
      rows.forEach((row, i) => {
        expect(subtaskOf(keyGroupOf(hashes[i]!, KEY_GROUPS), KEY_GROUPS, this.#channels.receivers)).toBe(receiver)
        this.got.push({ receiver, row: { ...row, numbers: row.numbers.toReversed(), texts: row.texts.toReversed() } })
      })
      this.#channels.onCredit(receiver, buffer)
    }
    return sent.length
  }
}

const texts = fc.oneof(
  fc.constantFrom('', 'web', 'ios'),
  fc.string({ unit: 'grapheme', maxLength: 6 }),
  fc.constant('t'.repeat(1024)),
)
const keys = fc.oneof(
  fc.constantFrom('', 'a', 'b'),
  fc.string({ maxLength: 12 }),
  fc.nat(255).map((n) => `${n}`.padStart(1024, 'k')),
)

const rowsOf = ({ numbers, texts: columns, origins }: Shape): fc.Arbitrary<Row> =>
  fc.record({
    key: keys,
    timeMs: fc.integer({ min: -8.64e15, max: 8.64e15 }),
    mask: fc.oneof({ weight: 1, arbitrary: fc.constant(0) }, { weight: 4, arbitrary: fc.nat(0x7fffffff) }),
    numbers: fc.array(fc.oneof(fc.double(), fc.maxSafeInteger()), { minLength: numbers, maxLength: numbers }),
    texts: fc.array(texts, { minLength: columns, maxLength: columns }),
    ...(origins ? { partition: fc.nat(0xffffffff), offset: fc.maxSafeNat() } : {}),
  }) as fc.Arbitrary<Row>

const shapes = fc.record({ numbers: fc.nat(3), texts: fc.nat(3), origins: fc.boolean() })

/** Rows per key in order: what a key's owner must see. */
function byKey(rows: readonly Row[]): Map<string, Row[]> {
  const found = new Map<string, Row[]>()
  for (const row of rows) found.set(row.key, [...(found.get(row.key) ?? []), row])
  return found
}

describe('KeyedOutput', () => {
  it('hands every wanted row to the owner of its key, whole and in order, whatever scans and flushes', () => {
    const runs = shapes.chain((shape) =>
      fc.record({
        shape: fc.constant(shape),
        receivers: fc.integer({ min: 1, max: 4 }),
        scans: fc.array(fc.record({ rows: fc.array(rowsOf(shape), { maxLength: 60 }), flush: fc.boolean() }), {
          maxLength: 6,
        }),
      }),
    )
    fc.assert(
      fc.property(runs, ({ shape, receivers, scans }) => {
        const exchange = new Exchange(shape, receivers)
        for (const { rows, flush } of scans) {
          exchange.write(rows)
          exchange.receive()
          if (flush) {
            expect(exchange.output.flush()).toBe(true)
            exchange.receive()
            expect(exchange.output.pending).toBe(false)
          }
        }
        exchange.output.flush()
        exchange.receive()
        const wanted = scans.flatMap(({ rows }) => rows.filter((row) => row.mask !== 0))
        expect(exchange.output.rowsOut).toBe(wanted.length)
        expect(byKey(exchange.got.map(({ row }) => row))).toEqual(byKey(wanted))
      }),
      { numRuns: 150 },
    )
  })

  const shape: Shape = { numbers: 1, texts: 2, origins: true }
  const rowAt = (i: number, key: string, first: string, second: string): Row => ({
    key,
    timeMs: i,
    mask: 1,
    numbers: [i],
    texts: [first, second],
    partition: i % 7,
    offset: i,
  })

  it('takes full scans of nothing but new texts and long keys: dictionaries full, buffers larger than ordinary', () => {
    const exchange = new Exchange(shape, 2)
    const all: Row[] = []
    for (let scan = 0; scan < 3; scan++) {
      const rows = Array.from({ length: 1024 }, (_, i) =>
        rowAt(i, `${scan}-${i}`.padStart(1024, 'k'), `${scan}-${i}`.padStart(1024, 'x'), `${scan}/${i}`),
      )
      all.push(...rows)
      exchange.write(rows)
      exchange.receive()
    }
    exchange.output.flush()
    exchange.receive()
    // A bare answer: a report of how three megabytes of text differ would help nobody.
    expect(isDeepStrictEqual(byKey(exchange.got.map(({ row }) => row)), byKey(all))).toBe(true)
  })

  it('sends a batch when the next scan might not fit, and gathers small scans until then', () => {
    const exchange = new Exchange({ numbers: 0, texts: 1, origins: false }, 1)
    const rows = Array.from(
      { length: 1023 },
      (_, i): Row => ({ key: `${i % 10}`, timeMs: i, mask: 1, numbers: [], texts: [`${i % 3}`] }),
    )
    const batches = Array.from({ length: 5 }, () => {
      exchange.write(rows)
      return exchange.receive()
    })
    expect(batches).toEqual([0, 0, 1, 0, 1])
    expect(exchange.output.pending).toBe(true)
    exchange.output.flush()
    expect(exchange.receive()).toBe(1)
    expect(exchange.got.length).toBe(5 * 1023)
  })

  it('fills a batch to the last row with texts that all differ', () => {
    for (const sizes of [
      [1024, 1024, 1],
      [1024, 1023, 1],
      [1000, 1024, 24],
    ]) {
      const exchange = new Exchange({ numbers: 0, texts: 1, origins: false }, 1)
      let next = 0
      const all = sizes.flatMap((size) => {
        const rows = Array.from(
          { length: size },
          (): Row => ({ key: `${next}`, timeMs: next, mask: 1, numbers: [], texts: [`t${next++}`] }),
        )
        exchange.write(rows)
        exchange.receive()
        return rows
      })
      exchange.output.flush()
      exchange.receive()
      expect(exchange.got.map(({ row }) => row)).toEqual(all)
    }
  })

  it('sends at most one batch a receiver for a scan, so that one credit is enough', () => {
    const exchange = new Exchange(shape, 3)
    for (let scan = 0; scan < 8; scan++) {
      const long = scan % 2 === 0 ? 'x'.repeat(1000) : 'y'
      exchange.write(Array.from({ length: 1024 }, (_, i) => rowAt(i, `${scan}/${i}`, `${long}${i}`, 'z')))
      expect(exchange.receive()).toBeLessThanOrEqual(3)
    }
  })

  it('keeps rows without a credit until there is one', () => {
    const scan = newScan(0, 0)
    const layout = layOutEventBatch(0, 0, false)
    const { channels, sent } = recordingChannels(1, 1, layout.byteLength)
    const output = new KeyedOutput(layout, { numbers: [], texts: [] }, channels, KEY_GROUPS)
    const row = (timeMs: number): Row => ({ key: 'k', timeMs, mask: 1, numbers: [], texts: [] })
    fillScan(scan, [row(1)])
    output.write(scan, null)
    expect(output.flush()).toBe(true)
    const flying = (sent[0]!.message as BatchMessage).buffer
    fillScan(scan, [row(2)])
    output.write(scan, null)
    expect(output.flush()).toBe(false)
    expect(output.pending).toBe(true)
    channels.onCredit(0, flying)
    expect(output.flush()).toBe(true)
    expect(readBatch(layout, (sent[1]!.message as BatchMessage).buffer).rows).toEqual([row(2)])
  })

  it('drops rows that no predicate takes', () => {
    const exchange = new Exchange({ numbers: 0, texts: 0, origins: false }, 2)
    exchange.write(
      Array.from({ length: 100 }, (_, i) => ({ key: `${i}`, timeMs: i, mask: i % 2, numbers: [], texts: [] })),
    )
    exchange.output.flush()
    exchange.receive()
    expect(exchange.got.map(({ row }) => row.timeMs).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 50 }, (_, i) => i * 2 + 1),
    )
    expect(exchange.output.rowsOut).toBe(50)
  })
})
