/**
 * The messages of a job definition with their comments, read from proto/millrace/v1/job.proto.
 *
 * Owns: names, nesting and descriptions of keys. Does not own: what the parser makes of them (probe.ts).
 */
import { readFileSync } from 'node:fs'
import protobuf from 'protobufjs'

/** One field of a message. */
export interface ProtoField {
  /** As documents write it, in lower camel case. */
  readonly name: string
  readonly description: string
  /** Full name of a message type, or a scalar's name. */
  readonly type: string
  readonly isMessage: boolean
  readonly repeated: boolean
  readonly isMap: boolean
}

/** One message. */
export interface ProtoMessage {
  readonly name: string
  readonly description: string
  readonly fields: readonly ProtoField[]
}

/** The messages of job.proto by name. */
export function readJobProto(): ReadonlyMap<string, ProtoMessage> {
  const text = readFileSync(new URL('../../proto/millrace/v1/job.proto', import.meta.url), 'utf8')
  const { root } = protobuf.parse(text, { alternateCommentMode: true })
  const messages = new Map<string, ProtoMessage>()
  const scope = root.lookup('millrace.v1')
  if (!(scope instanceof protobuf.Namespace)) throw new Error('job.proto has no package millrace.v1')
  const own = new Set(scope.nestedArray.map((nested) => nested.name))
  const fieldNames = new Set(text.match(/\b[a-z]+(?:_[a-z]+)+(?= = \d)/g))
  const textOf = (comment: string | null) => commentText(comment, fieldNames)
  for (const nested of scope.nestedArray) {
    if (!(nested instanceof protobuf.Type)) continue
    const fields = nested.fieldsArray.map((field) => ({
      name: field.name,
      description: textOf(field.comment),
      type: field.type,
      isMessage: own.has(field.type),
      repeated: field.repeated,
      isMap: field instanceof protobuf.MapField,
    }))
    messages.set(nested.name, { name: nested.name, description: textOf(nested.comment), fields })
  }
  return messages
}

/** A comment in one line; names of fields as documents write them. */
function commentText(comment: string | null, fieldNames: ReadonlySet<string>): string {
  return (comment ?? '')
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/`(\w+)`/g, (code, name: string) =>
      fieldNames.has(name) ? `\`${protobuf.util.camelCase(name)}\`` : code,
    )
    .trim()
}
