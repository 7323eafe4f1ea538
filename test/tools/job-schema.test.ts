import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { minimalJob, readModel } from '../../tools/job-schema/model.ts'
import { mistakesOf, withValue } from '../../tools/job-schema/probe.ts'
import { jobSchema } from '../../tools/job-schema/schema.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const model = readModel()
const schema = jobSchema(model)
const validate = new Ajv2020({ allErrors: true, allowUnionTypes: true }).compile(schema)

/** What the schema says is wrong with a document; empty when nothing is. */
function judged(document: unknown): string[] {
  validate(document)
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`)
}

const jobs = readdirSync(join(root, 'jobs'))
  .filter((name) => /\.ya?ml$/.test(name))
  .map((name) => [name, parse(readFileSync(join(root, 'jobs', name), 'utf8')) as unknown] as const)

describe('the JSON Schema of job definitions', () => {
  it.each(jobs)('accepts %s', (_, document) => {
    expect(judged(document)).toEqual([])
  })

  it.each<[string, (string | number)[], unknown]>([
    ['an unknown key', ['metrix'], []],
    ['an unknown key below', ['metrics', 0, 'window', 'tumblin'], '1m'],
    ['a key of another kind of window', ['metrics', 0, 'window', 'slide'], '1s'],
    ['two kinds of metric', ['metrics', 0, 'sum'], { field: 'revenue_minor' }],
    ['no kind of metric', ['metrics', 0, 'count'], undefined],
    ['no name', ['metadata'], {}],
    ['another version', ['apiVersion'], 'millrace.dev/v2'],
    ['a number without a unit', ['watermark'], { outOfOrderness: 5 }],
    ['a negative duration', ['watermark'], { idleness: '-5s' }],
    ['a window of no length', ['metrics', 0, 'window', 'tumbling'], '0'],
    ['no size', ['stateLimit'], 'large'],
    ['too small a size', ['stateLimit'], 12],
    ['too large a number', ['parallelism'], 1025],
    ['a fraction', ['parallelism'], 1.5],
    ['no choice', ['event'], { timeUnit: 'minutes' }],
    ['a text for a flag', ['sources', 0, 'log', 'bounded'], 'yes'],
    ['a text for a list', ['metrics', 0, 'by'], 'platform'],
    ['two kinds of source', ['sources', 0, 'kafka'], { topic: 'events' }],
    ['no source', ['sources'], undefined],
    ['an unknown start', ['sources', 0, 'log', 'start'], 'newest'],
    ['a partition that is no number', ['sources', 0, 'log', 'start'], { offsets: { partitions: { first: 1 } } }],
    ['a discarded dead letter', ['deadLetters'], { discard: {} }],
    ['an unknown kind of column', ['sample'], { file: 'a.csv', columns: { person: { row: true, column: 'a' } } }],
  ])('refuses %s, as the parser does', (_, path, value) => {
    const document = withValue(minimalJob, path, value)
    expect(mistakesOf(document)).not.toEqual([])
    expect(judged(document)).not.toEqual([])
  })

  it.each<[string, (string | number)[], unknown]>([
    ['nothing more than is needed', ['sinks'], undefined],
    ['short forms', ['sources', 0, 'log', 'start'], 'latest'],
    [
      'long forms',
      ['sources', 0, 'log', 'start'],
      { offsets: { partitions: { '0': '12', '1': 7 }, otherwise: 'latest' } },
    ],
    ['times', ['sources', 0, 'log', 'start'], { timestamp: '2024-03-01T00:00:00Z' }],
    ['sections without anything', ['watermark'], null],
    ['zero without a unit', ['watermark'], { idleness: 0 }],
    ['a number as text', ['checkpoint'], { retain: '5' }],
    ['compound durations', ['metrics', 0, 'window'], { tumbling: '1h30m', offset: '-15m' }],
    ['fractions', ['metrics', 0, 'retain'], '1.5d'],
    ['a kind without anything', ['metrics', 0, 'count'], null],
    ['sizes', ['stateLimit'], '1.5Gi'],
    [
      'columns',
      ['sample'],
      {
        file: 'a.csv',
        columns: { person: 'user', event_id: { row: true } },
        names: { a: { name: 'b', properties: { n: 1, t: 'x', f: true } } },
      },
    ],
    ['the generator', ['sources'], [{ generator: null }]],
  ])('accepts %s, as the parser does', (_, path, value) => {
    const document = withValue(minimalJob, path, value)
    expect(mistakesOf(document)).toEqual([])
    expect(judged(document)).toEqual([])
  })

  it('never refuses what the parser accepts, whatever is done to a job', () => {
    const places = [...jobs.map(([, document]) => document), minimalJob].flatMap((document) =>
      pathsOf(document).map((path) => ({ document, path })),
    )
    // An empty text is how ProtoJSON may write an absent key; nobody means it in an editor, so the schema refuses some.
    const odd = fc.oneof(
      fc.constantFrom<unknown>(
        undefined,
        null,
        [],
        {},
        '5s',
        '0',
        0,
        1,
        -1,
        1.5,
        '12',
        '-3',
        true,
        '1Gi',
        'json',
        'latest',
      ),
      fc.constantFrom<unknown>(
        '2024-01-01T00:00:00Z',
        { earliest: {} },
        { row: true },
        'platform',
        'Europe/Berlin',
        1e15,
      ),
    )
    let accepted = 0
    fc.assert(
      fc.property(fc.constantFrom(...places), odd, ({ document, path }, value) => {
        const changed = withValue(document, path, value)
        if (mistakesOf(changed).length > 0) return
        accepted++
        expect(judged(changed)).toEqual([])
      }),
      { numRuns: 1000 },
    )
    expect(accepted).toBeGreaterThan(50)
  })

  it('refuses a key that nobody knows in every mapping, as the parser does', () => {
    for (const [, document] of jobs) {
      for (const path of pathsOf(document)) {
        if (path.includes('columns') || path.includes('names')) continue
        const changed = withValue(document, [...path.slice(0, -1), 'unheardOf'], 1)
        if (typeof path.at(-1) === 'number') continue
        expect([path, mistakesOf(changed).length > 0, judged(changed).length > 0]).toEqual([path, true, true])
      }
    }
  })
})

describe('the keys of job definitions', () => {
  it('are the same in job.proto and in the parser', () => {
    // Reading the model throws where the two disagree; this says that it has been read to the end.
    expect(model.get('JobDefinition')?.keys.map(({ name }) => name)).toContain('metrics')
    for (const { name, keys } of model.values()) {
      for (const { name: key, shape } of keys) {
        const leaf = shape.kind === 'leaf' ? shape.leaf : null
        expect([name, key, leaf?.kind === 'unknown' ? leaf.says : '']).toEqual([name, key, ''])
      }
    }
  })
})

/** Every place of a document. */
function pathsOf(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return path.length === 0 ? [] : [path]
  const entries = Array.isArray(value) ? value.map((item, index) => [index, item] as const) : Object.entries(value)
  const below = entries.flatMap(([key, item]) => pathsOf(item, [...path, key]))
  return path.length === 0 ? below : [path, ...below]
}
