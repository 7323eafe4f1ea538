/** Requests and responses against frames captured between Millrace and Apache Kafka (captured.json). */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MillraceError } from '../../../src/core/errors.ts'
import { RecordBatchCursor } from '../../../src/event/record-batch.ts'
import { readFetch, writeFetch } from '../../../src/source/kafka/fetch-protocol.ts'
import {
  apiKeys,
  readApiVersions,
  readFindCoordinator,
  readListOffsets,
  readMetadata,
  readOffsetCommit,
  requireVersions,
  writeFindCoordinator,
  writeListOffsets,
  writeMetadata,
  writeOffsetCommit,
} from '../../../src/source/kafka/protocol.ts'
import { WireReader, WireWriter } from '../../../src/source/kafka/wire.ts'

interface Frames {
  readonly request: string
  readonly response: string
}

const captured = JSON.parse(readFileSync(join(import.meta.dirname, 'captured.json'), 'utf8')) as Record<string, Frames>
const topic = captured.topic as unknown as string
/** Bytes of a request frame before its body: length, API, version, correlation, client id `cap`; tags if flexible. */
const REQUEST_HEAD = 4 + 2 + 2 + 4 + 2 + 3

const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'))
const requestBody = (name: string, flexible = false): string =>
  captured[name]!.request.slice(2 * (REQUEST_HEAD + (flexible ? 1 : 0)))
const responseBody = (name: string): Uint8Array => bytesOf(captured[name]!.response).subarray(8)
const written = (write: (writer: WireWriter) => void): string => {
  const writer = new WireWriter(4)
  write(writer)
  return Buffer.from(writer.bytes()).toString('hex')
}

describe('requests', () => {
  it.each<[string, boolean, (writer: WireWriter) => void]>([
    ['metadata6', false, (w) => writeMetadata(w, 6, topic)],
    ['metadata10', true, (w) => writeMetadata(w, 10, topic)],
    [
      'listOffsets3',
      false,
      (w) =>
        writeListOffsets(w, topic, 'read_committed', [
          { partition: 0, timestampMs: -1 },
          { partition: 1, timestampMs: 1002 },
        ]),
    ],
    ['findCoordinator2', false, (w) => writeFindCoordinator(w, 'group', 'captured')],
    ['offsetCommit5', false, (w) => writeOffsetCommit(w, 'captured', topic, { 0: 3, 1: 0 })],
    [
      'fetch11',
      false,
      (w) =>
        writeFetch(w, topic, { maxWaitMs: 100, minBytes: 1, maxBytes: 1 << 20, isolation: 'read_committed' }, [
          { partition: 0, fetchOffset: 0, maxBytes: 65536 },
          { partition: 1, fetchOffset: 0, maxBytes: 65536 },
        ]),
    ],
  ])('%s is written as the broker took it', (name, flexible, write) => {
    expect(written(write)).toBe(requestBody(name, flexible))
  })
})

const partition = (number: number) => ({ errorCode: 0, partition: number, leader: 1 })

