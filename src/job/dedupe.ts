/**
 * Deduplication in a job definition: its shape, reading it, whether it makes sense, and what of it a plan has.
 *
 * Owns: all of that. Does not own: how copies are found (operator/deduplicate). Pure.
 */
import { formatDuration } from './duration.ts'
import type { EventScope } from './event-scope.ts'
import type { MappingReader, Report } from './parse-reader.ts'

/** What happens when ids need more than their memory. */
export type DedupeBeyond = 'oldest' | 'fail'

/** Of events with the same id, one counts. */
export interface DedupeDefinition {
  /** Path of the event's id. */
  readonly by: string
  /** How long behind the watermark an id is remembered, in event time. */
  readonly withinMs: number
  /** Bytes that ids may take, over all subtasks; 0 for no bound but `stateLimit`. */
  readonly memoryBytes: number
  /** `oldest`: the oldest ids go before their time, and are counted; `fail`: the job fails with STATE_LIMIT. */
  readonly beyond: DedupeBeyond
}

/** The same in a plan. */
export interface DedupePlan extends DedupeDefinition {
  /** Text column of the id. */
  readonly column: number
}

/** What a checkpoint says of its ids. */
export interface DedupeDescriptor {
  readonly by: string
  readonly withinMs: number
}

/** What a checkpoint of a plan says of its ids. */
export function describeDedupe({ by, withinMs }: DedupeDefinition): DedupeDescriptor {
  return { by, withinMs }
}

/** Reads the section of a job document. */
export function readDedupe(root: MappingReader): { dedupe?: DedupeDefinition } {
  if (!root.has('dedupe')) return {}
  const reader = root.mapping('dedupe')
  const dedupe: DedupeDefinition = {
    by: reader.text('by'),
    withinMs: reader.duration('within', undefined, 1),
    memoryBytes: reader.size('memory', 0, 1024 * 1024),
    beyond: reader.choice('beyond', ['oldest', 'fail'], 'oldest'),
  }
  reader.finish()
  return { dedupe }
}

/** Every mistake of sense; `scope` is null where nobody knows the event's fields. */
export function validateDedupe(
  dedupe: DedupeDefinition | undefined,
  outOfOrdernessMs: number,
  metrics: readonly { readonly id: string; readonly allowedLatenessMs: number }[],
  scope: EventScope | null,
  report: Report,
): void {
  if (dedupe === undefined) return
  const resolved = scope?.resolve(dedupe.by)
  if (resolved?.ok === false) report(['dedupe', 'by'], resolved.problem)
  else if (resolved !== undefined && !['string', 'bytes', 'property'].includes(resolved.field.type))
    report(['dedupe', 'by'], `an id is a text or bytes; "${dedupe.by}" is ${resolved.field.type}`)
  const path = ['dedupe', 'within']
  const [latest] = [...metrics].sort((a, b) => b.allowedLatenessMs - a.allowedLatenessMs)
  const own = formatDuration(dedupe.withinMs)
  if (latest !== undefined && latest.allowedLatenessMs > dedupe.withinMs) {
    const lateness = formatDuration(latest.allowedLatenessMs)
    report(
      path,
      `must be at least the allowed lateness of every metric: "${latest.id}" takes events ${lateness} late, and after ${own} nobody knows whether they are copies`,
    )
  } else if (dedupe.withinMs < outOfOrdernessMs)
    report(
      path,
      `must be at least the out-of-orderness of the watermark (${formatDuration(outOfOrdernessMs)}), not ${own}`,
    )
}
