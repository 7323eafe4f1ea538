/**
 * A deep copy of a plain value: of what a job's code keeps, for a place where that code may change it.
 *
 * Owns: copying the kinds of values that program/value-writer.ts stores; what else there is, it refuses as state. Numbers
 * and texts cost a comparison.
 */

/** The value itself where nothing can change it, else a copy that shares nothing with it. */
export function copyValue(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  // Most accumulators are an object of a few numbers.
  if (Object.getPrototypeOf(value) === Object.prototype) return copyObject(value)
  if (Array.isArray(value)) return value.map(copyValue)
  if (value instanceof Map) {
    const copy = new Map<unknown, unknown>()
    for (const [key, inner] of value) copy.set(copyValue(key), copyValue(inner))
    return copy
  }
  if (value instanceof Set) return new Set(Array.from(value, copyValue))
  if (value instanceof Uint8Array) return value.slice()
  if (value instanceof Date) return new Date(value)
  return copyObject(value)
}

function copyObject(value: object): Record<string, unknown> {
  const copy: Record<string, unknown> = { ...value }
  for (const key of Object.keys(copy)) {
    const inner = copy[key]
    if (typeof inner === 'object' && inner !== null) copy[key] = copyValue(inner)
  }
  return copy
}
