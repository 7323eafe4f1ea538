/** What the tests of hostile descriptors share: names, what a job does with descriptors, what counts as surviving. */
import fc from 'fast-check'
import { expect } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import type { Descriptors } from '../../src/event/descriptor.ts'
import { wireProblems } from '../../src/event/evolution.ts'
import { parseJob } from '../../src/job/parse.ts'

/** A hundred thousand in all in the full run. */
export const runs = process.env.MILLRACE_FULL === '1' ? 25_000 : 1000

/** A hang is what takes longer than this. */
const HANG_MS = 1000

/** Runs within a second; a failure is a MillraceError of the user's domain. */
export function survives(run: () => unknown): void {
  const before = process.threadCpuUsage()
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(MillraceError)
    expect((error as MillraceError).code).not.toBe('INTERNAL')
  }
  // The thread's own time: a busy machine makes nothing hang.
  const { user, system } = process.threadCpuUsage(before)
  expect((user + system) / 1000).toBeLessThan(HANG_MS)
}

/** Names, some of which are none. */
export const names = fc.oneof(
  fc.constantFrom(
    'M',
    'N',
    'a',
    'value',
    'key',
    '__proto__',
    'constructor',
    'toString',
    '',
    'a b',
    'x'.repeat(300),
    'ü',
  ),
  fc.string({ maxLength: 8 }),
)
/** Paths of fields, likewise. */
export const paths = fc.array(fc.oneof(names, fc.constantFrom('a', 'value', 'key')), { minLength: 1, maxLength: 20 })

/** Everything that a job does with descriptors. */
export function use(descriptors: Descriptors, path: readonly string[]): void {
  for (const message of [...descriptors.messageNames.slice(0, 5), 'p.M', '']) {
    descriptors.resolve(message, path)
    descriptors.resolve(message, path.join('.'))
    wireProblems(descriptors, descriptors, message)
  }
  descriptors.enumValue(path.join('.'))
  const field = JSON.stringify(path.join('.'))
  const event = `event: { message: ${JSON.stringify(descriptors.messageNames[0] ?? 'p.M')}, time: ${field}, key: ${field} }`
  const metric = `{ id: m, sum: { field: ${field} }, by: [${field}], where: "a == 'x'", window: { tumbling: 1m } }`
  parseJob(
    `apiVersion: millrace.dev/v1\nkind: Job\nmetadata: { name: j }\nsources: [{ log: { path: p, topic: t } }]\n${event}\nmetrics: [${metric}]\n`,
    descriptors,
  )
}
