/** Counts, sums, least, most and mean of days, by platform. */
import { byPeriod, calendar, type OracleCase } from '../case.ts'

const where = 'revenue_minor > 0'
const options = { where, by: ['platform'] }
const day = { ...calendar('day'), by: ['platform'], where }

/** How often. */
export const count: OracleCase = {
  kind: 'count',
  metrics: {
    events_by_week: { definition: { count: {}, ...calendar('week') }, expected: byPeriod('week', 'count(*)') },
    views_by_product: {
      definition: { count: {}, where: "screen == 'product_view'", ...calendar('day'), by: ['platform', 'person'] },
      expected: byPeriod('day', 'count(*)', { where: "name = 'product_view'", by: ['platform', 'person'] }),
    },
  },
}

/** How much. */
export const sum: OracleCase = {
  kind: 'sum',
  metrics: {
    revenue: {
      definition: { sum: { field: 'revenue_minor' }, ...day },
      expected: byPeriod('day', 'sum(revenue_minor)::BIGINT', options),
    },
  },
}

/** The least. */
export const min: OracleCase = {
  kind: 'min',
  metrics: {
    least: {
      definition: { min: { field: 'revenue_minor' }, ...day },
      expected: byPeriod('day', 'min(revenue_minor)', options),
    },
  },
}

/** The most. */
export const max: OracleCase = {
  kind: 'max',
  metrics: {
    most: {
      definition: { max: { field: 'revenue_minor' }, ...day },
      expected: byPeriod('day', 'max(revenue_minor)', options),
    },
  },
}

/** The mean. */
export const avg: OracleCase = {
  kind: 'avg',
  metrics: {
    mean: {
      definition: { avg: { field: 'revenue_minor' }, ...day },
      expected: byPeriod('day', 'sum(revenue_minor)::DOUBLE / count(*)', options),
    },
  },
}
