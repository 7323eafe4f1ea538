/**
 * A whole server in one process: store, worker threads, jobs, gRPC and HTTP, put together.
 *
 * Owns: which implementation stands behind which port, the order of starting and of stopping. Composition only: what
 * the parts do is theirs.
 */

import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { lazyCheckpointStore } from './checkpoint/lazy-store.ts'
import { openCheckpointStore } from './checkpoint/open-store.ts'
import type { CheckpointStore, StoreConfig } from './checkpoint/store.ts'
import type { Engine } from './cli/deps.ts'
import type { Config } from './config.ts'
import type { JobDocument } from './control/api.ts'
import { type CompiledDocument, JobControl } from './control/job-control.ts'
import { JobManager } from './coordinator/job-manager.ts'
import { defaultJobSettings } from './coordinator/job-ports.ts'
import { ThreadHub } from './coordinator/thread-hub.ts'
import { WorkerPool } from './coordinator/worker-pool.ts'
import { MillraceError } from './core/errors.ts'
import { systemClock, systemRandom, systemScheduler } from './core/system.ts'
import { type Descriptors, loadDescriptors } from './event/descriptor.ts'
import type { JobDefinition } from './job/definition.ts'
import { parseJob, parseJobMessage } from './job/parse.ts'
import { planJob } from './job/planner.ts'
import { withServerDefaults } from './job/server-defaults.ts'
import { jobReadiness, startHttpServer } from './observe/http.ts'
import { createLogger, type Logger } from './observe/log.ts'
import { createMetrics } from './observe/metrics.ts'
import { jobViews } from './query/job-views.ts'
import { createQueryService } from './query/service.ts'
import { startRpcServer } from './rpc/server.ts'
import { openEnumerator } from './source/open-enumerator.ts'

const clock = systemClock
const scheduler = systemScheduler
const random = systemRandom

/** How long starting waits for the jobs of the store. */
const RECOVERY_WAIT_MS = 10_000

/** Gives one part back. */
type Closer = () => Promise<void> | undefined

/** Log lines of an engine: text on a terminal and JSON elsewhere, unless the settings say. */
export function engineLogger(config: Config, terminal: boolean): Logger {
  const { level, format } = config.log
  const form = format === 'auto' ? (terminal ? 'text' : 'json') : format
  return createLogger({ level, format: form, nowMs: () => clock.nowMs() })
}

/** Starts a server and recovers its jobs. Rejects with MillraceError; then nothing is left running. */
export async function startEngine(config: Config, descriptorSet: Uint8Array, logger: Logger): Promise<Engine> {
  const closers: Closer[] = []
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).reverse()) await closer()
  }
  try {
    return await assemble(config, descriptorSet, logger, closers, close)
  } catch (error) {
    await close()
    throw MillraceError.from(error)
  }
}

