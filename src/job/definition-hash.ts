/** What state was made by, as one number. */
import { hashBytes } from '../core/hash.ts'
import { describeDedupe } from './dedupe.ts'
import type { JobDefinition } from './definition.ts'

/**
 * A hash over what state depends on: the key, the time, the weight, the key groups, the source's id and the metrics. Sinks, checkpoint
 * cadence, parallelism and descriptions may change without touching it. 128 bits in hex, independent of key order.
 */
export function hashDefinition(definition: JobDefinition): string {
  const { event } = definition
  const relevant = {
    source: definition.source.id,
    keyGroups: definition.keyGroups,
    // Types come and go; those that stay are compared by job/schema-evolution.ts.
    event: { message: event.message, time: event.time, timeUnit: event.timeUnit, key: event.key },
    ...(event.weight === undefined ? {} : { weight: event.weight }),
    ...(definition.dedupe === undefined ? {} : { dedupe: describeDedupe(definition.dedupe) }),
    metrics: definition.metrics.map(({ description: _, preset: __, maxGroups: ___, ...rest }) => rest),
  }
  const bytes = new TextEncoder().encode(canonicalJson(relevant))
  return [1, 2, 3, 4].map((seed) => hashBytes(bytes, 0, bytes.length, seed).toString(16).padStart(8, '0')).join('')
}

function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )
}
