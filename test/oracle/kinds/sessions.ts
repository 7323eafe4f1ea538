/** Sessions by the day in Berlin: how many, how long, how deep, and how many bounced; in SQL by islands. */
import { calendar, instantSql, localSql, type OracleCase, type OracleMetric } from '../case.ts'

const DAY = `date_trunc('day', ${localSql('occurred_at')})`

/** Views and interactions of the sample, by its names of events. */
const VIEWS = "name = 'product_view'"
const INTERACTIONS = "name IN ('add_to_cart', 'purchase')"

/** Every session with its first event's day and platform. `cut`: where one also begins, beside after a pause. */
function sessionsSql(cut: string): string {
  return `SELECT arg_min(p, (occurred_at_ms, platform)) AS p, arg_min(platform, (occurred_at_ms, platform)) AS platform, person,
      max(occurred_at_ms) - min(occurred_at_ms) AS ms, count(*) FILTER (${VIEWS}) AS views,
      count(*) FILTER (${INTERACTIONS}) AS acts
    FROM (SELECT *, sum(begins) OVER (PARTITION BY person ORDER BY occurred_at_ms, row) AS island
      FROM (SELECT *, CASE WHEN before IS NULL OR occurred_at_ms - before > 1800000 ${cut} THEN 1 ELSE 0 END AS begins
        FROM (SELECT *, ${DAY} AS p, lag(occurred_at_ms) OVER o AS before, lag(${DAY}) OVER o AS day_before FROM events
          WINDOW o AS (PARTITION BY person ORDER BY occurred_at_ms, row))))
    GROUP BY person, island`
}

interface Shape {
  readonly bounce?: string
  readonly cutAtMidnight?: boolean
  readonly buckets?: readonly string[]
}

function metric(measure: string, value: string, more: Shape = {}): OracleMetric {
  const cut = more.cutAtMidnight === true ? 'OR p <> day_before' : ''
  return {
    definition: {
      sessions: {
        views: "screen == 'product_view'",
        interactions: "properties.feature == 'add_to_cart' || name == 'purchase'",
        ...{ measure, ...more },
      },
      ...calendar('day'),
      by: ['platform'],
    },
    expected: `SELECT ${instantSql('p')} AS s, ${instantSql('p + INTERVAL 1 DAY')} AS e, platform AS d1, ${value} AS v
      FROM (${sessionsSql(cut)}) GROUP BY p, platform`,
  }
}

const within = [10_000, 60_000, 600_000]

/** Sessions by duration: below the first bound, between each two, and from the last on. */
const buckets = [...within.map((bound, i) => [within[i - 1] ?? 0, bound]), [within.at(-1), 1e12]].map(
  ([from, to]) => `count(*) FILTER (ms >= ${from} AND ms < ${to})`,
)

const share = (condition: string): string => `count(*) FILTER (${condition}) / count(*)::DOUBLE`

/** Sessions, by each measure and each definition of a bounce. */
export const sessions: OracleCase = {
  kind: 'sessions',
  metrics: {
    session_count: metric('count', 'count(*)'),
    visit_count: metric('count', 'count(*)', { cutAtMidnight: true }),
    session_persons: metric('persons', 'count(DISTINCT person)'),
    session_duration: metric('duration', 'sum(ms) / count(*)::DOUBLE'),
    session_durations: {
      ...metric('durations', `concat_ws(',', ${buckets.join()})`, { buckets: ['10s', '1m', '10m'] }),
      told: ({ detail }) => detail!.items.map(({ value }) => value).join(),
    },
    session_depth: metric('depth', 'sum(views) / count(*)::DOUBLE'),
    sessions_a_person: metric('perPerson', 'count(*) / count(DISTINCT person)::DOUBLE'),
    engaged_sessions: metric('engagementRate', share('ms >= 10000 OR acts > 0 OR views > 1')),
    bounces_ga4: metric('bounceRate', share('ms < 10000 AND acts = 0 AND views < 2')),
    bounces_posthog: metric('bounceRate', share('ms < 10000 AND acts = 0 AND views = 1'), { bounce: 'posthog' }),
    bounces_plausible: metric('bounceRate', share('acts = 0 AND views = 1'), { bounce: 'plausible' }),
    bounces_matomo: metric('bounceRate', share('views = 1'), { bounce: 'matomo', cutAtMidnight: true }),
  },
}
