/** Detectors of running jobs over views that a test fills: reading, following, attempts, watches. */
import { beforeEach, describe, expect, it } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import type { DetectedJob, EpisodeInfo } from '../../src/detection/api.ts'
import { DetectionHost } from '../../src/detection/detection-host.ts'
import { parseJob } from '../../src/job/parse.ts'
import type { ViewQuery, ViewRows } from '../../src/operator/view-rows.ts'
import type { ViewAnswer, ViewPort } from '../../src/query/view-port.ts'
import { ManualClock, ManualScheduler } from '../../src/testing/manual-clock.ts'
import { builtInDescriptors } from '../support/descriptors.ts'

const HOUR_MS = 3_600_000
const NONE_MS = Number.NEGATIVE_INFINITY

const { definition } = parseJob(
  `apiVersion: millrace.dev/v1
kind: Job
metadata: { name: shop }
sources: [{ id: events, generator: {} }]
metrics: [{ id: views, count: {}, window: { tumbling: 1h }, allowedLateness: 5h, by: [platform] }]
detectors: [{ id: outage, metric: views, ewma: { warmUp: 5 }, score: 4, direction: down, history: { length: 48h } }]
sinks: []
`,
  builtInDescriptors(),
)

interface Row {
  readonly hour: number
  readonly value: number
  readonly revision: number
  readonly change: number
}

/** The views of job `shop`: one subtask, windows of platform `web`. */
class Views implements ViewPort {
  readonly rows = new Map<number, Row>()
  readonly asked: ViewQuery[] = []
  change = 0
  watermarkMs = NONE_MS
  attempt = 1
  ended = false
  error: MillraceError | null = null

  set(hour: number, value: number): void {
    const revision = (this.rows.get(hour)?.revision ?? 0) + 1
    this.rows.set(hour, { hour, value, revision, change: ++this.change })
  }

  /** Hours with 100 views each, and a watermark behind them. */
  fill(from: number, to: number, value = 100): void {
    for (let hour = from; hour < to; hour++) this.set(hour, value)
    this.watermarkMs = to * HOUR_MS - 1
  }

  metrics: ViewPort['metrics'] = async (job) => {
    if (job !== 'shop') throw new MillraceError('JOB_NOT_FOUND', `there is no job ${job}`)
    const [metric] = definition.metrics
    const { description, kind, window } = metric!
    const info = { job, metric: 'views', description, kind, where: '', dimensions: ['platform'], window, integer: true }
    return [{ info, index: 0 }]
  }

  ownerOf = () => 0

