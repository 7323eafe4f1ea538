/**
 * How a command ends: its exit code, and how its error is told.
 *
 * Exit codes are API: scripts branch on them.
 */
import { type ErrorCode, MillraceError, type Violation } from '../core/errors.ts'
import { printable } from './format.ts'

/** The exit codes, and what they mean. */
export const exitCodes = {
  ok: 0,
  /** The command or the job failed. */
  failure: 1,
  /** The command was not understood. */
  usage: 2,
  /** A job definition, a query, a setting or a file is not what it must be. */
  invalid: 3,
  /** No server, broker or store answers. */
  unreachable: 4,
  /** What was named does not exist. */
  notFound: 5,
  /** The server does not know who calls, or does not let them. */
  denied: 6,
  /** Ended by Ctrl-C. */
  interrupted: 130,
} as const

const byCode: Partial<Record<ErrorCode, number>> = {
  USAGE: exitCodes.usage,
  JOB_INVALID: exitCodes.invalid,
  EXPRESSION_INVALID: exitCodes.invalid,
  DESCRIPTOR_INVALID: exitCodes.invalid,
  CONFIG_INVALID: exitCodes.invalid,
  INPUT_INVALID: exitCodes.invalid,
  QUERY_INVALID: exitCodes.invalid,
  QUERY_TOO_LARGE: exitCodes.invalid,
  LIMIT_EXCEEDED: exitCodes.invalid,
  UNAUTHENTICATED: exitCodes.denied,
  PERMISSION_DENIED: exitCodes.denied,
  BROKER_UNREACHABLE: exitCodes.unreachable,
  STORE_UNREACHABLE: exitCodes.unreachable,
  UNAVAILABLE: exitCodes.unreachable,
  DEADLINE_EXCEEDED: exitCodes.unreachable,
  JOB_NOT_FOUND: exitCodes.notFound,
  METRIC_NOT_FOUND: exitCodes.notFound,
  CHECKPOINT_NOT_FOUND: exitCodes.notFound,
  SAVEPOINT_NOT_FOUND: exitCodes.notFound,
  TOPIC_NOT_FOUND: exitCodes.notFound,
}

/** The exit code of an error. */
export function exitCodeOf(error: MillraceError): number {
  return byCode[error.code] ?? exitCodes.failure
}

/** `file:line:col: message` for a mistake in a document; without a place, its field. */
export function violationLine(file: string, violation: Violation): string {
  const place = violation.line > 0 ? `${file}:${violation.line}:${violation.column}` : file
  const field = violation.field === '' || violation.message.startsWith(violation.field) ? '' : `${violation.field}: `
  return printable(`${place}: ${field}${violation.message}`)
}

/** What to do about an error, where the message does not say it already. */
const hints: Partial<Record<ErrorCode, string>> = {
  JOB_EXISTS: 'stop or cancel the job first, or submit under another name',
  JOB_NOT_FOUND: '`list` shows the jobs that there are',
  METRIC_NOT_FOUND: '`query` without a metric shows those that there are',
  SAVEPOINT_EXISTS: 'give it another name, or delete the one that is there',
}

/** The lines that tell an error. `file` is the document that its violations are in. */
export function errorLines(error: MillraceError, file: string | null, command: string): string[] {
  const lines: string[] = []
  if (error.violations.length > 0 && error.code !== 'CONFIG_INVALID') {
    for (const violation of error.violations) lines.push(violationLine(file ?? 'input', violation))
    const count = error.violations.length
    lines.push(
      `${command}: ${count === 1 ? 'a mistake' : `${count} mistakes`} in ${file ?? 'the input'} (${error.code})`,
    )
  } else if (error.code === 'CONFIG_INVALID' && error.violations.length > 0) {
    for (const violation of error.violations) lines.push(violationLine('environment', violation))
    lines.push(`${command}: the environment is not usable (${error.code})`)
  } else {
    lines.push(`${command}: ${printable(error.message)} (${error.code})`)
  }
  const hint = hints[error.code]
  if (hint !== undefined) lines.push(`hint: ${hint.replace(/`(\w+)`/, `\`${command} $1\``)}`)
  return lines
}

/** Ends a command with an exit code and nothing more to say. */
export class ExitSignal extends Error {
  readonly exitCode: number

  constructor(exitCode: number) {
    super(`exit ${exitCode}`)
    this.exitCode = exitCode
  }
}

/** A usage error: what was typed, and how it is right. */
export function usage(message: string): MillraceError {
  return new MillraceError('USAGE', message)
}

/** A MillraceError that remembers which file its violations are in. */
export class FileError extends Error {
  readonly error: MillraceError
  readonly file: string

  constructor(error: MillraceError, file: string) {
    super(error.message, { cause: error })
    this.error = error
    this.file = file
  }
}
