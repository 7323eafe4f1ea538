/** Paths in job documents: what they say, what is refused, how they are planned, what is their state. */
import { describe, expect, it } from 'vitest'
import { parseJob } from '../../src/job/parse.ts'
import { diffState, type StateDiff } from '../../src/job/state-diff.ts'
import { maturityOf } from '../../src/metrics/maturity.ts'
import type { MetricQuery } from '../../src/query/api.ts'
import type { MetricInfo } from '../../src/query/metric-info.ts'
import { keptDimensions } from '../../src/query/render.ts'
import { fromDescription, toDescription } from '../../src/rpc/query-messages.ts'
import { exchangedColumns } from '../../src/runtime/plan-facts.ts'
import { descriptors, told, withLine } from './parse-support.ts'
import { planOf, stateOf } from './state-support.ts'

const MINUTE_MS = 60_000
const DAY_MS = 86_400_000
const day = 'window: { calendar: day }'
const metric = (text: string): string => withLine(`metrics: [{ id: m, ${text} }]`)
const parsed = (text: string) => parseJob(metric(text), descriptors).definition.metrics[0]!
const mistakes = (text: string): string[] => told(metric(text)).map((one) => one.slice(one.indexOf(' ') + 1))

function infoOf(text: string): MetricInfo {
  const { kind, window } = parsed(text)
  const dimensions = ['platform', 'step', 'from', 'to']
  return { job: 'j', metric: 'm', description: '', kind, where: '', dimensions, window, integer: true }
}

describe('paths', () => {
  it('are of five steps, within half an hour of each other, by default', () => {
    expect(parsed(`paths: { of: screen }, ${day}`).kind).toEqual({
      ...{ kind: 'paths', field: 'screen', gapMs: 30 * MINUTE_MS, maxDurationMs: DAY_MS, steps: 5, collapse: true },
    })
    expect(parsed(`paths: { of: properties.page, steps: 20, collapse: false }, ${day}`).kind).toMatchObject({
      ...{ field: 'properties.page', steps: 20, collapse: false },
    })
  })

  it.each([
    ['paths: {}', 'metrics[0].paths.of:'],
    ['paths: { of: nothing }', 'metrics[0].paths.of:'],
    ['paths: { of: person }', 'metrics[0].paths.of: "person" is the person, who is the same all along'],
    ['paths: { of: occurred_at }', 'metrics[0].paths.of: "occurred_at" is timestamp: paths are of texts'],
    ['paths: { of: screen, steps: 21 }', 'metrics[0].paths.steps:'],
    ['paths: { of: screen, steps: 0 }', 'metrics[0].paths.steps:'],
    ['paths: { of: screen, gap: 1h, maxDuration: 30m }', 'metrics[0].paths.maxDuration: must be as long as the gap'],
    ['paths: { of: screen }, by: [person]', 'metrics[0].by[0]: paths counts persons'],
    ['paths: { of: screen }, retain: 1d', 'metrics[0].retain: must be longer than 1d'],
    ['paths: { of: screen }, maxGroups: 10', 'metrics[0].maxGroups: paths has groups of its own'],
  ])('%s is refused, in its place', (text, message) => {
    expect(mistakes(`${text}, ${day}`).join('\n')).toContain(message)
  })

  it('have three dimensions of their own, and read the field that they are of', () => {
    const plan = planOf(
      `  - { id: a, paths: { of: screen }, by: [platform], ${day} }\n` +
        `  - { id: b, paths: { of: screen, steps: 3 }, by: [platform], ${day} }\n`,
    )
    const [of, platform] = ['screen', 'platform'].map((path) =>
      plan.schema.columns.findIndex(({ field }) => field.path === path),
    )
    expect(plan.tables).toMatchObject([
      {
        dimensions: [platform, -2, -2, -2],
        dimensionNames: ['platform', 'step', 'from', 'to'],
        settleMs: DAY_MS,
        person: { kind: 'paths', every: 0, of, steps: 5 },
      },
      { person: { steps: 3 } },
    ])
    expect(plan.metrics[0]).toMatchObject({ events: 0, read: { kind: 'value', of: 0 }, integer: true })
    expect(exchangedColumns(plan).texts).toEqual([of!, platform!].sort())
  })

  it('P8: are final a greatest duration after their window', () => {
    const { kind, window } = parsed(`paths: { of: screen, maxDuration: 4h }, ${day}`)
    expect(maturityOf(kind, window)?.(DAY_MS, '1')).toBe(DAY_MS + DAY_MS / 6)
  })

  it('come over the wire with what they are', () => {
    const info = infoOf(`paths: { of: screen, steps: 7, collapse: false }, ${day}`)
    expect(fromDescription(toDescription(info))).toEqual(info)
    expect(toDescription(info)).toMatchObject({ field: 'screen', steps: 7, gapMs: 30 * MINUTE_MS, additive: true })
  })

  it('P9: add up over all dimensions', () => {
    const ask = (groupBy: string[]) =>
      ({ job: 'j', metric: 'm', groupBy, filters: new Map() }) as unknown as MetricQuery
    const info = infoOf(`paths: { of: screen }, ${day}`)
    expect(keptDimensions(info, ask(['from', 'to']))).toEqual([2, 3])
    expect(keptDimensions(info, ask([]))).toEqual([])
  })
})

describe('state of paths', () => {
  const of = (id: string, text: string): string => `  - { id: ${id}, paths: { ${text} }, ${day} }\n`
  const metricsOf = ({ entries }: StateDiff): string[] =>
    entries.flatMap(({ change, kind, name }) => (kind === 'metric' ? [`${change} ${kind} ${name}`] : []))
  const change = (before: string, after: string): string[] => metricsOf(diffState(stateOf(before), stateOf(after)))

  it('goes on where other metrics move columns', () => {
    const other = `  - { id: z, count: {}, by: [platform, name], ${day} }\n`
    expect(change(of('a', 'of: screen'), other + of('a', 'of: screen'))).toContain('kept metric a')
  })

  it.each(['of: name', 'of: screen, gap: 1h', 'of: screen, steps: 3', 'of: screen, collapse: false'])(
    'begins anew with %s',
    (text) => {
      expect(change(of('a', 'of: screen'), of('a', text))).toEqual(['new metric a', 'dropped metric a'])
    },
  )
})
