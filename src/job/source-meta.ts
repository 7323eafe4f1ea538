/** What a snapshot says of the sources that a subtask reads as one, in the order of their places. Pure. */
import type { SourceDescriptor } from './state-identity.ts'

const FORMAT_VERSION = 1

/** The sources as a snapshot keeps them. */
export function encodeSources(sources: readonly SourceDescriptor[]): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ version: FORMAT_VERSION, sources }))
}

/**
 * The sources of a parsed meta document; null when it is of something else. What was written before sources were
 * described has their ids alone.
 */
export function decodeSources(meta: unknown): readonly SourceDescriptor[] | null {
  if (Array.isArray(meta)) return (meta as readonly string[]).map((id) => ({ id, input: null }))
  if (typeof meta !== 'object' || meta === null || !('sources' in meta)) return null
  return meta.sources as readonly SourceDescriptor[]
}
