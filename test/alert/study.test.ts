/**
 * The study of detectors: what each finds of 100 incidents in made-up traffic, how late, and what it raises besides. The
 * table is printed, and is the one in the documents, to the number.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { projectRoot } from '../support/infra-process.ts'
import { budget, type StudyRow, shapes, study, TEST_WEEKS, tableOf } from './study.ts'
import { HOUR_MS, WEEK_HOURS } from './traffic.ts'

let rows: readonly StudyRow[]

beforeAll(() => {
  rows = study()
}, 240_000)

const rowOf = (detector: string, shape: string): StudyRow =>
  rows.find((row) => row.detector === detector && row.shape === shape)!

describe('100 incidents in made-up traffic', () => {
  it('are found as the documents say', () => {
    const table = tableOf(rows)
    console.log(table)
    expect(rows.filter((row) => row.detector === 'cusum').reduce((sum, row) => sum + row.incidents, 0)).toBe(100)
    expect(readFileSync(join(projectRoot, 'docs/specs/detectors.md'), 'utf8')).toContain(table)
  })

  it('raise no more false alarms than the budget, but where a fixed bound meets traffic that grows', () => {
    const periods = (20 * TEST_WEEKS * WEEK_HOURS * HOUR_MS) / budget.perMs
    for (const row of rows) {
      if (row.detector === 'threshold' && row.shape === 'trend') expect(row.falseAlarms).toBeGreaterThan(periods)
      else expect(row.falseAlarms, `${row.detector}, ${row.shape}`).toBeLessThanOrEqual(periods * budget.episodes)
    }
  })

  it('are found by a detector that knows the season, and hardly by one that does not', () => {
    expect(rowOf('seasonalMedian', 'day and week').found).toBeGreaterThanOrEqual(18)
    expect(rowOf('holtWinters', 'day and week').found).toBeGreaterThanOrEqual(18)
    expect(rowOf('ewma', 'day and week').found).toBeLessThanOrEqual(2)
    for (const { name } of shapes) {
      const found = rows.filter((row) => row.shape === name).map((row) => row.found)
      expect(rowOf('cusum', name).found, name).toBe(Math.max(...found))
    }
  })
})
