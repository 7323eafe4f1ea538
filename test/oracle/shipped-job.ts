/**
 * A shipped job over the sample, held against rows of SQL: in order, shuffled within the out-of-orderness over several
 * partitions and threads, and stopped with a savepoint in the middle and resumed at another parallelism.
 *
 * Owns: the runs, and the form in which values and rows are compared. Does not own: the SQL of any metric.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { accountedFor } from '../../src/control/api.ts'
import type { MetricValue } from '../../src/query/metric-info.ts'
import type { MillraceClient } from '../../src/rpc/client.ts'
import { ECOM_ROWS } from '../support/ecom.ts'
import { engineForTest, folderForTest, submitJob, untilJob, untilRead } from '../support/engine.ts'
import { valuesOf } from '../support/engine-numbers.ts'
import { engagementEvents, fillPartitions, shuffleWithin } from '../support/events.ts'
import { createLogTopic } from '../support/events-log.ts'
import { projectRoot } from '../support/infra-process.ts'
import type { ConversionRow } from './conversion-oracle.ts'

/** Lines that values must come to, by metric. */
export type ExpectedLines = ReadonlyMap<string, readonly string[]>

const HOUR = 3_600_000

function line(
  startMs: number,
  endMs: number,
  group: readonly string[],
  value: number,
  items: readonly number[],
): string {
  const bounds = `${new Date(startMs).toISOString()}..${new Date(endMs).toISOString()}`
  return `${bounds} ${JSON.stringify(group)} = ${value}${items.length === 0 ? '' : ` of ${items.join(', ')}`}`
}

/** Lines of rows of SQL; `value` and `items` say what of them. */
export function linesOf(
  rows: readonly ConversionRow[],
  grouped: boolean,
  value: (row: ConversionRow) => number,
  items: (row: ConversionRow) => readonly number[] = () => [],
): string[] {
  return rows
    .map((row) => line(row.startMs, row.endMs, grouped ? [row.by, row.label] : [row.label], value(row), items(row)))
    .sort()
}

/** Lines of values. */
function told(values: readonly MetricValue[]): string[] {
  return values
    .map((value) => {
      const items = value.detail?.items.map((item) => item.value) ?? []
      return line(value.windowStartMs, value.windowEndMs, value.dimensions, value.value, items)
    })
    .sort()
}

interface ShippedDocument {
  readonly metrics: readonly { readonly id: string }[]
}

function documentOf(name: string): ShippedDocument {
  return parse(readFileSync(join(projectRoot, `jobs/${name}.yaml`), 'utf8')) as ShippedDocument
}

/** What is expected of the metrics of a shipped job: all of them, and of each something must happen. */
export function expectedLines(name: string, all: Readonly<Record<string, readonly string[]>>): ExpectedLines {
  for (const [id, wanted] of Object.entries(all)) expect(wanted.length, id).toBeGreaterThan(5)
  expect(Object.keys(all).sort()).toEqual(
    documentOf(name)
      .metrics.map(({ id }) => id)
      .sort(),
  )
  return new Map(Object.entries(all))
}

async function expectAll(client: MillraceClient, job: string, expected: ExpectedLines): Promise<void> {
  for (const [id, wanted] of expected) {
    const values = await valuesOf(client, job, id)
    expect(told(values), id).toEqual(wanted)
    expect(new Set(values.map(({ status }) => status)), id).toEqual(new Set(['final']))
  }
  const { events } = await untilRead(client, job, ECOM_ROWS)
  expect(events).toMatchObject({ read: ECOM_ROWS, late: 0, deadLettered: 0, lost: 0 })
  expect(accountedFor(events)).toBe(ECOM_ROWS)
}

/** The tests of jobs/`name`.yaml; `also` looks at more once a job is through. */
export function describeShippedJob(
  name: string,
  expected: () => ExpectedLines,
  also: (client: MillraceClient) => Promise<void> = async () => {},
): void {
  const document = documentOf(name)
  const jobText = (source: object, outOfOrderness: string, parallelism: number): string => {
    const ends = { metadata: { name }, sources: [{ id: 'events', ...source }], sinks: [] }
    return JSON.stringify({ ...document, ...ends, parallelism, watermark: { outOfOrderness, idleness: '0s' } })
  }

  describe(`jobs/${name}.yaml`, () => {
    it.each([
      { partitions: 1, parallelism: 1, boundMs: 0 },
      { partitions: 4, parallelism: 3, boundMs: 5000 },
      { partitions: 3, parallelism: 2, boundMs: 6 * HOUR },
    ])('is what DuckDB says: %o', async ({ partitions, parallelism, boundMs }) => {
      const engine = await engineForTest({ threads: 2 })
      const log = createLogTopic(engine.logRoot, 'events', partitions)
      const filled = fillPartitions(engagementEvents(), partitions, 'round-robin')
      await log.append(filled.map((events, i) => shuffleWithin(events, boundMs, i + 1)))
      await log.close()
      await submitJob(engine.client, jobText(log.source({ bounded: true }), `${boundMs}ms`, parallelism))
      await untilJob(engine.client, name, ({ state }) => state === 'FINISHED')
      await expectAll(engine.client, name, expected())
      await also(engine.client)
    })

    it('is the same when it is stopped in the middle and goes on at another parallelism', async () => {
      const env = { MILLRACE_SAVEPOINT_DIR: folderForTest(`${name}-savepoints`) }
      const first = await engineForTest({ threads: 2, env })
      const log = createLogTopic(first.logRoot, 'events', 3)
      const filled = fillPartitions(engagementEvents(), 3, 'hash').map((events, i) => shuffleWithin(events, HOUR, i))
      await submitJob(first.client, jobText(log.source(), '1h', 2))
      await log.append(filled.map((events) => events.slice(0, events.length >> 1)))
      await untilRead(first.client, name, ECOM_ROWS >> 2)
      await first.client.control.stop(name, { savepoint: 'middle', drain: false })
      await log.append(filled.map((events) => events.slice(events.length >> 1)))
      await log.close()
      const second = await engineForTest({ threads: 3, env })
      const text = jobText(log.source({ bounded: true }), '1h', 3)
      await second.client.control.submit({ kind: 'text', text }, { savepoint: 'middle', claim: false, dropState: [] })
      await untilJob(second.client, name, ({ state }) => state === 'FINISHED')
      await expectAll(second.client, name, expected())
    })
  })
}
