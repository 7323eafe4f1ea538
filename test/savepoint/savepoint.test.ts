import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { noPages, PageListBuilder, type SubtaskSnapshot } from '../../src/checkpoint/snapshot.ts'
import { crc32c } from '../../src/event/crc32c.ts'
import { SavepointFile, SavepointManifest } from '../../src/gen/millrace/v1/savepoint.ts'
import { defaultSavepointName, isSavepointName, parseSavepointRef } from '../../src/savepoint/names.ts'
import { plainValue } from '../../src/savepoint/plain-value.ts'
import { decodeSavepoint, encodeSavepoint, type Savepoint } from '../../src/savepoint/savepoint.ts'
import { header } from '../checkpoint/snapshots.ts'

const tables = { a: { slices: [] }, 'b|c': { slices: [] } }
const builder = new PageListBuilder()
builder.add('a/0:1/rows', -1, 0, 3, { chunk: 'blob-000000', offset: 0, length: 8, crc: 1 })
builder.add('b|c/0:1/rows', -1, 0, 4, { chunk: 'blob-000001', offset: 0, length: 8, crc: 2 })

function snapshot(changes: Partial<SubtaskSnapshot>): SubtaskSnapshot {
  return {
    ...{ operatorId: 'window', subtask: 0, parallelism: 1, watermarkMs: 7, counters: { applied: 2 }, splits: [] },
    ...{ meta: new TextEncoder().encode(JSON.stringify({ version: 2, tables })), written: [] },
    pages: builder.build(() => 8),
    outbox: [],
    ...changes,
  }
}

const split = { partition: 0, offset: 9, stopOffset: Infinity, topicId: 't', state: '', maxTimestampMs: 3 }
const example: Savepoint = {
  ...{ name: 'n', createdAtMs: 5, submittedAtMs: 4, reason: 'stop', instanceId: 'a', program: true },
  ...{ definitionText: 'text', definitionJson: '{"a":1}', descriptorSet: new Uint8Array([9]), parallelism: 2 },
  drained: true,
  operators: [{ id: 'window', kind: 'window', parallelism: 1, slots: ['seen:value'] }],
  tables: [],
  blobs: [0, 1].map((i) => ({ name: `blob-00000${i}`, sizeBytes: 8, crc: i })),
  checkpoint: {
    ...header,
    counters: { applied: 2 },
    subtasks: [
      snapshot({ operatorId: 'events', splits: [split], pages: noPages, meta: new Uint8Array(0) }),
      snapshot({}),
    ],
  },
}

describe('the stored form', () => {
  it('says all again', () => {
    expect(decodeSavepoint(encodeSavepoint(example), 's')).toEqual(example)
  })

  it('is refused when any bit is flipped or any byte cut off', () => {
    const bytes = encodeSavepoint(example)
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(7), fc.boolean(), (at, bit, cut) => {
        const broken = cut ? bytes.slice(0, at) : bytes.slice()
        if (!cut) broken[at]! ^= 1 << bit
        try {
          // A flip in the envelope may be one that means nothing; it never makes another savepoint.
          expect(decodeSavepoint(broken, 's')).toEqual(example)
        } catch (thrown) {
          expect((thrown as { code?: string }).code).toMatch(/^(SAVEPOINT_CORRUPT|STATE_INCOMPATIBLE)$/)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('of a newer build is refused with what to do', () => {
    const file = SavepointFile.decode(encodeSavepoint(example))
    const newer = SavepointFile.encode({ ...file, formatVersion: 2 }).finish()
    expect(() => decodeSavepoint(newer, 'it')).toThrow('it has format 2, this build reads up to 1: use a newer one')
  })

  it.each([
    [
      'a blob that is no file of it',
      { blobs: [{ name: '../../etc/passwd', sizeBytes: 1, crc32c: 0 }] },
      /cannot name a blob/,
    ],
    ['state in a blob that it lacks', { blobs: [] }, /refers to blob-000000, which it does not have/],
    ['no checkpoint', { checkpoint: undefined }, /holds no checkpoint/],
    ['no kind of job', { jobKind: 0 }, /does not say what kind of job/],
    ['a reason that is none', { reason: 'why not' }, /its reason is "why not"/],
  ])('is refused with %s, although its checksum is right', (_, change, why) => {
    const manifest = SavepointManifest.decode(SavepointFile.decode(encodeSavepoint(example)).manifest)
    const body = SavepointManifest.encode({ ...manifest, ...(change as Partial<SavepointManifest>) }).finish()
    const file = { formatVersion: 1, manifestCrc32c: crc32c(body), manifest: Buffer.from(body) }
    expect(() => decodeSavepoint(SavepointFile.encode(file).finish(), 's')).toThrow(why)
  })
})

describe('names', () => {
  it('say which savepoint is meant', () => {
    expect(parseSavepointRef('x', 'shop', '/s')).toEqual({ job: 'shop', name: 'x' })
    expect(parseSavepointRef('other/x', 'shop', '/s')).toEqual({ job: 'other', name: 'x' })
    expect(parseSavepointRef('/s/other/x/', 'shop', '/s')).toEqual({ job: 'other', name: 'x' })
  })

  it('lead nowhere else, whatever they are', () => {
    for (const text of [
      '',
      '/',
      '..',
      '../x',
      'a/../b',
      '/etc/passwd',
      '/s/../x',
      'a/b/c',
      '.x',
      'a/.x',
      'a\\b/../c',
    ]) {
      expect(() => parseSavepointRef(text, 'shop', '/s'), text).toThrow(/does not name a savepoint/)
    }
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        if (isSavepointName(text)) expect(text).toMatch(/^[^/\\\0.][^/\\\0]*$/)
      }),
    )
  })

  it('of the server’s choice are names', () => {
    const name = defaultSavepointName(Date.UTC(2026, 0, 2, 3, 4, 5), 17)
    expect(name).toBe('2026-01-02-030405-17')
    expect(isSavepointName(name)).toBe(true)
  })
})

it('values of state are shown as JSON can say them, and cut where they are long', () => {
  const deep = { a: { b: { c: { d: { e: { f: { g: 1 } } } } } } }
  expect(
    JSON.parse(
      JSON.stringify([
        plainValue(12n),
        plainValue(new Map([['k', new Set([1])]])),
        plainValue(new Date(0)),
        plainValue(new Uint8Array(3)),
        plainValue(Number.NaN),
        plainValue(undefined),
        plainValue('x'.repeat(300)),
        plainValue(Array.from({ length: 25 }, (_, i) => i)),
        plainValue(deep),
      ]),
    ),
  ).toEqual([
    '12n',
    [['k', [1]]],
    '1970-01-01T00:00:00.000Z',
    { bytes: 3 },
    'NaN',
    null,
    `${'x'.repeat(200)}…`,
    [...Array.from({ length: 20 }, (_, i) => i), '… 5 more'],
    { a: { b: { c: { d: { e: { f: '…' } } } } } },
  ])
})
