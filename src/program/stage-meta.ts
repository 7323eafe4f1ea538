/** What a snapshot says of the state of a keyed operator beside its pages. */
const FORMAT_VERSION = 1

/** The meta document of an operator with these parts of state, `name:kind` each. */
export function encodeStageMeta(slots: readonly string[]): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ version: FORMAT_VERSION, slots }))
}

/** The parts of state of a parsed meta document; null when it is of something else, or of a later version. */
export function decodeSlots(meta: unknown): readonly string[] | null {
  if (typeof meta !== 'object' || meta === null || !('slots' in meta)) return null
  return (meta as { version?: unknown }).version === FORMAT_VERSION ? (meta.slots as readonly string[]) : null
}
