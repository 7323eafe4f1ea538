/**
 * Paths in a job: how they are read, what is refused, and their plan.
 *
 * Does not own: what is computed (src/metrics/paths.ts). The definition is in docs/metrics.md. Pure.
 */
import type { FieldResolution } from '../../event/descriptor.ts'
import { jobDefaults as defaults } from '../defaults.ts'
import type { MetricDefinition } from '../definition.ts'
import type { DocumentPath, MappingReader, Report } from '../parse-reader.ts'
import type { PathsPlan } from '../plan.ts'
import { PATH_STEPS_MAX, type PathsKind } from './kinds.ts'
import { validateSpan } from './sessions.ts'

/** Reads paths. */
export function readPaths(of: MappingReader): PathsKind {
  return {
    kind: 'paths',
    field: of.text('of'),
    gapMs: of.duration('gap', defaults.paths.gapMs, 1),
    maxDurationMs: of.duration('maxDuration', defaults.paths.maxDurationMs, 1),
    steps: of.number('steps', defaults.paths.steps, 1, PATH_STEPS_MAX),
    collapse: of.flag('collapse', defaults.paths.collapse),
  }
}

/** Tells what is wrong with paths by windows side by side, but for their field. `key` is the path of the event's key. */
export function validatePaths(
  kind: PathsKind,
  metric: MetricDefinition,
  key: string,
  path: DocumentPath,
  report: Report,
): void {
  if (kind.field === key)
    report([...path, 'paths', 'of'], `"${key}" is the person, who is the same all along: name what they go through`)
  validateSpan(kind, kind.maxDurationMs, metric, path, report)
}

/** What is wrong with the field that paths are of; null for nothing. */
export function pathsFieldProblem(resolved: FieldResolution): string | null {
  if (!resolved.ok) return resolved.problem
  const { path, type } = resolved.field
  if (type !== 'bytes' && type !== 'timestamp') return null
  return `"${path}" is ${type}: paths are of texts, numbers, booleans or enums`
}

/** The plan of paths that take events by condition `every`, of the values of text column `of`. */
export function planPaths(kind: PathsKind, every: number, of: number): PathsPlan {
  const { gapMs, maxDurationMs, steps, collapse } = kind
  return { kind: 'paths', every, of, gapMs, maxDurationMs, steps, collapse }
}
