/**
 * What the command line is handed by the composition root: the terminal, time, and a way to start an engine.
 *
 * Nothing in cli/ reaches for these itself, so that every command runs in a test against a fake or an engine in memory.
 */
import type { Config } from '../config.ts'
import type { Clock, Random, Scheduler } from '../core/clock.ts'
import type { MillraceError } from '../core/errors.ts'
import type { JobDefinition } from '../job/definition.ts'

/** One of the standard streams. */
export interface TextStream {
  write(text: string): unknown
  /** True on a terminal. */
  readonly isTTY: boolean
  /** Width of the terminal. */
  readonly columns: number
}

/** A server in this process, as main.ts starts it. */
export interface Engine {
  /** `host:port` of its gRPC. */
  readonly address: string
  /** Port of its HTTP; -1 when it serves none. */
  readonly httpPort: number
  /** Where checkpoints are kept, for people: `.millrace` or a Redis URL without its password. */
  readonly store: string
  /** Resolves when the engine cannot go on. Never rejects. */
  readonly failed: Promise<MillraceError>
  /** Where commands of this process reach it, whatever it asks of others. The token must not leave the process. */
  openLocal(): Promise<{ readonly address: string; readonly token?: string }>
  /** Ends serving; jobs stay as they are stored and go on with the next start. Idempotent. */
  close(): Promise<void>
}

/** What commands are made of. */
export interface CliDeps {
  readonly stdout: TextStream
  readonly stderr: TextStream
  /** The whole of standard input as text. */
  readonly readStdin: () => Promise<string>
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly random: Random
  /** Serialised FileDescriptorSet of proto/. */
  readonly descriptors: () => Uint8Array
  /** Starts an engine; recovers the jobs that its store holds. Rejects with MillraceError. */
  readonly startEngine: (config: Config) => Promise<Engine>
  /** What the job module at a path says of itself, by loading it in a thread of its own. JOB_INVALID. */
  readonly inspectModule?: (file: string) => Promise<JobDefinition>
  /** Calls back on SIGINT and SIGTERM; the function that it returns stops that. */
  readonly onSignal: (listener: (signal: 'SIGINT' | 'SIGTERM') => void) => () => void
  /** How a person starts this program from the current folder, as `millrace`; used in hints. */
  readonly command: string
  readonly version: string
}
