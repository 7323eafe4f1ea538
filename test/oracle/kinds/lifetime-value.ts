/** Lifetime value, historic: revenue by the cohort's week and weeks since, in SQL by joining everybody to their weeks. */
import { calendar, instantSql, type OracleCase, type OracleMetric } from '../case.ts'
import { week } from './returning.ts'

const AGES = 6

function metric(measure: 'value' | 'revenue' | 'persons', value: string): OracleMetric {
  return {
    definition: {
      lifetimeValue: {
        of: 'revenue_minor',
        currency: 'EUR',
        in: 'EUR',
        minorUnits: true,
        ages: AGES,
        lookback: '365d',
        measure,
      },
      ...calendar('week'),
    },
    expected: `WITH c AS (SELECT person, min(${week}) AS p FROM events GROUP BY person),
      paid AS (SELECT person, ${week} AS p, sum(revenue_minor) AS revenue FROM events GROUP BY ALL),
      size AS (SELECT p, count(*) AS persons FROM c GROUP BY p),
      sums AS (
        SELECT c.p, age, sum(revenue) AS revenue
        FROM c JOIN paid ON paid.person = c.person, range(0, ${AGES + 1}) AS ages(age)
        WHERE date_diff('day', c.p, paid.p) // 7 <= age GROUP BY ALL)
      SELECT ${instantSql('p')} AS s, ${instantSql('p + INTERVAL 7 DAY')} AS e, age::VARCHAR AS d1, ${value} AS v
      FROM sums JOIN size USING (p)`,
  }
}

/** Revenue a person. */
export const lifetimeValue: OracleCase = {
  kind: 'lifetimeValue',
  sections: {
    currencies: {
      base: 'EUR',
      rates: [
        { currency: 'USD', rate: 0.9217 },
        { currency: 'JPY', rate: 0.00612345 },
      ],
    },
  },
  metrics: {
    ltv: metric('value', 'revenue / persons::DOUBLE'),
    cohort_revenue: metric('revenue', 'revenue::BIGINT'),
    cohort_persons: metric('persons', 'persons'),
  },
}
