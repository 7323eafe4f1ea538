/** Values of state as JSON can say them: for people, and never read back. Pure. */

const DEPTH_MAX = 6
const ITEMS_MAX = 20
const TEXT_MAX = 200

/** Maps as objects or pairs, sets as lists, dates as texts, bytes as their number; what is long or deep is cut. */
export function plainValue(value: unknown, depth = 0): unknown {
  switch (typeof value) {
    case 'bigint':
      return `${value}n`
    case 'string':
      return value.length > TEXT_MAX ? `${value.slice(0, TEXT_MAX)}…` : value
    case 'number':
      return Number.isFinite(value) ? value : String(value)
    case 'object':
      return value === null ? null : depth >= DEPTH_MAX ? '…' : plainObject(value, depth + 1)
    default:
      return value === undefined ? null : value
  }
}

function plainObject(value: object, depth: number): unknown {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'no date' : value.toISOString()
  if (value instanceof Uint8Array) return { bytes: value.length }
  if (value instanceof Map) return listOf([...value], (pair) => pair.map((part) => plainValue(part, depth)))
  if (value instanceof Set) return listOf([...value], (item) => plainValue(item, depth))
  if (Array.isArray(value)) return listOf(value, (item) => plainValue(item, depth))
  const entries = Object.entries(value)
  const shown = entries.slice(0, ITEMS_MAX).map(([name, item]) => [name, plainValue(item, depth)])
  return Object.fromEntries(entries.length > ITEMS_MAX ? [...shown, ['…', entries.length - ITEMS_MAX]] : shown)
}

function listOf<T>(items: readonly T[], plain: (item: T) => unknown): unknown[] {
  const shown = items.slice(0, ITEMS_MAX).map(plain)
  return items.length > ITEMS_MAX ? [...shown, `… ${items.length - ITEMS_MAX} more`] : shown
}
