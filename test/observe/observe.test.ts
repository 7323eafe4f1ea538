import { afterEach, describe, expect, it } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import { type HttpServer, startHttpServer } from '../../src/observe/http.ts'
import { createLogger, type LogLevel } from '../../src/observe/log.ts'
import { metricTable } from '../../src/observe/metric-table.ts'
import { createMetrics } from '../../src/observe/metrics.ts'
import type { Readiness } from '../../src/observe/readiness.ts'
import { someDetails, someSummary } from '../support/fakes/control.ts'

const nowMs = Date.UTC(2024, 2, 13, 10, 0, 30)
const jobs = async () => [someDetails(someSummary('engagement'), '')]

describe('metrics', () => {
  it('has unique Prometheus names with units, help and labels', () => {
    const names = metricTable.map((metric) => metric.name)
    expect(new Set(names).size).toBe(names.length)
    for (const metric of metricTable) {
      expect(metric.name).toMatch(/^millrace_[a-z0-9_]+$/)
      expect(metric.name.endsWith('_total'), metric.name).toBe(metric.type === 'counter')
      expect(metric.help).toMatch(/\.$/)
      expect(metric.labels[0]).toBe('job')
    }
  })

  it('yields exactly the labels that the table declares', () => {
    const job = { ...someDetails(someSummary('engagement'), ''), episodes: [{ detector: 'outage', open: 1 }] }
    for (const metric of metricTable) {
      const samples = [...metric.read(job, nowMs)]
      expect(samples.length, metric.name).toBeGreaterThan(0)
      for (const sample of samples) {
        const own = Object.keys(sample.labels).filter((label) => label !== 'le')
        expect(own, metric.name).toEqual([...metric.labels])
      }
    }
  })

  it('scrapes in the text format, with what is unknown left out', async () => {
    const text = await createMetrics({ jobs, nowMs: () => nowMs, process: false }).scrape()
    const lines = text.split('\n')
    expect(lines).toContain('# TYPE millrace_records_in_total counter')
    expect(lines).toContain('millrace_records_in_total{job="engagement",operator="events",subtask="0"} 100')
    expect(lines).toContain('millrace_watermark_lag_seconds{job="engagement",operator="events",subtask="0"} 30')
    expect(lines).toContain('millrace_busy_time_ms_per_second{job="engagement",operator="events",subtask="0"} 250')
    expect(lines).toContain('millrace_checkpoint_duration_seconds{job="engagement"} 0.0125')
    expect(lines).toContain('millrace_job_state{job="engagement",state="RUNNING"} 1')
    expect(lines.filter((line) => line.startsWith('millrace_partition_lag_records{'))).toEqual([
      'millrace_partition_lag_records{job="engagement",partition="1"} 5',
    ])
  })

  it('cumulates the latency histogram', async () => {
    const text = await createMetrics({ jobs, nowMs: () => nowMs, process: false }).scrape()
    const buckets = [...text.matchAll(/latency_seconds_bucket\{job="engagement",le="([^"]+)"\} (\d+)/g)]
    expect(buckets.map((bucket) => bucket[1]).slice(0, 3)).toEqual(['0.001', '0.002', '0.005'])
    expect(buckets.map((bucket) => Number(bucket[2]))).toEqual([1, 3, 3, 3, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 7])
    expect(buckets.at(-1)?.[1]).toBe('+Inf')
    expect(text).toContain('millrace_event_to_result_latency_seconds_count{job="engagement"} 7')
  })

  it('adds the process on request and stays right over scrapes', async () => {
    const metrics = createMetrics({ jobs, nowMs: () => nowMs })
    await metrics.scrape()
    const text = await metrics.scrape()
    expect(text).toContain('process_cpu_seconds_total')
    expect(text.match(/^millrace_restarts_total\{/gm)).toHaveLength(1)
    expect(text).toContain('millrace_restarts_total{job="engagement"} 1')
  })
})

describe('logs', () => {
  function lines(format: 'json' | 'text', level: LogLevel = 'info') {
    const written: string[] = []
    const log = createLogger({ level, format, nowMs: () => nowMs, sink: { write: (text) => written.push(text) } })
    return { log, written }
  }

  it('writes JSON with level, time, message and fields', () => {
    const { log, written } = lines('json')
    log.child({ job: 'engagement' }).warn('behind', { lagSeconds: 30 })
    expect(JSON.parse(written[0] ?? '')).toEqual({
      level: 'warn',
      time: '2024-03-13T10:00:30Z',
      job: 'engagement',
      lagSeconds: 30,
      message: 'behind',
    })
    expect(written[0]).toMatch(/\n$/)
  })

  it('keeps below its level silent', () => {
    const { log, written } = lines('json', 'warn')
    log.debug('a')
    log.info('b')
    log.log('error', 'c')
    expect(written).toHaveLength(1)
  })

  it('writes a line of text for people', () => {
    const { log, written } = lines('text')
    log.info('job started', { job: 'engagement', reason: 'it was asked for', attempt: 2, at: null })
    expect(written).toEqual([
      '10:00:30.000 INFO  job started job=engagement reason="it was asked for" attempt=2 at=null\n',
    ])
  })

  it('shows the stack of bugs only', () => {
    const { log, written } = lines('json')
    log.error('failed', { error: new MillraceError('STORE_UNREACHABLE', 'no Redis') })
    log.error('failed', { error: new TypeError('a bug') })
    expect(JSON.parse(written[0] ?? '').error).toEqual({ code: 'STORE_UNREACHABLE', message: 'no Redis' })
    expect(JSON.parse(written[1] ?? '').error.stack).toContain('observe.test.ts')
  })
})

const ready: Readiness = { ready: true, reasons: [] }

describe('http', () => {
  let server: HttpServer | undefined
  afterEach(async () => {
    await server?.close()
    server = undefined
  })

  async function serve(readiness = async (): Promise<Readiness> => ready) {
    const metrics = createMetrics({ jobs, nowMs: () => nowMs, process: false })
    server = await startHttpServer({ host: '127.0.0.1', port: 0, metrics, readiness })
    const base = `http://127.0.0.1:${server.port}`
    return (path: string, method = 'GET') => fetch(base + path, { method })
  }

  it('serves metrics and health', async () => {
    const get = await serve()
    const metrics = await get('/metrics?x=1')
    expect(metrics.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    expect(await metrics.text()).toContain('millrace_job_state')
    expect(await (await get('/healthz')).text()).toBe('ok\n')
    expect((await get('/readyz')).status).toBe(200)
    expect((await get('/healthz', 'HEAD')).status).toBe(200)
  })

  it('is not ready for reasons, which it says', async () => {
    const get = await serve(async () => ({ ready: false, reasons: ['job b is RESTARTING', 'job c is FAILED'] }))
    const ready = await get('/readyz')
    expect(ready.status).toBe(503)
    expect(await ready.text()).toBe('job b is RESTARTING\njob c is FAILED\n')
  })

  it('refuses everything else', async () => {
    const get = await serve()
    expect((await get('/')).status).toBe(404)
    expect((await get('/../etc/passwd')).status).toBe(404)
    expect((await get('/metrics', 'POST')).status).toBe(405)
  })

  it('answers a failed scrape by 500, and goes on', async () => {
    const get = await serve(async () => {
      throw new MillraceError('UNAVAILABLE', 'not yet')
    })
    const ready = await get('/readyz')
    expect(ready.status).toBe(500)
    expect(await ready.text()).toBe('not yet\n')
    expect((await get('/healthz')).status).toBe(200)
  })

  it('says what to do when the port is taken', async () => {
    await serve()
    const again = startHttpServer({
      host: '127.0.0.1',
      port: server?.port ?? 0,
      metrics: createMetrics({ jobs, nowMs: () => nowMs, process: false }),
      readiness: async () => ready,
    })
    await expect(again).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })
})
