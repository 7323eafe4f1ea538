/** Retention and stickiness: who comes back, and on how many days. */
import { calendar, instantSql, localSql, type OracleCase } from '../case.ts'

/** SQL: the week of an event in Berlin, by its first midnight. */
export const week = `date_trunc('week', ${localSql('occurred_at')})`

/**
 * Cohorts `c(person, p)` and returns `r(person, p)` by week, and how many of each cohort return `age` weeks later.
 */
function retentionSql(cohorts: string, returns: string, periods: number, later: boolean): string {
  const age = "(date_diff('day', c.p, r.p) // 7)"
  const meets = `${age} ${later ? '>=' : '='} a.age AND ${age} <= ${periods}`
  return `WITH c AS (${cohorts}), r AS (${returns}), ages AS (
      SELECT c.person, c.p, a.age, bool_or(a.age = 0 OR coalesce(${meets}, false)) AS there
      FROM c CROSS JOIN range(0, ${periods + 1}) AS a(age) LEFT JOIN r ON r.person = c.person AND r.p > c.p GROUP BY ALL)
    SELECT ${instantSql('p')} AS s, ${instantSql('p + INTERVAL 7 DAY')} AS e, age::VARCHAR AS d1,
      count(*) FILTER (there) AS v FROM ages GROUP BY ALL`
}

/** Of those who began in a week, who comes back. */
export const retention: OracleCase = {
  kind: 'retention',
  metrics: {
    weekly_cohorts: {
      definition: { retention: { periods: 6, lookback: '365d' }, ...calendar('week') },
      expected: retentionSql(
        `SELECT person, min(${week}) AS p FROM events GROUP BY person`,
        `SELECT DISTINCT person, ${week} AS p FROM events`,
        ...([6, false] as const),
      ),
    },
    buyers_of_viewers: {
      definition: {
        retention: {
          ...{ start: "screen == 'product_view'", return: "name == 'purchase'", periods: 4 },
          ...{ cohort: 'recurring', mode: 'onOrAfter' },
        },
        ...calendar('week'),
      },
      expected: retentionSql(
        `SELECT DISTINCT person, ${week} AS p FROM events WHERE name = 'product_view'`,
        `SELECT DISTINCT person, ${week} AS p FROM events WHERE name = 'purchase'`,
        ...([4, true] as const),
      ),
    },
  },
}

/** On how many days of a month. */
export const stickiness: OracleCase = {
  kind: 'stickiness',
  metrics: {
    days_of_month: {
      definition: { stickiness: { interval: 'day' }, ...calendar('month'), by: ['platform'] },
      expected: `SELECT ${instantSql('p')} AS s, ${instantSql('p + INTERVAL 1 MONTH')} AS e, platform AS d1,
          days::VARCHAR AS d2, count(*) AS v
        FROM (SELECT date_trunc('month', ${localSql('occurred_at')}) AS p, platform, person,
            count(DISTINCT date_trunc('day', ${localSql('occurred_at')})) AS days FROM events GROUP BY ALL)
        GROUP BY ALL`,
    },
  },
}
