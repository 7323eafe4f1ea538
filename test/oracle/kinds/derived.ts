/** Metrics made of others, and money. */
import { BERLIN, byPeriod, calendar, instantSql, localSql, type OracleCase } from '../case.ts'

const midnight = `date_trunc('day', ${localSql('occurred_at')})`

/** One metric divided by another: within a table, and over windows that end together. */
export const ratio: OracleCase = {
  kind: 'ratio',
  metrics: {
    buyers: {
      definition: { activeUsers: {}, where: "name == 'purchase'", ...calendar('day'), by: ['platform'] },
      expected: byPeriod('day', 'count(DISTINCT person)', { where: "name = 'purchase'", by: ['platform'] }),
    },
    visitors: {
      definition: { activeUsers: {}, ...calendar('day'), by: ['platform'] },
      expected: byPeriod('day', 'count(DISTINCT person)', { by: ['platform'] }),
    },
    conversion: {
      definition: { ratio: { of: 'buyers', to: 'visitors' } },
      expected: byPeriod('day', "count(DISTINCT person) FILTER (name = 'purchase') / count(DISTINCT person)::DOUBLE", {
        by: ['platform'],
      }),
    },
    of_day: {
      definition: { activeUsers: {}, ...calendar('day') },
      expected: byPeriod('day', 'count(DISTINCT person)'),
    },
    of_30_days: {
      definition: { activeUsers: {}, window: { sliding: '30d', slide: '1d', timezone: BERLIN } },
      expected: `SELECT ${instantSql('last - INTERVAL 30 DAY')} AS s, ${instantSql('last')} AS e, count(DISTINCT person) AS v
        FROM (SELECT *, ${midnight} + to_days(k::INTEGER) AS last FROM events, range(1, 31) AS hops(k)) GROUP BY last`,
    },
    dau_to_mau: {
      definition: { ratio: { of: 'of_day', to: 'of_30_days' } },
      expected: `WITH active AS (SELECT DISTINCT person, ${midnight} AS day FROM events),
        wide AS (SELECT day + to_days(k::INTEGER) AS last, count(DISTINCT person) AS n FROM active, range(1, 31) AS hops(k) GROUP BY last)
        SELECT ${instantSql('last - INTERVAL 1 DAY')} AS s, ${instantSql('last')} AS e,
          (SELECT count(*) FROM active WHERE day = last - INTERVAL 1 DAY) / n::DOUBLE AS v FROM wide`,
    },
  },
}

/** Cents of an amount by a rate of `rate` / `scale`, half to even. */
function cents(rate: number, scale: number): string {
  const [whole, rest] = [`(revenue_minor * ${rate}) // ${scale}`, `(revenue_minor * ${rate}) % ${scale}`]
  return `(${whole} + CASE WHEN 2 * (${rest}) > ${scale} OR (2 * (${rest}) = ${scale} AND (${whole}) % 2 = 1) THEN 1 ELSE 0 END)`
}

/** Euros, dollars and yen in euros: the currency of an event is by its row (sample.ts). */
export const money: OracleCase = {
  kind: 'money',
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
    revenue_in_euros: {
      definition: {
        sum: { field: 'revenue_minor', currency: 'currency', in: 'EUR', minorUnits: true },
        ...{ where: "name == 'purchase'", ...calendar('day'), by: ['platform'] },
      },
      expected: byPeriod(
        'day',
        `sum(CASE row % 3 WHEN 0 THEN revenue_minor WHEN 1 THEN ${cents(9217, 10_000)} ELSE ${cents(612_345, 1_000_000)} END)::BIGINT`,
        { where: "name = 'purchase'", by: ['platform'] },
      ),
    },
  },
}
