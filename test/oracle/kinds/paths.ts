/** Paths through screens and features, by day, week and month in Berlin, with equal ones in a row as one and not; in SQL by islands. */
import { calendar, instantSql, localSql, type OracleCase, type OracleMetric, type Period } from '../case.ts'

/** Names of the sample that are features, as SQL. */
const FEATURES = "('add_to_cart', 'search', 'filter_results', 'wishlist_add', 'compare', 'support_chat')"

/** A field and the events that have it; and the same as SQL over the sample. */
interface Of {
  readonly field: string
  readonly where?: string
  readonly value: string
  readonly whereSql: string
}

const screens: Of = {
  ...{ field: 'screen', where: "screen != ''" },
  ...{ value: 'name', whereSql: `name <> 'purchase' AND name NOT IN ${FEATURES}` },
}
const features: Of = {
  ...{ field: 'properties.feature', where: "properties.feature != ''" },
  ...{ value: 'name', whereSql: `name IN ${FEATURES}` },
}
/** Of all events, many of which have no screen. */
const everything: Of = {
  ...{ field: 'screen', whereSql: 'true' },
  value: `CASE WHEN name = 'purchase' OR name IN ${FEATURES} THEN '' ELSE name END`,
}

interface Shape {
  readonly gap?: '10m'
  readonly steps?: number
  readonly collapse?: boolean
}

function metric({ field, where, value, whereSql }: Of, period: Period, shape: Shape, by: readonly string[] = []) {
  const { gap, steps = 5, collapse = true } = shape
  const session = 'PARTITION BY person, session_no ORDER BY occurred_at_ms, value'
  const columns = [...by, 'step', 'came_from', 'value'].map((column, i) => `${column} AS d${i + 1}`)
  return {
    definition: {
      paths: { of: field, ...shape },
      ...(where === undefined ? {} : { where }),
      ...calendar(period),
      ...(by.length === 0 ? {} : { by }),
    },
    expected: `
      WITH chosen AS (
        SELECT person, occurred_at_ms, platform, ${value} AS value,
          date_trunc('${period}', ${localSql('occurred_at')}) AS p FROM events WHERE ${whereSql}),
      paused AS (
        SELECT *, coalesce(occurred_at_ms - lag(occurred_at_ms) OVER (PARTITION BY person ORDER BY occurred_at_ms)
          > ${gap === '10m' ? 600_000 : 1_800_000}, true) AS begins FROM chosen),
      numbered AS (
        SELECT *, sum(begins::INT) OVER (PARTITION BY person ORDER BY occurred_at_ms) AS session_no FROM paused),
      headed AS (
        SELECT person, session_no, occurred_at_ms, value, first_value(p) OVER s AS p, first_value(platform) OVER s AS platform
        FROM numbered WINDOW s AS (${session}, platform)),
      kept AS (
        SELECT *, ${collapse ? 'value IS DISTINCT FROM lag(value) OVER s' : 'true'} AS counts FROM headed
        WINDOW s AS (${session})),
      steps AS (
        SELECT *, lag(value) OVER s AS came_from, row_number() OVER s - 1 AS step FROM kept WHERE counts
        WINDOW s AS (${session}))
      SELECT ${instantSql('p')} AS s, ${instantSql(`p + INTERVAL 1 ${period}`)} AS e, ${columns.join()}, count(*) AS v
      FROM steps WHERE step BETWEEN 1 AND ${steps} GROUP BY ALL`,
  } satisfies OracleMetric
}

/** How often persons go from what to what. */
export const paths: OracleCase = {
  kind: 'paths',
  metrics: {
    screen_paths: metric(screens, 'day', {}),
    screen_paths_by_platform: metric(screens, 'month', { steps: 3 }, ['platform']),
    feature_paths_whole: metric(features, 'week', { gap: '10m', collapse: false, steps: 20 }),
    paths_of_all: metric(everything, 'week', {}),
  },
}
