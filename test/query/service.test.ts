import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import { describeWindow } from '../../src/job/window-text.ts'
import type { ViewQuery, ViewRows } from '../../src/operator/view-rows.ts'
import type { MetricQuery } from '../../src/query/api.ts'
import type { MetricInfo, MetricResult, MetricValue } from '../../src/query/metric-info.ts'
import { compareValues, keptDimensions, rollUp } from '../../src/query/render.ts'
import { createQueryService } from '../../src/query/service.ts'
import type { ViewAnswer, ViewPort } from '../../src/query/view-port.ts'
import { ManualClock, ManualScheduler } from '../../src/testing/manual-clock.ts'
import { averageRevenue, pageViews, someValue } from '../support/fakes/query.ts'

const byTwo: MetricInfo = { ...pageViews, dimensions: ['platform', 'screen'] }
const people: MetricInfo = { ...byTwo, metric: 'people', kind: { kind: 'activeUsers' } }

const everything: MetricQuery = {
  job: 'engagement',
  metric: 'page_views',
  fromMs: Number.NEGATIVE_INFINITY,
  toMs: Number.POSITIVE_INFINITY,
  filters: new Map(),
  groupBy: null,
  limit: 1000,
  latest: false,
}

function rows(subtask: number, change: number, values: readonly MetricValue[]): ViewRows {
  return {
    operator: 'merge',
    subtask,
    watermarkMs: values[0]?.watermarkMs ?? Number.NEGATIVE_INFINITY,
    change,
    truncated: false,
    count: values.length,
    windowStartMs: Float64Array.from(values, (value) => value.windowStartMs),
    windowEndMs: Float64Array.from(values, (value) => value.windowEndMs),
    dimensions: values.map((value) => value.dimensions),
    values: Float64Array.from(values, (value) => value.value),
    events: Float64Array.from(values, (value) => value.eventCount),
    revision: Uint32Array.from(values, (value) => value.revision),
    lateCount: Float64Array.from(values, (value) => value.lateCount),
  }
}

/** Views whose next answers a test lines up. */
class Views implements ViewPort {
  readonly asked: ViewQuery[] = []
  readonly answers: (ViewAnswer | MillraceError)[] = []
  infos: readonly MetricInfo[] = [byTwo, people, averageRevenue]

  metrics: ViewPort['metrics'] = async () => this.infos.map((info, index) => ({ info, index }))

  ownerOf = () => 1

  ask: ViewPort['ask'] = async (_job, query) => {
    this.asked.push(query)
    const answer = this.answers.shift()
    if (answer === undefined) throw new Error('no answer lined up')
    if (answer instanceof MillraceError) throw answer
    return answer
  }
}

function service() {
  const views = new Views()
  const scheduler = new ManualScheduler(new ManualClock())
  return { views, scheduler, query: createQueryService(views, scheduler, 100) }
}

const a = someValue({ dimensions: ['ios', 'home'], value: 1, eventCount: 1 })
const b = someValue({ dimensions: ['ios', 'cart'], value: 2, eventCount: 2, revision: 0, status: 'provisional' })
const c = someValue({ dimensions: ['web', 'home'], value: 4, eventCount: 4, revision: 2, status: 'corrected' })

describe('query', () => {
  it('puts the answers of subtasks together, by window and dimensions', async () => {
    const { views, query } = service()
    views.answers.push({ attempt: 1, ended: false, rows: [rows(0, 5, [c, a]), rows(1, 9, [b])] })
    const result = await query.query({ ...everything, filters: new Map([['screen', 'home']]) })
    expect(views.asked[0]).toMatchObject({ metric: 0, filter: [null, 'home'], sinceChange: [] })
    expect(result).toEqual({ info: byTwo, dimensions: ['platform', 'screen'], values: [b, a, c], truncated: false })
  })

  it('adds up counts, and says the least settled status', async () => {
    const { views, query } = service()
    views.answers.push({ attempt: 1, ended: false, rows: [rows(0, 5, [a, b, c])] })
    const result = await query.query({ ...everything, groupBy: ['platform'] })
    expect(result.dimensions).toEqual(['platform'])
    expect(result.values).toMatchObject([
      { dimensions: ['ios'], value: 3, status: 'provisional', eventCount: 3 },
      { dimensions: ['web'], value: 4, status: 'corrected', revision: 2 },
    ])
  })

  it('reorders all dimensions of any metric, and refuses totals of what does not add up', async () => {
    const { views, query } = service()
    views.answers.push({ attempt: 1, ended: false, rows: [rows(0, 5, [a])] })
    const result = await query.query({ ...everything, metric: 'people', groupBy: ['screen', 'platform'] })
    expect(result.values[0]?.dimensions).toEqual(['home', 'ios'])
    await expect(query.query({ ...everything, metric: 'people', groupBy: ['screen'] })).rejects.toMatchObject({
      code: 'QUERY_INVALID',
      message: expect.stringContaining('do not add up'),
    })
  })

  it('allows a grouping whose missing dimensions are fixed by filters', () => {
    const filters = new Map([['platform', 'ios']])
    expect(keptDimensions(people, { ...everything, filters, groupBy: ['screen'] })).toEqual([1])
  })

  it.each([
    [{ metric: 'nope' }, 'METRIC_NOT_FOUND'],
    [{ groupBy: ['country'] }, 'QUERY_INVALID'],
    [{ groupBy: ['screen', 'screen'] }, 'QUERY_INVALID'],
    [{ filters: new Map([['country', 'DE']]) }, 'QUERY_INVALID'],
  ] as const)('refuses %j', async (change, code) => {
    const { query } = service()
    await expect(query.query({ ...everything, ...change })).rejects.toMatchObject({ code })
  })

  it('keeps to the limit: refuses, or takes the newest windows', async () => {
    const { views, query } = service()
    const later = { ...a, windowStartMs: a.windowStartMs + 1 }
    views.answers.push({ attempt: 1, ended: false, rows: [rows(0, 5, [later, a])] })
    await expect(query.query({ ...everything, limit: 1 })).rejects.toMatchObject({ code: 'QUERY_TOO_LARGE' })
    views.answers.push({ attempt: 1, ended: false, rows: [rows(0, 5, [later, a])] })
    expect(await query.query({ ...everything, limit: 1, latest: true })).toMatchObject({
      values: [{ windowStartMs: later.windowStartMs }],
      truncated: true,
    })
    expect(views.asked.map(({ newest }) => newest)).toEqual([undefined, 2])
    views.answers.push({ attempt: 1, ended: false, rows: [{ ...rows(0, 5, [a]), truncated: true }] })
    await expect(query.query(everything)).rejects.toMatchObject({ code: 'QUERY_TOO_LARGE' })
  })
})