async function assemble(
  config: Config,
  descriptorSet: Uint8Array,
  logger: Logger,
  closers: Closer[],
  close: () => Promise<void>,
): Promise<Engine> {
  const log = logger.log.bind(logger)
  const descriptors = loadDescriptors(descriptorSet)
  const threads = config.threads === 0 ? availableParallelism() : config.threads
  const storeConfig = storeConfigOf(config)
  const failed = Promise.withResolvers<MillraceError>()

  const store = await openStore(storeConfig, logger)
  closers.push(() => store.close())

  const pool = new WorkerPool({ threads, clock, scheduler, log })
  closers.push(() => pool.close())
  await pool.start()
  const hub = new ThreadHub({ workers: pool, clock, scheduler, log })
  closers.push(async () => hub.close())

  const plan = (definition: JobDefinition) =>
    planJob(withServerDefaults(definition, config.brokers), { threads, descriptors })
  const ports = {
    clock,
    scheduler,
    random,
    log,
    hub,
    store,
    chunkStore: storeConfig,
    instanceId: config.instanceId,
    openEnumerator: async (source: JobDefinition['source']) => openEnumerator(source, { clock, scheduler, random }),
  }
  const manager = new JobManager({ ports, planJob: plan, settings: defaultJobSettings })
  closers.push(() => manager.close())

  const compile = (document: JobDocument): CompiledDocument => compileDocument(document, descriptors, plan)
  const control = new JobControl({ manager, compile, describeStore: () => store.describe(), clock })
  const query = createQueryService(jobViews(manager), scheduler)
  const rpc = await startRpcServer({
    ...config.grpc,
    control,
    query,
    descriptors: descriptorSet,
    scheduler,
    debug: (text) => logger.debug(text),
  })
  closers.push(() => rpc.close())
  const httpPort = await serveHttp(config, control, closers)

  const recovered = manager.recover().then(
    () => rpc.setServing(true),
    (error: unknown) => failed.resolve(MillraceError.from(error)),
  )
  // A store that is away is waited for in the background: calls say so until it is back.
  const waited = Promise.withResolvers<void>()
  const cancelWait = scheduler.after(RECOVERY_WAIT_MS, waited.resolve)
  await Promise.race([recovered, waited.promise])
  // A timer that is left keeps the process from ending.
  cancelWait()
  logger.info('serving', { grpc: rpc.address, http: httpPort, threads, store: storeText(storeConfig) })
  return { address: rpc.address, httpPort, store: storeText(storeConfig), failed: failed.promise, close }
}

async function serveHttp(config: Config, control: JobControl, closers: Closer[]): Promise<number> {
  if (config.http.port < 0) return -1
  const metrics = createMetrics({
    nowMs: () => clock.nowMs(),
    jobs: async () => Promise.all((await control.list()).map((job) => control.describe(job.name))),
  })
  const http = await startHttpServer({
    ...config.http,
    metrics,
    readiness: async () => jobReadiness(await control.list()),
  })
  closers.push(() => http.close())
  return http.port
}

function compileDocument(
  document: JobDocument,
  descriptors: Descriptors,
  plan: (definition: JobDefinition) => ReturnType<typeof planJob>,
): CompiledDocument {
  try {
    const { definition } =
      document.kind === 'text' ? parseJob(document.text, descriptors) : parseJobMessage(document.document, descriptors)
    return { name: definition.name, violations: [], definition, plan: plan(definition) }
  } catch (thrown) {
    const error = MillraceError.from(thrown)
    if (error.domain !== 'user') throw error
    const own = { field: '', message: error.message, line: 0, column: 0 }
    return {
      name: '',
      violations: error.violations.length > 0 ? error.violations : [own],
      definition: null,
      plan: null,
    }
  }
}

function storeConfigOf(config: Config): StoreConfig {
  if (config.redisUrl !== '') return { kind: 'redis', url: config.redisUrl, prefix: config.redisPrefix }
  return { kind: 'directory', path: resolve(join(config.dataDir, 'checkpoints')) }
}

function storeText(config: StoreConfig): string {
  if (config.kind === 'redis') return config.url.replace(/\/\/[^@/]*@/, '//')
  return config.kind === 'directory' ? config.path : config.name
}

/** The store, opened; or one that each call tries to open, while it cannot be reached. Other failures are thrown. */
async function openStore(config: StoreConfig, logger: Logger): Promise<CheckpointStore> {
  const store = lazyCheckpointStore(storeText(config), () => openCheckpointStore(config, { clock, random }))
  try {
    const { guarantee, reasons, location } = await store.describe()
    if (guarantee === 'exactly-once') return store
    for (const reason of reasons) logger.warn('checkpoints are at-least-once', { store: location, reason })
  } catch (thrown) {
    const error = MillraceError.from(thrown)
    if (error.code !== 'STORE_UNREACHABLE') {
      await store.close()
      throw error
    }
    logger.warn(`the checkpoint store is waited for: ${error.message}`, { store: storeText(config), code: error.code })
  }
  return store
}
