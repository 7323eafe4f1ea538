/**
 * Instants as people write them: RFC 3339 in UTC, to and from epoch milliseconds.
 *
 * Pure conversion: reads no clock. The place where `Date` is used as a calendar.
 */

const rfc3339 =
  /^(\d{4})-(\d{2})-(\d{2})(?:[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?\s*([Zz]|[+-]\d{2}:?\d{2})?)?$/

/** `2024-03-13T10:21:14Z`, with milliseconds only where there are some. Infinities and what no Date holds are ''. */
export function formatInstant(ms: number): string {
  if (!(Math.abs(ms) <= 8.64e15)) return ''
  return new Date(ms).toISOString().replace('.000Z', 'Z')
}

/**
 * The epoch milliseconds of an RFC 3339 time, a date (its midnight), or a time without zone (taken as UTC); NaN when it
 * is none of these or names no day (`2024-02-30`).
 */
export function parseInstant(text: string): number {
  const match = rfc3339.exec(text.trim())
  if (match === null) return Number.NaN
  const [, year, month, day, hour, minute, second, fraction, zone] = match
  const fields = [year, month, day, hour, minute, second].map((field) => Number(field ?? 0)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  const ms = fraction === undefined ? 0 : Math.floor(Number(`0.${fraction}`) * 1000 + 1e-9)
  const utc = Date.UTC(fields[0], fields[1] - 1, fields[2], fields[3], fields[4], fields[5], ms)
  const at = new Date(utc)
  if (fields[0] < 100) at.setUTCFullYear(fields[0])
  const same =
    at.getUTCMonth() === fields[1] - 1 &&
    at.getUTCDate() === fields[2] &&
    at.getUTCHours() === fields[3] &&
    at.getUTCMinutes() === fields[4] &&
    at.getUTCSeconds() === fields[5]
  if (!same) return Number.NaN
  if (zone === undefined || zone === 'Z' || zone === 'z') return at.getTime()
  const digits = zone.replace(':', '')
  const offsetMinutes = Number(digits.slice(1, 3)) * 60 + Number(digits.slice(3, 5))
  return at.getTime() - (digits.startsWith('-') ? -offsetMinutes : offsetMinutes) * 60_000
}

/** A Date of epoch milliseconds, for libraries that want one. */
export function dateOf(ms: number): Date {
  return new Date(ms)
}
