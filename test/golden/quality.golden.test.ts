/**
 * jobs/quality.yaml over the sample with every event sent one to three times: its numbers are those of SQL over the events
 * alone, and its ledger says how many copies there were.
 */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { parse } from 'yaml'
import { accountedFor } from '../../src/control/api.ts'
import { openOracle } from '../oracle/engagement-oracle.ts'
import { sampleWithCopies } from '../support/copies.ts'
import { ECOM_ROWS } from '../support/ecom.ts'
import { engineForTest, submitJob, untilJob, untilRead } from '../support/engine.ts'
import { valuesOf } from '../support/engine-numbers.ts'
import { createLogTopic } from '../support/events-log.ts'

const HOUR_MS = 3_600_000
const document = parse(readFileSync(join(import.meta.dirname, '../../jobs/quality.yaml'), 'utf8')) as object
const errors = "name IN ('error_page', 'payment_error', 'checkout_bug')"

it('says what SQL says, and how many copies there were', async () => {
  const engine = await engineForTest({ threads: 2 })
  const { partitions: sent, copies } = sampleWithCopies(3, 'rows', 10 * HOUR_MS, 11)
  const log = createLogTopic(engine.logRoot, 'events', 3)
  await log.append(sent)
  await log.close()
  const sources = [{ id: 'events', ...log.source({ bounded: true }) }]
  const changes = { sources, sinks: [], deadLetters: undefined, late: undefined, parallelism: 2 }
  await submitJob(engine.client, JSON.stringify({ ...document, ...changes }))
  await untilJob(engine.client, 'quality', ({ state }) => state === 'FINISHED')

  const oracle = await openOracle()
  const counts = (where: string, sizeMs: number, by?: 'platform' | 'name') =>
    oracle.rows({ kind: 'count', where, window: { sizeMs }, ...(by === undefined ? {} : { by: [by] }) })
  const line = (startMs: number, group: unknown, value: number): string => `${startMs} ${String(group)} = ${value}`
  const wanted = {
    volume: (await counts('true', HOUR_MS, 'platform')).map((row) => ({ ...row, group: row.platform })),
    daily: await counts('true', 24 * HOUR_MS),
    errors: (await counts(errors, 24 * HOUR_MS, 'name')).map((row) => ({ ...row, group: row.name })),
    errors_of_all: await counts(errors, 24 * HOUR_MS),
  }
  oracle.close()
  for (const [metric, rows] of Object.entries(wanted)) {
    const values = await valuesOf(engine.client, 'quality', metric)
    const got = values
      .map(({ windowStartMs, dimensions, value }) => line(windowStartMs, dimensions.join(), value))
      .sort()
    const lines = rows.map((row) => line(row.window_start_ms, 'group' in row ? row.group : '', row.value)).sort()
    expect(got, metric).toEqual(lines)
    expect(got.length, metric).toBeGreaterThan(50)
  }

  const daily = new Map(wanted.daily.map((row) => [row.window_start_ms, row.value]))
  const rate = new Map(wanted.errors_of_all.map((row) => [row.window_start_ms, row.value]))
  const rates = await valuesOf(engine.client, 'quality', 'error_rate')
  for (const { windowStartMs, value } of rates)
    expect(value).toBe((rate.get(windowStartMs) ?? 0) / daily.get(windowStartMs)!)
  expect(rates.filter(({ value }) => value > 0)).toHaveLength(rate.size)

  // The sample lacks nothing that is asked for.
  for (const metric of ['nameless', 'pages_without_screen', 'unknown_platforms', 'without_channel'])
    expect(await valuesOf(engine.client, 'quality', metric), metric).toEqual([])
  const byName = await valuesOf(engine.client, 'quality', 'volume_by_name')
  expect(byName.reduce((sum, { value }) => sum + value, 0)).toBe(ECOM_ROWS)

  const { events } = await untilRead(engine.client, 'quality', ECOM_ROWS + copies)
  expect(events).toMatchObject({ applied: ECOM_ROWS, late: 0, deadLettered: 0, deduplicated: copies })
  expect(accountedFor(events)).toBe(ECOM_ROWS + copies)
  const { episodes } = await engine.client.episodes.list({ job: 'quality', detector: '' })
  const days = episodes.map(({ detector, startMs }) => [detector, new Date(startMs).toISOString().slice(0, 10)])
  expect(days).toEqual([['silence', '2024-01-18']])
})
