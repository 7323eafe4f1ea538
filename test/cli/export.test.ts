/** Values to hand on: the header says what they are, and what is written can be read back. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CsvParser } from '../../src/cli/csv.ts'
import { csvCell, csvRows, headerOf } from '../../src/cli/export-view.ts'
import type { MetricResult } from '../../src/query/metric-info.ts'
import { CliHarness } from '../support/cli.ts'
import { openDuckDb, sqlString } from '../support/duckdb.ts'
import { averageRevenue, pageViews, someValue } from '../support/fakes/query.ts'

let cli: CliHarness

beforeEach(async () => {
  cli = new CliHarness()
  await cli.serveDefault()
})

afterEach(() => cli.close())

function read(text: string): string[][] {
  const rows: string[][] = []
  const parser = new CsvParser('x.csv', (cells) => rows.push(cells))
  parser.push(text)
  parser.finish()
  return rows
}

const result: MetricResult = {
  info: { ...pageViews, preset: 'ga4' },
  dimensions: ['platform'],
  values: [someValue(), someValue({ dimensions: ['web'], status: 'provisional', revision: 0, immature: true })],
  truncated: false,
}

describe('an export', () => {
  it('says what the values are and how far they are complete', () => {
    expect(headerOf(result, Date.UTC(2024, 5, 1))).toEqual({
      metric: 'engagement/page_views',
      description: 'Pages and screens seen',
      definition: "count, where name == 'page_view', by platform, preset ga4",
      window: '1h',
      timezone: 'UTC',
      watermark: '2024-03-13T11:00:00Z',
      exportedAt: '2024-06-01T00:00:00Z',
      values: 2,
      canStillChange: 1,
      truncated: false,
    })
    expect(headerOf({ ...result, info: averageRevenue, values: [] }, 0)).toMatchObject({
      ...{ timezone: 'Europe/Berlin', watermark: '', values: 0, canStillChange: 0 },
    })
  })

  it('is CSV that can be read back, whatever texts events have', () => {
    const formulas = fc.string({ unit: fc.constantFrom("'", '=', '-', '＠', '\n', '"', ',', 'a'), maxLength: 4 })
    const anyText = fc.oneof(fc.string({ unit: 'binary', maxLength: 12 }), formulas)
    fc.assert(
      fc.property(fc.array(anyText, { minLength: 1, maxLength: 5 }), (texts) => {
        const values = texts.map((text) => someValue({ dimensions: [text] }))
        const rows = csvRows({ ...result, values })
        const back = read(rows.map((row) => row.map(csvCell).join(',')).join('\n'))
        const plain = back.map((row) => row.map((cell) => cell.replace(/^'(?='*[=+\-@\t\r\n＝＋－＠])/, '')))
        expect(plain).toEqual(rows.map((row) => row.map(String)))
      }),
    )
  })

  it('has no cell that a spreadsheet would run', () => {
    for (const text of ['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', '\n=1', '＝1', "'=1"])
      expect(csvCell(text)).toMatch(/^"?'/)
    expect(csvCell("'=1")).not.toBe(csvCell('=1'))
    expect(csvCell("'t is")).toBe("'t is")
    expect(csvCell(-1)).toBe('-1')
  })

  it('is read by DuckDB as it is', async () => {
    const { code, stdout } = await cli.run('query', 'engagement/page_views', '--export', 'csv')
    expect(code).toBe(0)
    expect(stdout).toMatch(/^# metric: engagement\/page_views\n# description: .*\n# definition: count, /)
    const folder = mkdtempSync(join(tmpdir(), 'millrace-export-'))
    const path = join(folder, 'views.csv')
    writeFileSync(path, stdout)
    const db = await openDuckDb()
    const rows = await db.query(
      `SELECT platform, value, status FROM read_csv(${sqlString(path)}, comment = '#', header = true)`,
    )
    db.close()
    rmSync(folder, { recursive: true })
    expect(rows.map(({ platform, value, status }) => [platform, Number(value), status])).toEqual([
      ['ios', 42, 'final'],
      ['web', 7, 'provisional'],
    ])
  })

  it('is JSON with the same header', async () => {
    const { stdout } = await cli.run('query', 'engagement/page_views', '--export', 'json')
    const document = JSON.parse(stdout)
    expect(document.export).toMatchObject({ metric: 'engagement/page_views', timezone: 'UTC', values: 2 })
    expect(document.metric).toMatchObject({ kind: 'count', where: "name == 'page_view'" })
    expect(document.values[0]).toMatchObject({ dimensions: { platform: 'ios' }, value: 42 })
  })
})
