/**
 * Structured log lines to standard error: JSON for machines, one line of text for a terminal.
 *
 * Owns: the form of a line, and the one place where they are written. Worker threads do not write: they send their
 * lines here, so that lines of different threads never mix. Does not own: what is worth a line.
 */
import { destination, pino } from 'pino'
import { formatInstant } from '../core/instant.ts'

/** Levels, from least to most severe. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** What a line carries besides its message. */
export type LogFields = Readonly<Record<string, unknown>>

/** Writes lines. */
export interface Logger {
  log(level: LogLevel, message: string, fields?: LogFields): void
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
  /** A logger whose lines all carry `fields` too. */
  child(fields: LogFields): Logger
}

/** Where lines go. */
export interface LogSink {
  write(text: string): unknown
}

/** How a logger writes. */
export interface LogOptions {
  readonly level: LogLevel
  readonly format: 'json' | 'text'
  readonly nowMs: () => number
  /** Standard error, written synchronously, unless given. */
  readonly sink?: LogSink
}

/** Makes the logger of a process. */
export function createLogger(options: LogOptions): Logger {
  const raw: LogSink = options.sink ?? destination({ dest: 2, sync: true })
  const sink: LogSink = options.format === 'json' ? raw : { write: (line) => raw.write(textLine(line)) }
  const root = pino(
    {
      level: options.level,
      base: null,
      messageKey: 'message',
      timestamp: () => `,"time":"${formatInstant(options.nowMs())}"`,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: plainError },
    },
    { write: (line) => void sink.write(line) },
  )
  return wrap(root)
}

type PinoLogger = ReturnType<typeof pino<never>>

function wrap(inner: PinoLogger): Logger {
  const log = (level: LogLevel, message: string, fields: LogFields = {}) => inner[level](fields, message)
  return {
    log,
    debug: (message, fields) => log('debug', message, fields),
    info: (message, fields) => log('info', message, fields),
    warn: (message, fields) => log('warn', message, fields),
    error: (message, fields) => log('error', message, fields),
    child: (fields) => wrap(inner.child(fields)),
  }
}

/** An error as a line shows it: its code and message, and the stack where it is a bug. */
function plainError(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const { code } = error as { code?: unknown }
  const known = typeof code === 'string' && code !== 'INTERNAL'
  return { ...(code === undefined ? {} : { code }), message: error.message, ...(known ? {} : { stack: error.stack }) }
}

/** `10:21:14.123 WARN  message job=engagement attempt=2` from a JSON line. */
function textLine(json: string): string {
  const { level, time, message, ...fields } = JSON.parse(json) as Record<string, unknown>
  const clock = typeof time === 'string' ? formatClock(time) : ''
  const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${fieldText(value)}`)
  return `${clock} ${String(level).toUpperCase().padEnd(5)} ${String(message)}${rest.join('')}\n`
}

function formatClock(time: string): string {
  const clock = time.slice(11, -1)
  return clock.includes('.') ? clock : `${clock}.000`
}

function fieldText(value: unknown): string {
  if (typeof value === 'string') return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value)
  return JSON.stringify(value) ?? 'undefined'
}
