/** All kinds that the oracle judges. */
import type { OracleCase } from './case.ts'
import { money, ratio } from './kinds/derived.ts'
import { first, histogram, last, quantile, stddev, topK, variance } from './kinds/distributions.ts'
import { funnel, lifecycle } from './kinds/journeys.ts'
import { lifetimeValue } from './kinds/lifetime-value.ts'
import { paths } from './kinds/paths.ts'
import { activeUsers, approxDistinct, distinct, exactUpTo, sessionWindow } from './kinds/persons.ts'
import { retention, stickiness } from './kinds/returning.ts'
import { sessions } from './kinds/sessions.ts'
import { avg, count, max, min, sum } from './kinds/totals.ts'

/** In the order in which they are told. */
export const kinds: readonly OracleCase[] = [
  ...[count, sum, min, max, avg],
  ...[distinct, activeUsers, approxDistinct, exactUpTo, sessionWindow],
  ...[quantile, variance, stddev, histogram, topK, first, last],
  ...[funnel, lifecycle, retention, stickiness, sessions, paths],
  ...[ratio, money, lifetimeValue],
]
