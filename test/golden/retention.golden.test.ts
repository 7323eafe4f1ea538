/**
 * The metrics of jobs/retention.yaml against DuckDB, every value exactly: in order, shuffled within the lateness, over several
 * partitions and threads, and stopped with a savepoint in the middle and resumed at another parallelism.
 */
import { afterAll, beforeAll } from 'vitest'
import type { ConversionRow } from '../oracle/conversion-oracle.ts'
import { type Oracle, openOracle } from '../oracle/engagement-oracle.ts'
import { type RetentionQuery, retentionRows, stickinessRows } from '../oracle/retention-oracle.ts'
import { describeShippedJob, type ExpectedLines, expectedLines, linesOf } from '../oracle/shipped-job.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const berlin = 'Europe/Berlin'

const everybody: Omit<RetentionQuery, 'period' | 'periods'> = {
  ...{ timezone: berlin, start: 'true', returns: 'true', mode: 'on', cohort: 'first', clock: 'calendar' },
  ...{ lookbackMs: 90 * DAY, by: '' },
}
const bought = "name = 'purchase'"

let oracle: Oracle
let expected: ExpectedLines

beforeAll(async () => {
  oracle = await openOracle()
  const persons = ({ values }: ConversionRow) => values[2]!
  const ratio = (of: number, by: number) => (row: ConversionRow) =>
    row.values[by] === 0 ? Number.NaN : row.values[of]! / row.values[by]!
  const first = ({ values }: ConversionRow) => values[0]!
  const weekly = await retentionRows(oracle, { ...everybody, period: 'week', periods: 8, by: 'platform' })
  const of = async (query: Partial<RetentionQuery> & Pick<RetentionQuery, 'period' | 'periods'>) =>
    linesOf(await retentionRows(oracle, { ...everybody, ...query }), query.by !== undefined, persons)
  const all = {
    weekly: linesOf(weekly, true, persons),
    weekly_retention: linesOf(weekly, true, ratio(2, 0)),
    weekly_previous: linesOf(weekly, true, ratio(2, 1)),
    monthly_unbounded: await of({ period: 'month', periods: 3, mode: 'onOrAfter' }),
    promotion: await of({
      ...{ period: 'day', periods: 7, timezone: 'Asia/Kolkata', cohort: 'recurring' },
      ...{ start: "name = 'promo_page'", returns: bought },
    }),
    first_days: await of({ period: 'day', periods: 10, clock: 'elapsed', by: 'channel' }),
    buyers: await of({
      ...{ period: 'month', periods: 2, clock: 'elapsed', cohort: 'recurring', mode: 'onOrAfter' },
      ...{ start: bought, returns: bought },
    }),
    active_days: linesOf(
      await stickinessRows(oracle, { period: 'month', timezone: berlin, interval: 'day', where: 'true', by: '' }),
      ...[false, first],
    ),
    active_days_of_28: linesOf(
      await stickinessRows(oracle, {
        ...{ days: 28, timezone: 'Asia/Kolkata', interval: 'day', where: 'true', by: 'platform' },
      }),
      ...[true, first],
    ),
    active_weeks: linesOf(
      await stickinessRows(oracle, { period: 'month', timezone: berlin, interval: 'week', where: bought, by: '' }),
      ...[false, first],
    ),
  }
  expected = expectedLines('retention', all)
})

afterAll(() => oracle?.close())

describeShippedJob('retention', () => expected)
