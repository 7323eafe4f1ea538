import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { MillraceError } from '../../src/core/errors.ts'
import { type ParsedJob, parseJob, parseJobMessage } from '../../src/job/parse.ts'
import { DOCUMENT_LENGTH_MAX } from '../../src/job/parse-yaml.ts'
import { planJob } from '../../src/job/planner.ts'
import { builtInDescriptors } from '../support/descriptors.ts'
import { damagedText, fuzz, fuzzRuns, fuzzTimeoutMs, withstand } from './hostile.ts'

const descriptors = builtInDescriptors()
const engagement = readFileSync(new URL('../../jobs/engagement.yaml', import.meta.url), 'utf8')
const rich = `apiVersion: millrace.dev/v1
kind: Job
metadata: { name: rich }
sources: [{ id: events, kafka: { topic: events, start: { timestamp: 2024-03-01T00:00:00Z } } }]
event: { message: millrace.v1.Event, time: occurred_at, key: person, maxFuture: 5m }
watermark: { outOfOrderness: 5s, idleness: 30s, maxDrift: 1m }
checkpoint: { every: 1s, retain: 3, timeout: 10m }
stateLimit: 64Mi
metrics:
  - { id: a, count: {}, where: "name == 'x' && revenue_minor > 3", window: { tumbling: 1m, offset: 3s }, by: [platform] }
  - { id: b, avg: { field: revenue_minor }, window: { sliding: 1h, slide: 5m }, allowedLateness: 1h }
  - { id: c, distinct: { field: screen }, window: { cumulate: 1d, step: 1h, timezone: Europe/Berlin } }
  - { id: d, sum: { field: properties.price }, window: { session: 30m }, by: [person] }
  - { id: e, count: {}, window: { global: {} }, trigger: { count: 10, purge: true }, by: [person], early: 5s }
sinks: [{ id: out, kafka: { topic: metrics } }, { id: none, discard: {} }]
deadLetters: { log: { path: x, topic: dead } }
late: { kafka: { topic: late } }
`
const hostile = [
  '\n',
  '  ',
  ': ',
  '- ',
  '{',
  '[',
  '}',
  ']',
  '"',
  "'",
  '&a [*a, *a]',
  '*a',
  '<<: *a',
  '!!js/function',
  '!!binary',
  '!!set',
  '---\n',
  '...\n',
  '? ',
  '|\n',
  '>-\n',
  '#',
  '%YAML 1.1\n',
  '\u0000',
  '\ufeff',
  '\u2028',
  '__proto__: { x: 1 }',
  'constructor',
  '1e999',
  '-1',
  '.nan',
  '.inf',
  '0x7fffffffffffffff',
  '99999999999999999999d',
  'null',
  'true',
  '2024-02-30',
  'Etc/Nowhere',
  'a'.repeat(2000),
  '['.repeat(500),
  '{a: '.repeat(200),
  '('.repeat(400),
]

/** What came of a document: a job that can be planned, or mistakes that say where. */
function judge(read: () => ParsedJob): void {
  const result = withstand(read)
  if (result instanceof MillraceError) {
    expect(['JOB_INVALID', 'EXPRESSION_INVALID']).toContain(result.code)
    expect(result.violations.length).toBeGreaterThan(0)
    for (const { message } of result.violations) expect(message).not.toBe('')
    return
  }
  const planned = withstand(() => planJob(result.definition, { threads: 2, descriptors }))
  // What the validator has let through can be planned.
  expect(planned).not.toBeInstanceOf(MillraceError)
}

/** A document with some of its values and keys replaced. */
const damagedDocuments = fc
  .record({
    text: fc.constantFrom(engagement, rich),
    edits: fc.array(
      fc.record({
        path: fc.array(fc.nat(7), { maxLength: 6 }),
        key: fc.oneof(
          fc.constant(null),
          fc.constantFrom('__proto__', 'toString', 'id', 'window', 'kafka', '', 'tumbling'),
        ),
        value: fc.oneof(
          fc.jsonValue({ maxDepth: 4 }),
          fc.constantFrom<unknown>(null, [], {}, -1, 0, 1e300, Number.MAX_SAFE_INTEGER, '1d', '-5m', 'name', 'person'),
          fc.string({ unit: 'binary', maxLength: 20 }),
        ),
      }),
      { minLength: 1, maxLength: 4 },
    ),
  })
  .map(({ text, edits }) => {
    const document: unknown = parse(text)
    for (const { path, key, value } of edits) {
      let node = document
      for (const step of path) {
        const inner = Object.values(node as object)
        const next: unknown = inner[step % Math.max(1, inner.length)]
        if (typeof next !== 'object' || next === null) break
        node = next
      }
      const keys = Object.keys(node as object)
      const name = key ?? keys[keys.length >> 1] ?? 'x'
      Object.defineProperty(node, name, { value, enumerable: true, configurable: true, writable: true })
    }
    return document
  })

describe('hostile job definitions', () => {
  it('as damaged texts', { timeout: fuzzTimeoutMs }, async () => {
    await fuzz(
      'job definitions, as damaged texts',
      fuzzRuns / 2,
      fc.property(damagedText([engagement, rich], hostile), (text) => judge(() => parseJob(text, descriptors))),
    )
  })

  it('as messages with other values and keys', { timeout: fuzzTimeoutMs }, async () => {
    await fuzz(
      'job definitions, as messages with other values and keys',
      fuzzRuns / 2,
      fc.property(damagedDocuments, (document) => judge(() => parseJobMessage(document, descriptors))),
    )
  })

  it.each([
    [
      'aliases that multiply',
      `a: &a [x,x,x,x,x,x,x,x]\n${'bcdefghij'
        .split('')
        .map((c, i) => `${c}: &${c} [${Array(8).fill(`*${'abcdefghi'[i]}`).join(',')}]`)
        .join('\n')}`,
    ],
    ['brackets', '['.repeat(DOCUMENT_LENGTH_MAX)],
    ['a deep mapping', Array.from({ length: 500 }, (_, i) => `${' '.repeat(i)}a:`).join('\n')],
    ['very many metrics', `metrics: [${'{},'.repeat(DOCUMENT_LENGTH_MAX / 3 - 10)}]`],
    ['very many keys', Array.from({ length: 12_000 }, (_, i) => `k${i}: 1`).join('\n')],
    ['a document beyond the limit', ' '.repeat(1e8)],
  ])('%s', (_, text) => {
    expect(withstand(() => parseJob(text, descriptors))).toBeInstanceOf(MillraceError)
  })
})
