/**
 * A small job and ways to ask what is wrong with another.
 */
import type { MillraceError, Violation } from '../../src/core/errors.ts'
import { parseJob } from '../../src/job/parse.ts'
import { builtInDescriptors } from '../support/descriptors.ts'

/** The built-in descriptors. */
export const descriptors = builtInDescriptors()

/** The smallest job. */
export const small = `apiVersion: millrace.dev/v1
kind: Job
metadata: { name: small }
sources: [{ kafka: { topic: events } }]
metrics: [{ id: events, count: {}, window: { tumbling: 1m } }]
`

/** The error that `run` throws. */
export function errorOf(run: () => unknown): MillraceError {
  try {
    run()
  } catch (error) {
    return error as MillraceError
  }
  throw new Error('nothing was thrown')
}

/** What is wrong with a job document. */
export function violationsOf(text: string): readonly Violation[] {
  return errorOf(() => parseJob(text, descriptors)).violations
}

/** Violations as `line:column field: message`. */
export function told(text: string): string[] {
  return violationsOf(text).map((v) => `${v.line}:${v.column} ${v.field}: ${v.message}`)
}

/** The small job with one line replaced or added. */
export function withLine(line: string): string {
  const key = line.split(':')[0]!
  const lines = small.split('\n').filter((l) => l.split(':')[0] !== key)
  return [...lines.filter((l) => l !== ''), line].join('\n')
}
