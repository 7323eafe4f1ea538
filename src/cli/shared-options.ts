/** Options that many commands have, said once. */
import { type Command, InvalidArgumentError, Option } from 'commander'

/** Adds `--output`. */
export function withOutput(command: Command): Command {
  return command.addOption(
    new Option('-o, --output <form>', 'table for people, json for machines')
      .choices(['table', 'json'])
      .default('table'),
  )
}

/** Adds `--server`, `--timeout` and `--output`. */
export function withServer(command: Command): Command {
  return withOutput(
    command
      .option('-s, --server <host:port>', 'server to talk to (MILLRACE_SERVER; default 127.0.0.1:7420)')
      .option('--timeout <seconds>', 'longest wait for an answer', positive, 30),
  )
}

/** A number above 0. */
export function positive(text: string): number {
  const value = Number(text)
  if (!(value > 0 && Number.isFinite(value))) throw new InvalidArgumentError('must be a number above 0.')
  return value
}

/** A whole number above 0. */
export function positiveInteger(text: string): number {
  const value = Number(text)
  if (!(Number.isSafeInteger(value) && value > 0)) throw new InvalidArgumentError('must be a whole number above 0.')
  return value
}

/** Collects an option that may be given more than once. */
export function collect(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text]
}
