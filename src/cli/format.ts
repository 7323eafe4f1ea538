/**
 * Values as people read them.
 *
 * Pure. Texts that come from outside (dimension values, messages) pass `printable` before they reach a terminal: events
 * are written by strangers, and a terminal obeys escape sequences.
 */
import { formatInstant } from '../core/instant.ts'

// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the point.
const unprintable = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

/** A text without control characters and direction overrides; each becomes its code, as `\x1b`. */
export function printable(text: string): string {
  return text.replace(unprintable, (character) => {
    const code = character.charCodeAt(0)
    return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`
  })
}

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })
const fractional = new Intl.NumberFormat('en-US', { maximumFractionDigits: 6 })
const short = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 })

/** A number with thousands separators; six decimals at most. */
export function formatNumber(value: number): string {
  if (Number.isInteger(value)) return whole.format(value)
  return fractional.format(value)
}

const sizeUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** A size in binary units. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < sizeUnits.length - 1) {
    value /= 1024
    unit++
  }
  return `${short.format(value)} ${sizeUnits[unit]}`
}

/** How long something took or takes: `12 ms`, `3.4 s`, `5m 6s`, `2h 3m`, `4d 5h`. */
export function formatElapsed(ms: number): string {
  if (ms < 1000) return `${short.format(Math.max(0, ms))} ms`
  if (ms < 60_000) return `${short.format(ms / 1000)} s`
  const seconds = Math.floor(ms / 1000)
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${seconds % 60}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 1440) return `${Math.floor(minutes / 60)}h ${minutes % 60}m`
  const hours = Math.floor(minutes / 60)
  return `${Math.floor(hours / 24)}d ${hours % 24}h`
}

/** An instant in UTC, short: `2024-03-13 10:21:14`. */
export function formatTime(ms: number): string {
  return formatInstant(Math.floor(ms / 1000) * 1000)
    .replace('T', ' ')
    .replace('Z', '')
}

/** A watermark: `-` before the first event, `end` after the last. */
export function formatWatermark(ms: number): string {
  if (ms === Number.POSITIVE_INFINITY) return 'end'
  return Number.isFinite(ms) ? formatTime(ms) : '-'
}

const localTimes = new Map<string, Intl.DateTimeFormat>()

/** An instant in a zone, as `2024-03-13 10:21`, or only the day where it is midnight there. */
export function formatLocal(ms: number, timezone: string): string {
  let format = localTimes.get(timezone)
  if (format === undefined) {
    format = new Intl.DateTimeFormat('sv-SE', {
      timeZone: timezone,
      dateStyle: 'short',
      timeStyle: 'medium',
    })
    localTimes.set(timezone, format)
  }
  return format.format(ms)
}

/** A window in its zone: `2024-03-13` for a day, else its start and its end as far as it differs; `-` for none. */
export function formatWindow(startMs: number, endMs: number, timezone: string): string {
  // Before the year 1, which the protocol cannot say.
  if (!Number.isFinite(startMs) || !Number.isFinite(endMs)) return '-'
  const start = formatLocal(startMs, timezone)
  const end = formatLocal(endMs, timezone)
  const [startDay = '', startTime = ''] = start.split(' ')
  const [endDay = '', endTime = ''] = end.split(' ')
  if (startTime === '00:00:00' && endTime === '00:00:00') {
    // Noon of the first day plus one day is the next day in every zone and season.
    const nextDay = formatLocal(startMs + 36 * 3_600_000, timezone).split(' ')[0]
    return endDay === nextDay ? startDay : `${startDay} … ${endDay}`
  }
  const trim = (time: string) => (time.endsWith(':00') ? time.slice(0, 5) : time)
  return `${startDay} ${trim(startTime)}–${startDay === endDay || endTime === '00:00:00' ? '' : `${endDay} `}${trim(endTime)}`
}
