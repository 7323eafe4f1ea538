/** What a job says and what the oracle says, row by row, both ways. */
import type { MetricValue } from '../../src/query/metric-info.ts'
import type { ExpectedValue, OracleMetric } from './case.ts'
import type { Oracle } from './engagement-oracle.ts'

/** Values by window and group, as texts. */
export type Expected = ReadonlyMap<string, string>

/** How a metric fared: values that were compared, and what is wrong with some. */
export interface Comparison {
  readonly values: number
  readonly different: readonly string[]
}

function nameOf(startMs: number, endMs: number, dimensions: readonly string[]): string {
  return `${new Date(startMs).toISOString()}..${new Date(endMs).toISOString()} ${JSON.stringify(dimensions)}`
}

/** The window and group of a value. */
export function nameOfValue(value: MetricValue): string {
  return nameOf(value.windowStartMs, value.windowEndMs, value.dimensions)
}

/** What the oracle says of a metric. */
export async function expectedOf(oracle: Oracle, metric: OracleMetric): Promise<Expected> {
  const rows =
    typeof metric.expected === 'string' ? await selected(oracle, metric.expected) : await metric.expected(oracle)
  const found = new Map<string, string>()
  for (const { startMs, endMs, dimensions, told } of rows) {
    const name = nameOf(startMs, endMs, dimensions)
    if (found.has(name)) throw new Error(`the oracle has ${name} twice`)
    found.set(name, told)
  }
  return found
}

async function selected(oracle: Oracle, sql: string): Promise<ExpectedValue[]> {
  return (await oracle.sql(sql)).map((row) => {
    const columns = Object.keys(row).filter((column) => /^d\d+$/.test(column))
    return {
      startMs: Number(row.s),
      endMs: Number(row.e),
      dimensions: columns.map((column) => String(row[column] ?? '')),
      told: String(row.v ?? Number.NaN),
    }
  })
}

/** Compares all values of a metric with all that are expected. */
export function compare(metric: OracleMetric, expected: Expected, values: readonly MetricValue[]): Comparison {
  const { told = ({ value }) => String(value), tolerance = 0 } = metric
  const different: string[] = []
  const seen = new Set<string>()
  for (const value of values) {
    const name = nameOfValue(value)
    const wanted = expected.get(name)
    const found = told(value)
    if (seen.has(name)) different.push(`twice: ${name} = ${found}`)
    else if (wanted === undefined) different.push(`not wanted: ${name} = ${found}`)
    else if (!same(found, wanted, tolerance)) different.push(`${name} = ${found} instead of ${wanted}`)
    seen.add(name)
  }
  for (const [name, wanted] of expected) if (!seen.has(name)) different.push(`missing: ${name} = ${wanted}`)
  return { values: Math.max(expected.size, values.length), different }
}

function same(found: string, wanted: string, tolerance: number): boolean {
  if (found === wanted) return true
  const [a, b] = [Number(found), Number(wanted)]
  return tolerance > 0 && Math.abs(a - b) <= Math.abs(b) * tolerance + 1e-6
}
