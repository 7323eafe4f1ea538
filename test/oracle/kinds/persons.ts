/** Different ones, and persons that are active, in windows that tumble, slide and cumulate. */
import type { MetricValue } from '../../../src/query/metric-info.ts'
import { BERLIN, byPeriod, calendar, instantSql, localSql, type OracleCase } from '../case.ts'

/** Different values. */
export const distinct: OracleCase = {
  kind: 'distinct',
  metrics: {
    sessions: {
      definition: { distinct: { field: 'session' }, ...calendar('day'), by: ['platform'] },
      expected: byPeriod('day', 'count(DISTINCT session)', { by: ['platform'] }),
    },
  },
}

/** Persons: of a day and a month, of the last seven days, and of the day so far. */
export const activeUsers: OracleCase = {
  kind: 'activeUsers',
  metrics: {
    dau: {
      definition: { activeUsers: {}, ...calendar('day'), by: ['platform'] },
      expected: byPeriod('day', 'count(DISTINCT person)', { by: ['platform'] }),
    },
    mau: {
      definition: { activeUsers: {}, ...calendar('month') },
      expected: byPeriod('month', 'count(DISTINCT person)'),
    },
    wau_rolling: {
      definition: { activeUsers: {}, window: { sliding: '7d', slide: '1d', timezone: BERLIN } },
      expected: `SELECT ${instantSql('first')} AS s, ${instantSql('first + INTERVAL 7 DAY')} AS e, count(DISTINCT person) AS v
        FROM (SELECT *, date_trunc('day', ${localSql('occurred_at')}) - to_days(k::INTEGER) AS first
          FROM events, range(0, 7) AS hops(k)) GROUP BY first`,
    },
    day_so_far: {
      definition: { activeUsers: {}, by: ['platform'], window: { cumulate: '1d', step: '6h' } },
      expected: `SELECT occurred_at_ms - occurred_at_ms % 86400000 AS s, s + k * 21600000 AS e, platform AS d1,
          count(DISTINCT person) AS v
        FROM events, range(1, 5) AS steps(k) WHERE occurred_at_ms % 86400000 < k * 21600000 GROUP BY ALL`,
    },
  },
}

/** Different ones by a sketch: five standard errors, so that none of some hundred values is farther off by chance. */
export const approxDistinct: OracleCase = {
  kind: 'approxDistinct',
  metrics: {
    people: {
      definition: { approxDistinct: {}, ...calendar('day'), by: ['platform'] },
      expected: byPeriod('day', 'count(DISTINCT person)', { by: ['platform'] }),
      tolerance: 0.082,
    },
  },
}

/** SQL: a number of different ones, and whether it is said to be exact. */
const countedTo = (values: string, most: number): string =>
  `concat(count(DISTINCT ${values}), CASE WHEN count(DISTINCT ${values}) <= ${most} THEN '' ELSE ' about' END)`

const toldExactness = ({ value, detail }: MetricValue): string =>
  `${value}${detail?.error === undefined ? '' : ' about'}`

/**
 * Different ones, exactly up to a number. A sketch of so few says them as they are, too, so what is told apart here is which
 * of the two a value is; the months are within five standard errors.
 */
export const exactUpTo: OracleCase = {
  kind: 'exactUpTo',
  metrics: {
    people_to_20: {
      definition: { activeUsers: { exactUpTo: 20 }, ...calendar('day'), by: ['platform'] },
      expected: byPeriod('day', countedTo('person', 20), { by: ['platform'] }),
      told: toldExactness,
    },
    sessions_to_30: {
      definition: {
        approxDistinct: { field: 'session', exactUpTo: 30 },
        window: { sliding: '7d', slide: '1d', timezone: BERLIN },
      },
      expected: `SELECT ${instantSql('first')} AS s, ${instantSql('first + INTERVAL 7 DAY')} AS e, ${countedTo('session', 30)} AS v
        FROM (SELECT *, date_trunc('day', ${localSql('occurred_at')}) - to_days(k::INTEGER) AS first
          FROM events, range(0, 7) AS hops(k)) GROUP BY first`,
      told: toldExactness,
    },
    day_so_far_to_10: {
      definition: { activeUsers: { exactUpTo: 10 }, by: ['platform'], window: { cumulate: '1d', step: '6h' } },
      expected: `SELECT occurred_at_ms - occurred_at_ms % 86400000 AS s, s + k * 21600000 AS e, platform AS d1,
          ${countedTo('person', 10)} AS v
        FROM events, range(1, 5) AS steps(k) WHERE occurred_at_ms % 86400000 < k * 21600000 GROUP BY ALL`,
      told: toldExactness,
    },
    people_of_months: {
      definition: { activeUsers: { exactUpTo: 100, error: 0.0325 }, ...calendar('month') },
      expected: byPeriod('month', 'count(DISTINCT person)'),
      tolerance: 0.1625,
    },
  },
}

/** Sessions by a gap of half an hour between events of a person, in SQL by islands. */
const islands = `SELECT *, sum(new_one) OVER (PARTITION BY person ORDER BY occurred_at_ms RANGE UNBOUNDED PRECEDING) AS island
  FROM (SELECT *, CASE WHEN occurred_at_ms - lag(occurred_at_ms) OVER (PARTITION BY person ORDER BY occurred_at_ms, row) < 1800000
    THEN 0 ELSE 1 END AS new_one FROM events)`

/** Windows of sessions. */
export const sessionWindow: OracleCase = {
  kind: 'sessionWindow',
  metrics: {
    events_of_visits: {
      definition: { count: {}, window: { session: '30m' }, by: ['person'] },
      expected: `SELECT min(occurred_at_ms) AS s, max(occurred_at_ms) + 1800000 AS e, person AS d1, count(*) AS v
        FROM (${islands}) GROUP BY person, island`,
    },
  },
}
