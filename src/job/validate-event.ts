/**
 * Whether the `event` section of a job makes sense against its descriptors. All mistakes at once.
 *
 * Owns: rules on message, time, key, and on types that are told apart. Does not own: the fields of metrics
 * (job/validate.ts).
 */
import { didYouMean } from '../core/suggest.ts'
import type { Descriptors } from '../event/descriptor.ts'
import { isInteger } from '../event/schema.ts'
import type { EventDefinition, EventTypeDefinition } from './event-definition.ts'
import type { EventScope } from './event-scope.ts'
import type { DocumentPath } from './parse-reader.ts'

/** Most types of event of a job. */
export const EVENT_TYPES_MAX = 16

const NAME_MAX = 256
const HINT_NAMES_MAX = 1000
const TYPE_MESSAGE = 11

type Report = (path: DocumentPath, message: string) => void

/** Tells every mistake of the section; true when fields can be resolved, so that metrics may be looked at. */
export function validateEvent(
  event: EventDefinition,
  scope: EventScope,
  descriptors: Descriptors,
  report: Report,
): boolean {
  const { types } = event
  if (types === undefined) {
    if (!knownMessage(event.message, ['event', 'message'], descriptors, report)) return false
    validateTimeAndKey(
      scope,
      0,
      event.time,
      event.key,
      [
        ['event', 'time'],
        ['event', 'key'],
      ],
      report,
    )
    return true
  }
  if (types.length > EVENT_TYPES_MAX) {
    report(['event', 'oneOf'], `a job takes at most ${EVENT_TYPES_MAX} types of event, not ${types.length}`)
    return false
  }
  if (!validateTests(event, types, descriptors, report)) return false
  types.forEach((type, i) => {
    const at = ['event', 'oneOf', i]
    const places: [DocumentPath, DocumentPath] = [
      type.time === '' ? ['event', 'time'] : [...at, 'time'],
      type.key === '' ? ['event', 'key'] : [...at, 'key'],
    ]
    validateTimeAndKey(scope, i, type.time || event.time, type.key || event.key, places, report)
  })
  return true
}

function knownMessage(name: string, path: DocumentPath, descriptors: Descriptors, report: Report): boolean {
  const message = descriptors.message(name)
  if (message !== undefined && !message.isMapEntry) return true
  const hint = didYouMean(name, descriptors.messageNames.slice(0, HINT_NAMES_MAX))
  report(path, `there is no message "${name}" in the descriptors${hint}`)
  return false
}

function validateTimeAndKey(
  scope: EventScope,
  index: number,
  timePath: string,
  keyPath: string,
  [timeAt, keyAt]: readonly [DocumentPath, DocumentPath],
  report: Report,
): void {
  const type = scope.types[index]!
  const of = type.definition === null ? '' : `type ${type.type}: `
  const time = scope.resolveIn(type, timePath)
  if (!time.ok) report(timeAt, `${of}${time.problem}`)
  else if (time.field.type !== 'timestamp' && !isInteger(time.field.type)) {
    report(timeAt, `${of}"${timePath}" is ${time.field.type}; a time is a google.protobuf.Timestamp or an integer`)
  }
  const key = scope.resolveIn(type, keyPath)
  if (!key.ok) report(keyAt, `${of}${key.problem}`)
  else if (key.field.type !== 'string' && key.field.type !== 'bytes' && !isInteger(key.field.type)) {
    report(keyAt, `${of}"${keyPath}" is ${key.field.type}; a key is a string, bytes or an integer`)
  }
}

/** Types are told apart, all in the same way, and no two by the same. */
function validateTests(
  event: EventDefinition,
  types: readonly EventTypeDefinition[],
  descriptors: Descriptors,
  report: Report,
): boolean {
  let good = true
  const wrong: Report = (path, message) => {
    good = false
    report(path, message)
  }
  const kind = types[0]!.when?.kind
  const header = types[0]!.when?.kind === 'header' ? types[0]!.when.header : ''
  const names = new Map<string, number>()
  const tests = new Map<string, number>()
  types.forEach((type, i) => {
    const at = ['event', 'oneOf', i]
    if (type.type.length > NAME_MAX) wrong([...at, 'type'], `is longer than ${NAME_MAX} characters`)
    else if (names.has(type.type)) wrong([...at, 'type'], `type "${type.type}" is named twice`)
    names.set(type.type, i)
    if (type.when?.kind !== kind) {
      wrong([...at, 'when'], 'all types are told apart in the same way: by a header, by a field, or by the registry')
      return
    }
    if (type.when?.kind === 'field')
      validateMember(event, type.when.field, [...at, 'when', 'field'], descriptors, wrong)
    else knownMessage(type.message, [...at, 'message'], descriptors, wrong)
    if (type.when === null) {
      if (event.schema?.kind !== 'registry' && types.length > 1)
        wrong(
          [...at, 'when'],
          'is missing: without a schema registry, a type needs { header: …, equals: … } or { field: … }',
        )
    } else if (type.when.kind === 'header') {
      if (type.when.header !== header) wrong([...at, 'when', 'header'], `must be "${header}", as for the first type`)
      if (type.when.header.length > NAME_MAX || type.when.equals.length > NAME_MAX)
        wrong([...at, 'when'], `is longer than ${NAME_MAX} characters`)
    }
    const test = testOf(type)
    if (tests.has(test)) wrong([...at, 'when'], 'is the test of another type too')
    tests.set(test, i)
  })
  return good
}

function testOf({ message, when }: EventTypeDefinition): string {
  if (when === null) return message
  return when.kind === 'header' ? when.equals : when.field
}

function validateMember(
  event: EventDefinition,
  name: string,
  at: DocumentPath,
  descriptors: Descriptors,
  report: Report,
): void {
  if (!knownMessage(event.message, ['event', 'message'], descriptors, report)) return
  const envelope = descriptors.message(event.message)!
  const field = envelope.fields.get(name)
  if (field === undefined) {
    const hint = didYouMean(name, [...envelope.fields.keys()].slice(0, HINT_NAMES_MAX))
    report(at, `${event.message} has no field "${name}"${hint}`)
  } else if (field.repeated || field.delimited || field.type !== TYPE_MESSAGE) {
    report(at, `"${name}" must be a single message: a member of the envelope's oneof`)
  }
}
