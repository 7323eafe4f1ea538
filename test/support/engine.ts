/**
 * A whole engine in the test's process, with a client: real threads, real store, real gRPC.
 *
 * Owns: starting and ending it, its log lines, waiting for what a job shows. Does not own: servers (infra.ts), events
 * (events.ts), engines in processes of their own (server-process.ts).
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { Engine } from '../../src/cli/deps.ts'
import { parseConfig } from '../../src/config.ts'
import { accountedFor, type JobState, type JobSummary } from '../../src/control/api.ts'
import { systemClock } from '../../src/core/system.ts'
import { startEngine } from '../../src/engine.ts'
import { createLogger } from '../../src/observe/log.ts'
import { createClient, type MillraceClient } from '../../src/rpc/client.ts'
import { makeDataDir, projectRoot, removeDataDir, waitUntil } from './infra-process.ts'

/** How an engine is started. */
export interface EngineOptions {
  /** Default a new one, removed with the engine. */
  readonly dataDir?: string
  readonly redisUrl?: string
  /** First part of the keys in Redis. */
  readonly redisPrefix?: string
  readonly brokers?: string
  /** Default 2. */
  readonly threads?: number
  /** Default any free one. */
  readonly grpcPort?: number
  /** Other settings, by their variables. */
  readonly env?: Readonly<Record<string, string>>
}

/** An engine and a client of it. */
export interface TestEngine {
  readonly engine: Engine
  readonly client: MillraceClient
  readonly dataDir: string
  /** Folder for topics of the embedded log. */
  readonly logRoot: string
  /** What it has logged, line by line, as JSON. */
  readonly lines: readonly string[]
  close(): Promise<void>
}

/** Settings of an engine as environment variables; also for a server process. */
export function engineEnv(dataDir: string, options: EngineOptions): Record<string, string> {
  return {
    MILLRACE_GRPC_PORT: String(options.grpcPort ?? 0),
    MILLRACE_HTTP_PORT: '0',
    MILLRACE_LOG_FORMAT: 'json',
    MILLRACE_DATA_DIR: dataDir,
    MILLRACE_THREADS: String(options.threads ?? 2),
    MILLRACE_REDIS: options.redisUrl ?? '',
    MILLRACE_REDIS_PREFIX: options.redisPrefix ?? '',
    MILLRACE_BROKERS: options.brokers ?? '',
    ...options.env,
  }
}

/** Starts an engine; the caller closes it. */
export async function openEngine(options: EngineOptions = {}): Promise<TestEngine> {
  const dataDir = options.dataDir ?? makeDataDir('engine')
  const config = parseConfig(engineEnv(dataDir, options))
  const lines: string[] = []
  const sink = { write: (line: string) => lines.push(line) }
  const logger = createLogger({ level: 'info', format: 'json', nowMs: () => systemClock.nowMs(), sink })
  const descriptors = readFileSync(join(projectRoot, 'src/gen/descriptors.binpb'))
  const engine = await startEngine(config, descriptors, logger).catch((error: unknown) => {
    if (options.dataDir === undefined) removeDataDir(dataDir)
    throw error
  })
  const client = createClient({ ...(await engine.openLocal()), clock: systemClock })
  let closed = false
  return {
    engine,
    client,
    dataDir,
    logRoot: join(dataDir, 'log'),
    lines,
    close: async () => {
      if (closed) return
      closed = true
      client.close()
      await engine.close()
      if (options.dataDir === undefined) removeDataDir(dataDir)
    },
  }
}

/** Starts an engine that ends with the test. */
export async function engineForTest(options: EngineOptions = {}): Promise<TestEngine> {
  const opened = await openEngine(options)
  onTestFinished(() => opened.close())
  return opened
}

/** A folder that is removed with the test. */
export function folderForTest(name: string): string {
  const folder = makeDataDir(name)
  onTestFinished(() => removeDataDir(folder))
  return folder
}

/** A job as it is now. */
export async function summaryOf(client: MillraceClient, job: string): Promise<JobSummary> {
  const found = (await client.control.list()).find((each) => each.name === job)
  if (found === undefined) throw new Error(`there is no job ${job}`)
  return found
}

/** Submits a job, waiting for a server that still recovers; returns its name. */
export async function submitJob(client: MillraceClient, text: string): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    try {
      return (await client.control.submit({ kind: 'text', text })).name
    } catch (error) {
      if ((error as { code?: string }).code !== 'UNAVAILABLE' || attempt === 200) throw error
      await new Promise((done) => setTimeout(done, 50))
    }
  }
}

/**
 * Waits until `holds` is true of the job and returns what it then is. Fails at once when the job comes to rest in a
 * state that `holds` does not take, and after `timeoutMs` with the job's own words.
 */
export async function untilJob(
  client: MillraceClient,
  job: string,
  holds: (summary: JobSummary) => boolean | Promise<boolean>,
  timeoutMs = 60_000,
): Promise<JobSummary> {
  let last: JobSummary | undefined
  let dead = false
  const probe = async (): Promise<boolean> => {
    const summary = await summaryOf(client, job)
    last = summary
    const held = await holds(summary)
    dead = !held && summary.state === 'FAILED'
    return held
  }
  await waitUntil(probe, {
    deadlineMs: timeoutMs,
    alive: () => !dead,
    failure: () => `job ${job} never came to what the test waits for: ${JSON.stringify(last, null, 1)}`,
  })
  return last!
}

/** Waits until the job is in `state`. */
export function untilState(
  client: MillraceClient,
  job: string,
  state: JobState,
  timeoutMs?: number,
): Promise<JobSummary> {
  return untilJob(client, job, (summary) => summary.state === state, timeoutMs)
}

/** Waits until `events` records have been read and each of them has become something. */
export function untilRead(
  client: MillraceClient,
  job: string,
  records: number,
  timeoutMs?: number,
): Promise<JobSummary> {
  return untilJob(
    client,
    job,
    ({ events }) => events.read >= records && accountedFor(events) === events.read,
    timeoutMs,
  )
}

/** Waits until the sources of the job have made the watermark `watermarkMs`, or a later one. */
export function untilWatermark(
  client: MillraceClient,
  job: string,
  watermarkMs: number,
  timeoutMs?: number,
): Promise<JobSummary> {
  return untilJob(client, job, (summary) => summary.watermarkMs >= watermarkMs, timeoutMs)
}

/** Makes a checkpoint, and waits until sinks have all that it owes them: then outputs are whole. */
export async function checkpointApplied(client: MillraceClient, job: string): Promise<void> {
  const { id } = await client.control.triggerCheckpoint(job)
  await untilJob(client, job, async () => {
    const { checkpoints } = await client.control.describe(job)
    return (checkpoints?.owed ?? []).every(({ checkpointId }) => Number(checkpointId) > id)
  })
}
