/**
 * JSON documents to Protobuf messages of a descriptor set, by the rules of ProtoJSON.
 *
 * For the command line, on a set that its user gave: reading of hostile sets is event/descriptor.ts.
 */
import {
  createFileRegistry,
  type DescMessage,
  fromBinary,
  fromJson,
  type JsonValue,
  toBinary,
} from '@bufbuild/protobuf'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { MillraceError } from '../core/errors.ts'

/** Encodes messages of one type. */
export class MessageEncoder {
  readonly #message: DescMessage
  readonly #registry: ReturnType<typeof createFileRegistry>

  /** Throws DESCRIPTOR_INVALID when the set does not hold the message and all that it imports. */
  constructor(descriptorSet: Uint8Array, name: string) {
    try {
      this.#registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptorSet))
    } catch (thrown) {
      const why = thrown instanceof Error ? thrown.message : String(thrown)
      throw new MillraceError(
        'DESCRIPTOR_INVALID',
        `the descriptor set cannot be used: ${why}; it must hold its imports ("buf build -o", "protoc --include_imports")`,
        { cause: thrown },
      )
    }
    const message = this.#registry.getMessage(name)
    if (message === undefined)
      throw new MillraceError('DESCRIPTOR_INVALID', `there is no message "${name}" in the descriptor set`)
    this.#message = message
  }

  /** The bytes of a document. Throws INPUT_INVALID, with what is wrong with it. */
  encode(document: unknown): Uint8Array {
    try {
      return toBinary(this.#message, fromJson(this.#message, document as JsonValue, { registry: this.#registry }))
    } catch (thrown) {
      throw new MillraceError('INPUT_INVALID', thrown instanceof Error ? thrown.message : String(thrown), {
        cause: thrown,
      })
    }
  }
}