describe('responses', () => {
  it('tells what the broker offers', () => {
    const offered = readApiVersions(new WireReader(responseBody('apiVersions0')))
    expect(offered.get(apiKeys.fetch)).toEqual([4, 18])
    expect(offered.get(apiKeys.metadata)).toEqual([0, 13])
    expect(() => requireVersions(offered, 'b:1')).not.toThrow()
  })

  it('names every version that is missing', () => {
    const offered = new Map([
      [apiKeys.fetch, [4, 10]],
      [apiKeys.metadata, [7, 13]],
      [apiKeys.listOffsets, [0, 3]],
      [apiKeys.offsetCommit, [0, 9]],
    ] as const)
    expect(() => requireVersions(offered, 'b:1')).toThrow(
      /b:1 .*fetch 11 \(offered: 4 to 10\), metadata 6 \(offered: 7 to 13\), findCoordinator 2 \(not offered\)/,
    )
  })

  it.each([6, 10])('finds leaders and, from version 10 on, the topic id (Metadata %i)', (version) => {
    const metadata = readMetadata(new WireReader(responseBody(`metadata${version}`)), version, topic)
    expect(metadata.brokers).toEqual([{ nodeId: 1, host: '127.0.0.1', port: 29192 }])
    expect(metadata.partitions).toEqual([partition(0), partition(1)])
    expect(metadata.errorCode).toBe(0)
    expect(metadata.topicId).toBe(version === 6 ? '' : '9b0ca064-edb3-4d34-8877-a21e9cd2b063')
  })

  it('reads offsets, a coordinator and commit results', () => {
    expect(readListOffsets(new WireReader(responseBody('listOffsets3')))).toEqual([
      { partition: 0, errorCode: 0, offset: 5 },
      { partition: 1, errorCode: 0, offset: -1 },
    ])
    expect(readFindCoordinator(new WireReader(responseBody('findCoordinator2')))).toEqual({
      errorCode: 0,
      nodeId: 1,
      host: '127.0.0.1',
      port: 29192,
    })
    expect(readOffsetCommit(new WireReader(responseBody('offsetCommit5')))).toEqual([
      { partition: 0, errorCode: 0 },
      { partition: 1, errorCode: 0 },
    ])
  })

  it('locates record batches and aborted transactions', () => {
    const response = readFetch(new WireReader(responseBody('fetch11')))
    expect(response.errorCode).toBe(0)
    const [data, empty] = response.partitions
    expect(data).toMatchObject({ partition: 0, errorCode: 0, highWatermark: 5, lastStableOffset: 5, logStartOffset: 0 })
    expect(data!.aborted).toHaveLength(1)
    expect(data!.aborted![0]!.firstOffset).toBe(0)
    expect(empty).toMatchObject({ partition: 1, highWatermark: 0, aborted: [] })
    expect(empty!.end).toBe(empty!.start)
    const cursor = new RecordBatchCursor()
    cursor.reset(response.bytes, data!.start, data!.end, topic, 0)
    const batches: (readonly [number, boolean, boolean])[] = []
    while (cursor.next()) batches.push([cursor.baseOffset, cursor.transactional, cursor.control])
    // The marker at 2 bears the wall clock's time and so began a new segment, which is another fetch.
    expect(batches).toEqual([
      [0, true, false],
      [1, false, false],
    ])
  })

  const parsers: Record<string, (reader: WireReader) => unknown> = {
    apiVersions0: readApiVersions,
    metadata6: (reader) => readMetadata(reader, 6, topic),
    metadata10: (reader) => readMetadata(reader, 10, topic),
    listOffsets3: readListOffsets,
    findCoordinator2: readFindCoordinator,
    offsetCommit5: readOffsetCommit,
    fetch11: readFetch,
  }

  it('refuses every truncation with BROKER_ERROR', () => {
    for (const [name, parse] of Object.entries(parsers)) {
      const whole = responseBody(name)
      parse(new WireReader(whole))
      for (let cut = 0; cut < whole.length; cut++) {
        expect(() => parse(new WireReader(whole.subarray(0, cut))), `${name} cut at ${cut}`).toThrow(MillraceError)
      }
    }
  })

  it('ends on any bytes, with a value or a MillraceError', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.keys(parsers)),
        fc.array(fc.tuple(fc.nat(500), fc.nat(255)), { maxLength: 4 }),
        (name, edits) => {
          const bytes = responseBody(name).slice()
          for (const [at, value] of edits) bytes[at % bytes.length] = value
          try {
            parsers[name]!(new WireReader(bytes))
          } catch (error) {
            expect(error).toBeInstanceOf(MillraceError)
          }
        },
      ),
      { numRuns: 1000 },
    )
  })
})

describe('wire types', () => {
  it('round-trip', () => {
    fc.assert(
      fc.property(
        fc.maxSafeInteger(),
        fc.integer(),
        fc.nat(),
        fc.string({ unit: 'binary' }),
        fc.option(fc.string()),
        (long, int, length, text, maybe) => {
          const w = new WireWriter(1).int64(long).int32(int).unsignedVarint(length).string(text).string(maybe)
          w.compactString(text).compactString(maybe).boolean(true).int16(-2).int8(-3).noTags()
          const r = new WireReader(w.bytes().slice())
          expect([r.int64(), r.int32(), r.unsignedVarint(), r.string(), r.nullableString()]).toEqual([
            long,
            int,
            length,
            text,
            maybe,
          ])
          expect([r.compactString(), r.compactNullableString(), r.boolean(), r.int16(), r.int8()]).toEqual([
            text,
            maybe,
            true,
            -2,
            -3,
          ])
          r.skipTags()
          expect(r.remaining).toBe(0)
        },
      ),
    )
  })
})
