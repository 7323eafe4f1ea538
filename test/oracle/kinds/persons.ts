/** Different ones, and persons that are active, in windows that tumble, slide and cumulate. */
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
