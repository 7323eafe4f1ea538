/**
 * The metrics of the main job (jobs/engagement.yaml) as questions to the oracle: the same meaning, written in SQL.
 *
 * When a definition changes there, it changes here by hand: that is the point.
 */
import { sqlString } from '../support/duckdb.ts'
import type { OracleQuery } from './engagement-oracle.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** Events of the sample that show a page. */
export const viewEvents = [
  'home',
  'catalog',
  'product_view',
  'promo_page',
  'account_page',
  'review_page',
  'cart',
  'shipping_details',
  'payment_details',
] as const

/** Events of the sample that use a feature. */
export const featureEvents = [
  'search',
  'filter_results',
  'compare',
  'wishlist_add',
  'add_to_cart',
  'support_chat',
] as const

/** SQL condition: the event's name is one of `names`. */
export function nameIn(names: readonly string[]): string {
  return `name IN (${names.map(sqlString).join(', ')})`
}

const berlinDay = { sizeMs: DAY_MS, timezone: 'Europe/Berlin' } as const

/**
 * By metric id. Dimensions are the oracle's columns: the job's `properties.feature` is column `name`, the event's name
 * in the file.
 */
export const engagementMetrics = {
  page_views: { kind: 'count', where: nameIn(viewEvents), window: { sizeMs: HOUR_MS }, by: ['platform'] },
  active_users: { kind: 'distinct', window: berlinDay },
  active_users_by_platform: { kind: 'distinct', window: berlinDay, by: ['platform'] },
  feature_interactions: { kind: 'count', where: nameIn(featureEvents), window: berlinDay, by: ['platform', 'name'] },
  purchases: { kind: 'count', where: "name = 'purchase'", window: berlinDay, by: ['platform'] },
} as const satisfies Readonly<Record<string, OracleQuery>>
