/**
 * Durations and sizes as people write them: `500ms`, `5s`, `1h30m`, `90d`; `64Mi`, `1Gi`, `4096`.
 *
 * Pure text to numbers and back. A day is 24 hours and a week seven days here: calendar days are the windows' affair.
 */

const units: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}

const sizes: Readonly<Record<string, number>> = {
  '': 1,
  K: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 1024,
  Mi: 1024 ** 2,
  Gi: 1024 ** 3,
  Ti: 1024 ** 4,
}

/** Longest duration: a hundred years. */
export const DURATION_MS_MAX = 36_525 * 86_400_000

/** Milliseconds of `1h30m`, `-15m` or `0`; NaN when it is no duration, is no whole millisecond, or exceeds a hundred years. */
export function parseDuration(text: string): number {
  const trimmed = text.trim()
  if (trimmed === '0') return 0
  const total = totalMs(trimmed)
  const ms = Math.round(total)
  if (Number.isNaN(total) || Math.abs(ms - total) > 1e-6 || ms > DURATION_MS_MAX) return Number.NaN
  return trimmed.startsWith('-') && ms !== 0 ? -ms : ms
}

/** Whether a text is a duration but for its length. */
export function isTooLong(text: string): boolean {
  return totalMs(text.trim()) > DURATION_MS_MAX
}

/** Milliseconds without the sign; NaN when it is no duration. */
function totalMs(text: string): number {
  if (text.length > 40 || !/^-?(\d+(\.\d+)?(ms|s|m|h|d|w))+$/.test(text)) return Number.NaN
  let total = 0
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d|w)/g))
    total += Number(amount) * units[unit!]!
  return total
}

/** The shortest exact form with one unit: `90d`, `90s`, `1500ms`. A week is written as days. */
export function formatDuration(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's'] as const)
    if (ms !== 0 && ms % units[unit]! === 0) return `${ms / units[unit]!}${unit}`
  return ms === 0 ? '0s' : `${ms}ms`
}

/** Bytes of `64Mi`, `1G` or `4096`; NaN when it is no size or not a whole number of bytes. */
export function parseSize(text: string): number {
  const match = /^(\d{1,15}(?:\.\d{1,6})?)\s*([KMGT]i?|)B?$/.exec(text.trim())
  if (match === null) return Number.NaN
  const bytes = Number(match[1]) * sizes[match[2]!]!
  return Number.isSafeInteger(bytes) ? bytes : Number.NaN
}
