/**
 * Descriptor sets for tests: the built-in one, and those of .proto texts.
 */
import { readFileSync } from 'node:fs'
import protobuf from 'protobufjs'
import 'protobufjs/ext/descriptor.js'
import { type Descriptors, loadDescriptors } from '../../src/event/descriptor.ts'

let builtIn: Descriptors | undefined

/** The descriptors that ship with Millrace. */
export function builtInDescriptors(): Descriptors {
  builtIn ??= loadDescriptors(readFileSync(new URL('../../src/gen/descriptors.binpb', import.meta.url)))
  return builtIn
}

interface RawMessage {
  readonly name: string
  readonly field: { typeName?: string }[]
  readonly nestedType: RawMessage[]
}

function fullName(root: protobuf.Root, scope: string, name: string): string {
  for (let at = scope; ; at = at.slice(0, at.lastIndexOf('.'))) {
    const found = root.lookup(`${at}.${name}`)
    if (found !== null) return found.fullName
    if (at === '') throw new Error(`there is no type ${name} in ${scope}`)
  }
}

/** The FileDescriptorSet of a root. protobufjs writes type names as they stand in the text; compilers write them in full. */
export function descriptorBytes(root: protobuf.Root, syntax = 'proto3'): Uint8Array {
  const set = (root as unknown as { toDescriptor(syntax: string): unknown }).toDescriptor(syntax) as {
    readonly $type: protobuf.Type
    readonly file: { readonly package?: string; readonly messageType: RawMessage[] }[]
  }
  const complete = (message: RawMessage, scope: string): void => {
    const own = `${scope}.${message.name}`
    for (const field of message.field) {
      if (!field.typeName || field.typeName.startsWith('.')) continue
      const isEntry = message.nestedType.some((n) => n.name === field.typeName)
      field.typeName = isEntry ? `${own}.${field.typeName}` : fullName(root, own, field.typeName)
    }
    for (const nested of message.nestedType) complete(nested, own)
  }
  for (const file of set.file)
    for (const message of file.messageType) complete(message, file.package ? `.${file.package}` : '')
  return set.$type.encode(set as unknown as protobuf.Message).finish()
}

/** The descriptors of a .proto text. */
export function descriptorsOf(source: string, syntax = 'proto3'): Descriptors {
  const root = protobuf.parse(source, { keepCase: true }).root
  root.resolveAll()
  return loadDescriptors(descriptorBytes(root, syntax))
}
