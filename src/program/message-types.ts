/**
 * Event types of messages of one's own: from a descriptor set, from a schema registry, and out of its framing.
 *
 * What ts-proto or protobufjs generated needs nothing of this: it has `decode` already. Pure: authors read files.
 */
import {
  create,
  createFileRegistry,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from '@bufbuild/protobuf'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { MillraceError } from '../core/errors.ts'
import { type DeadLetterReason, deadLetterReasons } from '../event/schema.ts'
import type { EventType, JobProgram, RegisteredMessage } from './graph.ts'

type Init = MessageInitShape<DescMessage>

/** An event type that encodes too. */
export interface MessageType<T> extends EventType<T> {
  encode(message: T): { finish(): Uint8Array }
}

/**
 * The message `name` of a serialized google.protobuf.FileDescriptorSet, as `buf build -o` writes it. Events are plain
 * objects: fields in camelCase, 64-bit integers as bigint, timestamps as `{ seconds, nanos }`, a oneof as
 * `{ case, value }`, and `$typeName`; what is encoded may leave parts out. Throws JOB_INVALID when the set cannot be read, or does not hold the message.
 */
export function messageType<T>(descriptorSet: Uint8Array, name: string): MessageType<T> {
  const message = findMessage(descriptorSet, name)
  return {
    decode: (bytes) => fromBinary(message, bytes) as T,
    encode: (event) => ({ finish: () => toBinary(message, create(message, event as Init)) }),
  }
}

function findMessage(descriptorSet: Uint8Array, name: string): DescMessage {
  let found: DescMessage | undefined
  try {
    found = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptorSet)).getMessage(name)
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown)
    throw new MillraceError(
      'JOB_INVALID',
      `the descriptor set of ${name} cannot be used: ${why}; it must hold its imports ("buf build -o", "protoc --include_imports")`,
      { cause: thrown },
    )
  }
  if (found === undefined) throw new MillraceError('JOB_INVALID', `there is no message ${name} in the descriptor set`)
  return found
}

/** What is in front of a message that a schema registry knows. */
export interface FramingOptions {
  /** Where the message is in its schema: its place in the file, then in the message around it. The first unless given. */
  readonly index?: readonly number[]
  /** Schema id that `encode` writes, for sinks; 0 unless given. `decode` takes any id. */
  readonly schemaId?: number
}

/**
 * A message of a schema registry, by the subject that has its schema and its full name. The server asks for the latest
 * schema when the job is submitted, and keeps it with the job; values are framed, and events as `messageType` makes them.
 */
export function registeredType<T>(registered: RegisteredMessage): MessageType<T> {
  const unknown = (): never => {
    const { message, subject } = registered
    const text = `the schema of ${message} (subject ${subject}) is not known here: a server finds it, in a test openHarness is given it as descriptorSet`
    throw new MillraceError('USAGE', text)
  }
  return { decode: unknown, encode: unknown, registered }
}

/** The program with its registered messages found in `descriptorSet`. JOB_INVALID when one is not there. */
export function withSchemas(program: JobProgram, descriptorSet: Uint8Array | null): JobProgram {
  if (descriptorSet === null) return program
  const nodes = program.nodes.map((node) => {
    if (node.kind !== 'source' || node.type.registered === undefined) return node
    const { registered } = node.type
    const index = indexOf(findMessage(descriptorSet, registered.message))
    return { ...node, type: { ...framed(messageType(descriptorSet, registered.message), { index }), registered } }
  })
  return { ...program, nodes }
}

/** The index by which serializers name a message: its place in the file, or in the message around it. */
function indexOf(message: DescMessage): readonly number[] {
  const { parent, file } = message
  if (parent === undefined) return [file.messages.indexOf(message)]
  return [...indexOf(parent), parent.nestedMessages.indexOf(message)]
}

const MAGIC = 0
/** Magic byte and schema id. */
const HEADER_BYTES = 5

/** What makes a record a dead letter of another reason than `undecodable`. */
export class UnusableValue extends Error {
  readonly reason: DeadLetterReason

  constructor(reason: DeadLetterReason) {
    super(reason)
    this.reason = reason
  }
}

/** Why a value cannot be used, by what its type's `decode` has thrown; told by a name, as a job may have its own copy of this. */
export function reasonOf(thrown: unknown): DeadLetterReason {
  const { reason } = (thrown ?? {}) as { readonly reason?: unknown }
  return deadLetterReasons.find((known) => known === reason) ?? 'undecodable'
}

/**
 * A type whose values are framed as serializers of Confluent and Redpanda do it: a zero byte, the id of the schema, the
 * index of the message, the message. Other values are dead letters, `not_framed`; those of another message of the schema,
 * `unknown_type`. The registry is not asked: fields are found by number, as its compatibility rules promise.
 */
export function framed<T>(type: EventType<T>, options: FramingOptions = {}): MessageType<T> {
  const { index = [0], schemaId = 0 } = options
  const written = writeIndex(index)
  const first = index.length === 1 && index[0] === 0
  return {
    decode(bytes) {
      if (bytes.length <= HEADER_BYTES || bytes[0] !== MAGIC) throw new UnusableValue('not_framed')
      // The index [0] has a short form, a single zero.
      const short = first && bytes[HEADER_BYTES] === 0
      if (short) return type.decode(bytes.subarray(HEADER_BYTES + 1))
      for (let i = 0; i < written.length; i++)
        if (bytes[HEADER_BYTES + i] !== written[i]) throw new UnusableValue('unknown_type')
      return type.decode(bytes.subarray(HEADER_BYTES + written.length))
    },
    encode(event) {
      if (type.encode === undefined) throw new MillraceError('USAGE', 'the framed type has no encode')
      const message = type.encode(event).finish()
      const frame = first ? Uint8Array.of(0) : written
      const bytes = new Uint8Array(HEADER_BYTES + frame.length + message.length)
      new DataView(bytes.buffer).setUint32(1, schemaId)
      bytes.set(frame, HEADER_BYTES)
      bytes.set(message, HEADER_BYTES + frame.length)
      return { finish: () => bytes }
    },
  }
}

/** Length and steps of an index, each as a zigzag varint. */
function writeIndex(index: readonly number[]): Uint8Array {
  if (index.length === 0 || index.some((step) => !Number.isInteger(step) || step < 0)) {
    throw new MillraceError(
      'JOB_INVALID',
      `${JSON.stringify(index)} is no index of a message: write its places, as [0]`,
    )
  }
  return Uint8Array.from([index.length, ...index].flatMap(zigzag))
}

function zigzag(value: number): number[] {
  const bytes: number[] = []
  let rest = value * 2
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest & 0x7f) | 0x80)
  bytes.push(rest)
  return bytes
}
