/** What commands share: their settings, a client for as long as they run, the text of a job file, Ctrl-C. */
import { readFileSync } from 'node:fs'
import { hostOf, isLoopback } from '../config/setting.ts'
import { type Config, parseConfig } from '../config.ts'
import { MillraceError } from '../core/errors.ts'
import { brokersWithin } from '../job/server-defaults.ts'
import { createClient, type MillraceClient } from '../rpc/client.ts'
import { loadBrokerAccess, loadClientAccess } from '../security/load.ts'
import type { KafkaSecurity } from '../source/kafka/connection.ts'
import type { CliDeps } from './deps.ts'
import { ExitSignal, exitCodes, FileError, usage } from './failure.ts'
import { Output, type OutputFormat } from './output.ts'

/** Options that every command with a result has. */
export interface OutputOptions {
  readonly output?: OutputFormat
}

/** Options of commands that talk to a server. */
export interface ServerOptions extends OutputOptions {
  readonly server?: string
  readonly timeout?: number
}

/** The settings from the environment. CONFIG_INVALID. */
export function configOf(deps: CliDeps): Config {
  return parseConfig(deps.env)
}

/** The same for an engine that shares the terminal with a view: its log begins at warnings, unless the level is set. */
export function quietConfigOf(deps: CliDeps): Config {
  const config = configOf(deps)
  if ((deps.env.MILLRACE_LOG_LEVEL ?? '').trim() !== '') return config
  return { ...config, log: { ...config.log, level: 'warn' } }
}

/** The output of a command. */
export function outputOf(deps: CliDeps, options: OutputOptions): Output {
  return new Output(deps, options.output ?? 'table')
}

/** Runs `use` with a client, and closes it whatever happens. */
export async function withClient<T>(
  deps: CliDeps,
  options: ServerOptions,
  use: (client: MillraceClient) => Promise<T>,
): Promise<T> {
  const config = configOf(deps)
  const address = options.server ?? config.server
  if (!/^(\[[^\]]+\]|[^:\s]+):\d{1,5}$/.test(address)) throw usage(`--server ${address} is not host:port`)
  const timeoutMs = (options.timeout ?? 30) * 1000
  const { client: own, allowPlaintext } = config.security
  const access = loadClientAccess(own, isLoopback(hostOf(address)), allowPlaintext)
  const client = createClient({ address, clock: deps.clock, timeoutMs, ...access })
  try {
    return await use(client)
  } finally {
    client.close()
  }
}

/**
 * What `brokers` want of a client: TLS and SASL of the settings, for the brokers of MILLRACE_BROKERS alone. CONFIG_INVALID
 * when others are named while those are set: credentials go nowhere else.
 */
export function brokerAccessOf(deps: CliDeps, brokers: string): KafkaSecurity {
  const config = configOf(deps)
  const access = loadBrokerAccess(config.security.kafka)
  if ((access.tls ?? access.sasl) === undefined || brokersWithin(brokers, config.brokers)) return access
  throw new MillraceError(
    'CONFIG_INVALID',
    `${brokers} is not among MILLRACE_BROKERS, and the TLS and SASL settings are for those alone: unset them, or set MILLRACE_BROKERS`,
  )
}

/** The text of a job file; `-` is standard input. INPUT_INVALID when it cannot be read. */
export async function readDocument(deps: CliDeps, file: string): Promise<string> {
  if (file === '-') return deps.readStdin()
  try {
    return readFileSync(file, 'utf8')
  } catch (thrown) {
    throw fileError(file, thrown)
  }
}

/** Why a file cannot be read, as a MillraceError. */
export function fileError(file: string, thrown: unknown): MillraceError {
  const code = (thrown as { code?: string }).code
  const reason =
    code === 'ENOENT'
      ? 'there is no such file'
      : code === 'EISDIR'
        ? 'it is a folder'
        : MillraceError.from(thrown).message
  return new MillraceError('INPUT_INVALID', `cannot read ${file}: ${reason}`, { cause: thrown })
}

/** Runs `use`, and says of any error that its violations are in `file`. */
export async function inFile<T>(file: string, use: () => Promise<T>): Promise<T> {
  try {
    return await use()
  } catch (thrown) {
    throw thrown instanceof MillraceError ? new FileError(thrown, file === '-' ? 'stdin' : file) : thrown
  }
}

/**
 * Runs `use` until it ends or Ctrl-C: the first signal aborts `use`'s signal and lets it end in its own way, a second
 * one ends at once. The exit is 130 for Ctrl-C and, for a service manager's SIGTERM, 0.
 */
export async function untilSignal(deps: CliDeps, use: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const abort = new AbortController()
  let exitCode: number | null = null
  let force: (exit: ExitSignal) => void = () => {}
  const forced = new Promise<never>((_, reject) => {
    force = reject
  })
  const stop = deps.onSignal((signal) => {
    if (exitCode !== null) force(new ExitSignal(exitCode))
    exitCode ??= signal === 'SIGINT' ? exitCodes.interrupted : exitCodes.ok
    abort.abort()
  })
  try {
    await Promise.race([use(abort.signal), forced])
  } finally {
    stop()
  }
  if (exitCode !== null) throw new ExitSignal(exitCode)
}

/**
 * Follows something until it ends, which resolves or rejects by how, or until `signal` aborts. `start` begins to follow and
 * returns what stops it; `over` is called once it is over, however.
 */
export function untilEnded(
  signal: AbortSignal,
  start: (onEnd: (error: MillraceError | null) => void) => () => void,
  over: () => void = () => {},
): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancel = start((error) => {
      over()
      if (error === null) resolve()
      else reject(error)
    })
    signal.addEventListener('abort', () => {
      cancel()
      over()
      resolve()
    })
  })
}

/** Resolves after `ms`, or as soon as `signal` aborts. */
export function pause(deps: Pick<CliDeps, 'scheduler'>, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) {
      resolve()
      return
    }
    const end = () => {
      cancel()
      signal?.removeEventListener('abort', end)
      resolve()
    }
    const cancel = deps.scheduler.after(ms, end)
    signal?.addEventListener('abort', end)
  })
}

/** Resolves when `signal` aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
