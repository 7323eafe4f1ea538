/**
 * `millrace produce` for messages of users: JSON documents of a descriptor set, instead of rows that are mapped.
 *
 * Time and key of a record are those that a job would read, found by the decoder of jobs itself: a document without them
 * is told before it is written.
 */
import { MillraceError } from '../core/errors.ts'
import { loadDescriptors } from '../event/descriptor.ts'
import { openDecoder } from '../event/event-decoder.ts'
import { MessageEncoder } from '../event/message-json.ts'
import { reasonOf } from '../event/projection.ts'
import { ScanBatch } from '../event/scan.ts'
import type { EventSchema, FieldRef } from '../event/schema.ts'
import { jobDefaults } from '../job/defaults.ts'
import type { JobDefinition } from '../job/definition.ts'
import { planJob } from '../job/planner.ts'
import { usage } from './failure.ts'
import type { RowEncoder } from './replay.ts'

/** Options of `produce` that say which message. */
export interface MessageOptions {
  readonly message?: string
  readonly time?: string
  readonly key?: string
}

/** Encodes rows as the messages that a job reads; `--message` names another one of the same set. */
export function jobMessages(definition: JobDefinition, descriptorSet: Uint8Array, options: MessageOptions): RowEncoder {
  const { event } = definition
  if (event.schema?.kind === 'registry')
    throw usage('the job reads values that a schema registry frames, which produce does not write')
  if (event.types?.some(({ when }) => when?.kind === 'header') === true)
    throw usage('the job tells types of event by a record header, which produce does not write')
  if (options.message !== undefined) return plainMessages(descriptorSet, { ...event, ...options })
  const { schema } = planJob(definition, { threads: 1, descriptors: loadDescriptors(descriptorSet) })
  return encoderOf(descriptorSet, schema)
}

/** Encodes rows as a message that options describe. Throws USAGE without `--message`. */
export function plainMessages(descriptorSet: Uint8Array, options: MessageOptions): RowEncoder {
  const { message, time = jobDefaults.event.time, key = jobDefaults.event.key } = options
  if (message === undefined) throw usage('--descriptor-set needs --message, or a --job that names one')
  const descriptors = loadDescriptors(descriptorSet)
  const field = (path: string, option: string): FieldRef => {
    const resolved = descriptors.resolve(message, path)
    if (resolved.ok) return resolved.field
    throw usage(`${option} ${path}: ${resolved.problem}`)
  }
  const schema = { message, time: field(time, '--time'), timeUnitMs: 1, key: field(key, '--key'), columns: [] }
  return encoderOf(descriptorSet, schema)
}

function encoderOf(descriptorSet: Uint8Array, schema: EventSchema): RowEncoder {
  const encoder = new MessageEncoder(descriptorSet, schema.message)
  const decoder = openDecoder(schema, () => {})
  const batch = new ScanBatch(schema.columns)
  return ({ cells }) => {
    let value: Uint8Array
    try {
      value = encoder.encode(cells)
    } catch (thrown) {
      return MillraceError.from(thrown).message
    }
    batch.reset()
    const reason = decoder.decode(value, 0, value.length, batch, value.length)
    if (reason !== 0) return `no job could read it: ${reasonOf(reason) ?? 'it is of none of the types of the job'}`
    return { timeMs: batch.timeMs[0]!, key: batch.keyBytes.slice(batch.keyStart[0]!, batch.keyEnd[0]!), value }
  }
}