describe('rollUp', () => {
  const value = fc.record({
    platform: fc.constantFrom('ios', 'web', ''),
    screen: fc.constantFrom('a', 'b', '"', ','),
    window: fc.integer({ min: 0, max: 2 }),
    value: fc.integer({ min: -1000, max: 1000 }),
  })

  it('keeps the total of each window, whatever the order', () => {
    fc.assert(
      fc.property(fc.array(value), fc.constantFrom([], [0], [1], [1, 0]), (inputs, kept) => {
        const values = inputs.map((input) =>
          someValue({ dimensions: [input.platform, input.screen], windowStartMs: input.window, value: input.value }),
        )
        const total = (list: readonly MetricValue[]) => list.reduce((sum, item) => sum + item.value, 0)
        const rolled = rollUp(values, kept).sort(compareValues)
        expect(total(rolled)).toBe(total(values))
        expect(rollUp([...values].reverse(), kept).sort(compareValues)).toEqual(rolled)
        for (let index = 1; index < rolled.length; index++) {
          expect(compareValues(rolled[index - 1]!, rolled[index]!)).toBeLessThan(0)
        }
      }),
    )
  })
})

describe('watch', () => {
  function watching(query: MetricQuery, options?: { changesOnly?: boolean }) {
    const made = service()
    const results: MetricResult[] = []
    const ends: (MillraceError | null)[] = []
    /** What it waited for, and the number of answers before each. */
    const waits: [string | null, number][] = []
    const start = () =>
      made.query.watch(
        query,
        {
          onValues: (result) => results.push(result),
          onWaiting: (why) => waits.push([why, results.length]),
          onEnd: (error) => ends.push(error),
        },
        options,
      )
    return { ...made, results, ends, waits, start }
  }

  it('delivers the values, then only what changed, and ends with the job', async () => {
    const { views, scheduler, results, ends, start } = watching(everything)
    views.answers.push(
      { attempt: 1, ended: false, rows: [rows(0, 5, [a]), rows(1, 2, [c])] },
      { attempt: 1, ended: false, rows: [rows(0, 5, []), rows(1, 2, [])] },
      { attempt: 1, ended: true, rows: [rows(0, 6, [{ ...a, value: 9 }]), rows(1, 2, [])] },
    )
    start()
    await scheduler.settle()
    expect(results.map((result) => result.values.map((value) => value.value))).toEqual([[1, 4]])
    await scheduler.runFor(100)
    expect(views.asked[1]?.sinceChange).toEqual([5, 2])
    expect(results).toHaveLength(1)
    await scheduler.runFor(100)
    expect(results[1]?.values).toMatchObject([{ value: 9 }])
    expect(ends).toEqual([null])
    expect(scheduler.pending).toBe(0)
  })

  it('recomputes the totals that a change is part of', async () => {
    const { views, scheduler, results, start } = watching({ ...everything, groupBy: ['platform'] })
    views.answers.push(
      { attempt: 1, ended: false, rows: [rows(0, 1, [a, b, c])] },
      { attempt: 1, ended: false, rows: [rows(0, 2, [{ ...b, value: 10 }])] },
    )
    start()
    await scheduler.settle()
    await scheduler.runFor(100)
    expect(results[1]?.values).toMatchObject([{ dimensions: ['ios'], value: 11 }])
  })

  it('starts over with a new attempt, and waits out a restart', async () => {
    const { views, scheduler, results, ends, waits, start } = watching(everything)
    views.answers.push(
      { attempt: 1, ended: false, rows: [rows(0, 50, [a])] },
      new MillraceError('UNAVAILABLE', 'restarting'),
      { attempt: 2, ended: false, rows: [rows(0, 3, [])] },
      { attempt: 2, ended: false, rows: [rows(0, 3, [a, b])] },
    )
    start()
    await scheduler.settle()
    await scheduler.runFor(100)
    await scheduler.runFor(100)
    expect(views.asked.map((query) => query.sinceChange)).toEqual([[], [50], [50], []])
    expect(results[1]?.values).toHaveLength(2)
    expect(results[1]?.values[0]?.attempt).toBe(2)
    expect(ends).toEqual([])
    expect(waits).toEqual([
      ['restarting', 1],
      [null, 1],
    ])
  })

  it('of the latest values asks for no more than those, at first and with a new attempt', async () => {
    const { views, scheduler, results, ends, start } = watching({ ...everything, latest: true, limit: 1 })
    const later = { ...a, windowStartMs: a.windowStartMs + 1 }
    views.answers.push(
      { attempt: 1, ended: false, rows: [rows(0, 50, [a, later])] },
      { attempt: 2, ended: false, rows: [rows(0, 3, [])] },
      { attempt: 2, ended: false, rows: [rows(0, 3, [later, b])] },
      { attempt: 2, ended: false, rows: [rows(0, 4, [c])] },
    )
    start()
    await scheduler.settle()
    for (let i = 0; i < 2; i++) await scheduler.runFor(100)
    expect(views.asked.map(({ newest }) => newest)).toEqual([2, undefined, 2, undefined])
    expect(results.map(({ values }) => values.map(({ windowStartMs }) => windowStartMs))).toEqual([
      [later.windowStartMs],
      [b.windowStartMs, later.windowStartMs],
      [c.windowStartMs],
    ])
    expect(ends).toEqual([])
  })

  it('waits for a job that is not there yet, says so once, and then delivers', async () => {
    const { views, scheduler, results, ends, waits, start } = watching(everything)
    const starting = new MillraceError('UNAVAILABLE', 'starting')
    const slow = new MillraceError('DEADLINE_EXCEEDED', 'slow', { retry: 'backoff' })
    views.answers.push(starting, starting, slow, { attempt: 1, ended: false, rows: [rows(0, 5, [a])] })
    start()
    await scheduler.settle()
    for (let i = 0; i < 3; i++) await scheduler.runFor(100)
    expect(results.map((result) => result.values.map(({ value }) => value))).toEqual([[1]])
    expect(waits).toEqual([
      ['starting', 0],
      ['slow', 0],
      [null, 0],
    ])
    expect(ends).toEqual([])
  })

  it('that waited from the start begins as any: of changes only, without values', async () => {
    const { views, scheduler, results, start } = watching(everything, { changesOnly: true })
    views.answers.push(new MillraceError('UNAVAILABLE', 'starting'), {
      attempt: 1,
      ended: false,
      rows: [rows(0, 5, [a])],
    })
    start()
    await scheduler.settle()
    await scheduler.runFor(100)
    expect(results).toMatchObject([{ values: [] }])
  })

  it('fails at once on what cannot be asked, and when a job will not be there again by itself', async () => {
    const bad = watching({ ...everything, groupBy: ['country'] })
    bad.start()
    await bad.scheduler.settle()
    expect(bad.ends).toMatchObject([{ code: 'QUERY_INVALID' }])
    const gone = watching(everything)
    gone.views.answers.push(
      new MillraceError('UNAVAILABLE', 'restarting'),
      new MillraceError('UNAVAILABLE', 'failed', { retry: 'never' }),
    )
    gone.start()
    await gone.scheduler.settle()
    await gone.scheduler.runFor(100)
    expect(gone.ends).toMatchObject([{ code: 'UNAVAILABLE', message: 'failed' }])
    expect(gone.scheduler.pending).toBe(0)
  })

  it('is silent once cancelled', async () => {
    const { views, scheduler, results, ends, start } = watching(everything, { changesOnly: true })
    views.answers.push({ attempt: 1, ended: false, rows: [rows(0, 5, [a])] })
    const cancel = start()
    await scheduler.settle()
    expect(results).toMatchObject([{ values: [] }])
    cancel()
    await scheduler.runFor(1000)
    expect(views.asked).toHaveLength(1)
    expect(ends).toEqual([])
  })
})

describe('describeWindow', () => {
  it.each([
    [3_600_000, 0, 'UTC', '1h'],
    [86_400_000, 0, 'Europe/Berlin', '1d Europe/Berlin'],
    [604_800_000, 0, 'UTC', '7d'],
    [90_000, 30_000, 'UTC', '90s +30s'],
    [1500, -1, 'UTC', '1500ms -1ms'],
  ] as const)('%d %d %s', (sizeMs, offsetMs, timezone, text) => {
    expect(describeWindow({ kind: 'tumbling', sizeMs, offsetMs, timezone, time: 'event' })).toBe(text)
  })
})
