/** Bounds of histograms of durations in a job document. */
import { parseDuration } from './duration.ts'
import { describe, type MappingReader } from './parse-reader.ts'
import { BOUNDS_MAX } from './sketch-limits.ts'

/** Reads `buckets`, ascending ms; `fallback` where there are none. */
export function readBuckets(of: MappingReader, fallback: readonly number[]): readonly number[] {
  const items = of.list('buckets')
  if (items.length === 0) return fallback
  if (items.length > BOUNDS_MAX) of.problem('buckets', `has more than ${BOUNDS_MAX} bounds`)
  let before = 0
  return items.slice(0, BOUNDS_MAX).map((item, i) => {
    const ms = typeof item === 'string' ? parseDuration(item) : Number.NaN
    const path = [...of.path, 'buckets', i]
    if (Number.isNaN(ms))
      of.problems.push({ path, message: `must be a duration such as 1m or 1h, not ${describe(item)}` })
    else if (ms <= before) of.problems.push({ path, message: 'must be longer than the one before, and than zero' })
    else before = ms
    return ms
  })
}
