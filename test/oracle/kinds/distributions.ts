/** How values lie: quantiles, spread, histograms, the most frequent, the first and the last. */
import type { MetricValue } from '../../../src/query/metric-info.ts'
import { byPeriod, calendar, instantSql, localSql, type OracleCase, windowsSql } from '../case.ts'

const where = 'revenue_minor > 0'
const options = { where, by: ['platform'] }
const day = { ...calendar('day'), by: ['platform'], where }

/** By a sketch, within 1 %. */
export const quantile: OracleCase = {
  kind: 'quantile',
  metrics: Object.fromEntries(
    [0.5, 0.95].map((q) => [
      `p${q * 100}`,
      {
        definition: { quantile: { field: 'revenue_minor', q }, ...day },
        expected: byPeriod('day', `list_sort(list(revenue_minor))[1 + floor(${q} * (count(*) - 1))::BIGINT]`, options),
        tolerance: 0.01,
      },
    ]),
  ),
}

/** The mean square of the distances from the mean. */
export const variance: OracleCase = {
  kind: 'variance',
  metrics: {
    revenue_variance: {
      definition: { variance: { field: 'revenue_minor' }, ...day },
      expected: byPeriod('day', 'var_pop(revenue_minor)', options),
      tolerance: 1e-9,
    },
  },
}

/** Its root. */
export const stddev: OracleCase = {
  kind: 'stddev',
  metrics: {
    revenue_spread: {
      definition: { stddev: { field: 'revenue_minor' }, ...day },
      expected: byPeriod('day', 'stddev_pop(revenue_minor)', options),
      tolerance: 1e-9,
    },
  },
}

const bounds = [1000, 5000, 10_000, 20_000]
const buckets = [...bounds, 1e15].map(
  (bound, i) => `count(*) FILTER (revenue_minor >= ${bounds[i - 1] ?? -1e15} AND revenue_minor < ${bound})`,
)

/** How many of each size. */
export const histogram: OracleCase = {
  kind: 'histogram',
  metrics: {
    revenue_sizes: {
      definition: { histogram: { field: 'revenue_minor', bounds }, ...day },
      expected: byPeriod('day', `concat_ws(',', ${buckets.join()})`, options),
      told: ({ detail }) => detail!.items.map(({ value }) => value).join(),
    },
  },
}

const days = `date_trunc('day', ${localSql('occurred_at')})`

/** The three that are most frequent; of equally frequent ones the first by name. */
export const topK: OracleCase = {
  kind: 'topK',
  metrics: {
    top_sessions: {
      definition: { topK: { field: 'platform', k: 3 }, ...calendar('day') },
      expected: windowsSql(
        `SELECT *, row_number() OVER (PARTITION BY p ORDER BY n DESC, platform) AS place
          FROM (SELECT ${days} AS p, platform, count(*) AS n FROM events GROUP BY ALL)`,
        [instantSql('p'), instantSql('p + INTERVAL 1 DAY')],
        "string_agg(platform || '=' || n, ',' ORDER BY place) FILTER (place <= 3)",
      ),
      told: ({ detail }) => detail!.items.map(({ label, value }) => `${label}=${value}`).join(),
    },
  },
}

const textOf = ({ detail }: MetricValue): string => detail!.text ?? ''

/** The first of a day; of one instant, the first by name. */
export const first: OracleCase = {
  kind: 'first',
  metrics: {
    first_session: {
      definition: { first: { field: 'session' }, ...calendar('day'), by: ['person'] },
      expected: byPeriod('day', 'first(session ORDER BY occurred_at_ms, session)', { by: ['person'] }),
      told: textOf,
    },
  },
}

/** The last of a day; of one instant, the last by name. */
export const last: OracleCase = {
  kind: 'last',
  metrics: {
    last_session: {
      definition: { last: { field: 'session' }, ...calendar('day'), by: ['person'] },
      expected: byPeriod('day', 'first(session ORDER BY occurred_at_ms DESC, session DESC)', { by: ['person'] }),
      told: textOf,
    },
  },
}