  ask: ViewPort['ask'] = async (_job, query): Promise<ViewAnswer> => {
    this.asked.push(query)
    if (this.error !== null) throw this.error
    const since = query.sinceChange[0] ?? -1
    const wanted = [...this.rows.values()].filter(
      ({ hour, change }) => change > since && (hour + 1) * HOUR_MS > query.fromMs && hour * HOUR_MS < query.toMs,
    )
    const sorted = wanted.sort((a, b) => a.hour - b.hour)
    const rows = query.newest === undefined ? sorted : sorted.slice(-query.newest)
    const truncated = rows.length > query.rowsMax
    return { attempt: this.attempt, ended: this.ended, rows: [this.#part(truncated ? [] : rows, truncated)] }
  }

  #part(rows: readonly Row[], truncated: boolean): ViewRows {
    const column = (of: (row: Row) => number) => Float64Array.from(rows, of)
    return {
      ...{ operator: 'merge', subtask: 0, watermarkMs: this.watermarkMs, change: this.change, truncated },
      count: rows.length,
      windowStartMs: column(({ hour }) => hour * HOUR_MS),
      windowEndMs: column(({ hour }) => (hour + 1) * HOUR_MS),
      dimensions: rows.map(() => ['web']),
      values: column(({ value }) => value),
      events: column(({ value }) => value),
      revision: Uint32Array.from(rows, ({ revision }) => revision),
      lateCount: column(() => 0),
    }
  }
}

let views: Views
let jobs: DetectedJob[]
let clock: ManualClock
let host: DetectionHost

beforeEach(() => {
  views = new Views()
  jobs = [{ jobId: '1', definition }]
  clock = new ManualClock()
  host = newHost()
})

function newHost(): DetectionHost {
  return new DetectionHost({ views, jobs: () => jobs, clock, scheduler: new ManualScheduler(clock) })
}

const query = { job: 'shop', detector: '' }

async function found(of = host): Promise<string[]> {
  await of.look()
  return (await of.list(query)).episodes.map(textOf)
}

function textOf({ state, direction, startMs, lastMs, group }: EpisodeInfo): string {
  return `${group[0]?.value} ${direction} ${startMs / HOUR_MS} ${lastMs / HOUR_MS} ${state}`
}

async function detector() {
  return (await host.list(query)).detectors[0]!
}

describe('a detector', () => {
  it('waits for a watermark, reads the history, and goes on with what changes', async () => {
    expect((await detector()).waiting).toBe('the history has not been read yet')
    expect(await found()).toEqual([])
    expect((await detector()).waiting).toBe('there is no watermark yet')
    views.fill(0, 20)
    views.set(15, 3)
    expect(await found()).toEqual(['web down 15 16 normal'])
    expect(await detector()).toMatchObject({ waiting: '', judgedThroughMs: 20 * HOUR_MS, open: 0 })
    const asked = views.asked.length
    views.fill(20, 22, 1)
    expect(await found()).toEqual(['web down 15 16 normal', 'web down 20 22 alerting'])
    expect(views.asked).toHaveLength(asked + 1)
    expect(views.asked.at(-1)).toMatchObject({ fromMs: 15 * HOUR_MS })
    expect(host.openEpisodes('shop')).toEqual([{ detector: 'outage', open: 1 }])
  })

  it('is another one over the same history after a restart, and has the same episodes', async () => {
    views.fill(0, 300)
    for (const hour of [201, 245, 246, 250, 299]) views.set(hour, 2)
    await host.look()
    const before = await host.list(query)
    expect(before.episodes.map(textOf)).toEqual([
      'web down 245 247 normal',
      'web down 250 251 normal',
      'web down 299 300 alerting',
    ])
    const restarted = newHost()
    await restarted.look()
    expect(await restarted.list(query)).toEqual(before)
  })

  it('reads a long history in parts', async () => {
    views.fill(0, 200)
    views.set(190, 2)
    const ask = views.ask
    views.ask = (job, asked, metric) => ask(job, { ...asked, rowsMax: Math.min(asked.rowsMax, 30) }, metric)
    // The changes behind the parts are none, so they fit.
    expect(await found()).toEqual(['web down 190 191 normal'])
    expect(views.asked.filter(({ fromMs }) => fromMs > NONE_MS).length).toBeGreaterThan(5)
  })

  it('reads everything anew after a new attempt, which may have taken values back', async () => {
    views.fill(0, 20)
    views.set(19, 2)
    expect(await found()).toEqual(['web down 19 20 alerting'])
    views.attempt = 2
    views.change = 1
    views.rows.delete(19)
    views.watermarkMs = 19 * HOUR_MS - 1
    expect(await found()).toEqual([])
    expect((await detector()).judgedThroughMs).toBe(19 * HOUR_MS)
  })

  it('keeps what it knows while the job restarts, and says that it waits', async () => {
    views.fill(0, 20)
    views.set(15, 2)
    await host.look()
    views.error = new MillraceError('UNAVAILABLE', 'the job restarts', { retry: 'backoff' })
    expect(await found()).toEqual(['web down 15 16 normal'])
    expect((await detector()).waiting).toBe('the job restarts')
    views.error = null
    expect(await found()).toEqual(['web down 15 16 normal'])
    expect((await detector()).waiting).toBe('')
  })

  it('has no data, and no drop, while the source is idle', async () => {
    views.fill(0, 20)
    await host.look()
    expect((await detector()).series).toMatchObject([{ state: 'normal' }])
    clock.advance(2 * HOUR_MS + 1)
    expect(await found()).toEqual([])
    expect((await detector()).series).toMatchObject([{ state: 'noData' }])
    views.fill(20, 21)
    await host.look()
    expect((await detector()).series).toMatchObject([{ state: 'normal' }])
  })

  it('judges to the last value of an input that has ended', async () => {
    views.fill(0, 20)
    views.watermarkMs = Number.POSITIVE_INFINITY
    views.ended = true
    expect(await found()).toEqual([])
    const asked = views.asked.length
    await host.look()
    expect(views.asked).toHaveLength(asked)
    expect((await detector()).judgedThroughMs).toBe(20 * HOUR_MS)
  })

  it('is made anew when its job is another, and gone with it', async () => {
    views.fill(0, 20)
    await host.look()
    jobs = [{ jobId: '2', definition }]
    expect((await host.list(query)).detectors[0]?.waiting).toBe('the history has not been read yet')
    jobs = []
    await host.look()
    expect((await host.list(query)).detectors).toEqual([])
  })

  it('is asked for by names that are known', async () => {
    await expect(host.list({ job: 'none', detector: '' })).rejects.toMatchObject({ code: 'JOB_NOT_FOUND' })
    await expect(host.list({ job: 'shop', detector: 'x' })).rejects.toMatchObject({ code: 'QUERY_INVALID' })
  })
})

describe('a watch', () => {
  const told: string[][] = []
  const ends: (MillraceError | null)[] = []
  const watcher = {
    onEpisodes: (episodes: readonly EpisodeInfo[]) => void told.push(episodes.map(textOf)),
    onEnd: (error: MillraceError | null) => void ends.push(error),
  }
  beforeEach(() => {
    told.length = 0
    ends.length = 0
  })

  it('is told what is known, what changes, what corrections take back, and nothing else', async () => {
    const stop = host.watch(query, watcher)
    await host.look()
    expect(told).toEqual([])
    views.fill(0, 20)
    views.set(19, 2)
    await host.look()
    await host.look()
    expect(told).toEqual([['web down 19 20 alerting']])
    views.set(19, 100)
    views.set(18, 3)
    await host.look()
    expect(told.at(-1)).toEqual(['web down 18 19 recovering', 'web down 19 20 retracted'])
    stop()
    views.set(17, 3)
    await host.look()
    expect(told).toHaveLength(2)
  })

  it('of changes begins with none', async () => {
    views.fill(0, 20)
    views.set(15, 2)
    await host.look()
    host.watch(query, watcher, { changesOnly: true })
    await host.look()
    expect(told).toEqual([[]])
    views.fill(20, 21, 1)
    await host.look()
    expect(told.at(-1)).toEqual(['web down 20 21 alerting'])
  })

  it('is not told that anything is taken back because an episode has grown old', async () => {
    views.fill(0, 40)
    views.set(30, 2)
    await host.look()
    host.watch(query, watcher)
    await host.look()
    expect(told).toEqual([['web down 30 31 normal']])
    views.fill(40, 200)
    await host.look()
    expect(await found()).toEqual([])
    expect(told).toHaveLength(1)
  })

  it('is told that an episode which outlasts histories goes on under another id', async () => {
    const [detector] = definition.detectors!
    const bounds = { ...detector!, kind: { kind: 'threshold', lower: 50, upper: null }, score: 0 } as const
    jobs = [{ jobId: '3', definition: { ...definition, detectors: [bounds] } }]
    views.fill(0, 60)
    await host.look()
    host.watch(query, watcher, { changesOnly: true })
    await host.look()
    for (let hour = 60; hour < 200; hour += 20) {
      views.fill(hour, hour + 20, 1)
      await host.look()
    }
    expect(told.slice(-3)).toEqual([
      ['web down 96 160 alerting', 'web down 60 140 retracted'],
      ['web down 96 180 alerting'],
      ['web down 144 200 alerting', 'web down 96 180 retracted'],
    ])
  })

  it('ends with the job, and with what stops it for good', async () => {
    views.fill(0, 20)
    host.watch(query, watcher)
    host.watch({ job: 'none', detector: '' }, watcher)
    views.ended = true
    await host.look()
    expect(told).toEqual([[]])
    expect(ends.map((end) => end?.code ?? null).sort()).toEqual(['JOB_NOT_FOUND', null])
  })
})
