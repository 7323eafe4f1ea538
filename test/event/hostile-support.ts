/** What the tests of hostile descriptors share: names, and what a job does with descriptors. */
import fc from 'fast-check'
import type { Descriptors } from '../../src/event/descriptor.ts'
import { wireProblems } from '../../src/event/evolution.ts'
import { parseJob } from '../../src/job/parse.ts'

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
