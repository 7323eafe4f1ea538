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
import { randomId } from './checkpoint/store-errors.ts'
import type { Engine } from './cli/deps.ts'
import type { Config } from './config.ts'
import { checkHttpHosts } from './control/http-hosts.ts'
import { jobCompiler } from './control/job-compiler.ts'
import { JobControl } from './control/job-control.ts'
import { JobSchemas } from './control/job-schemas.ts'
import { inspectKafka } from './control/kafka-inspection.ts'
import { checkLogFolder } from './control/log-folder.ts'
import { JobModules } from './control/program-compiler.ts'
import { JobManager } from './coordinator/job-manager.ts'
import { defaultJobSettings } from './coordinator/job-ports.ts'
import { JobSavepoints } from './coordinator/job-savepoints.ts'
import type { JobSource } from './coordinator/job-source.ts'
import { inspectModule, limitInspections } from './coordinator/module-inspector.ts'
import { openProgramThreads } from './coordinator/program-threads.ts'
import { ThreadHub } from './coordinator/thread-hub.ts'
import { WorkerPool } from './coordinator/worker-pool.ts'
import { MillraceError } from './core/errors.ts'
import { systemClock, systemRandom, systemScheduler } from './core/system.ts'
import { DetectionHost } from './detection/detection-host.ts'
import { EpisodeOutputs } from './detection/episode-outputs.ts'
import { type Descriptors, loadDescriptors } from './event/descriptor.ts'
import type { SchemaRegistry } from './event/schema-registry.ts'
import { openSchemaRegistry } from './event/schema-registry-http.ts'
import type { JobDefinition, TopicOutput } from './job/definition.ts'
import type { JobPlan } from './job/plan.ts'
import { planJob } from './job/planner.ts'
import { planProgram } from './job/program-plan.ts'
import { checkSchemaEvolution } from './job/schema-evolution.ts'
import { checkSinkServers, withServerDefaults } from './job/server-defaults.ts'
import { type HttpServer, type Permission, startHttpServer } from './observe/http.ts'
import { createLogger, type Logger } from './observe/log.ts'
import { createMetrics } from './observe/metrics.ts'
import { ReadinessGate } from './observe/readiness.ts'
import { jobViews } from './query/job-views.ts'
import { createQueryService } from './query/service.ts'
import { episodeRecords } from './rpc/episode-messages.ts'
import type { ServingTls } from './rpc/listener.ts'
import { followFiles, loadServingTls } from './rpc/reload.ts'
import { type RpcServer, type RpcServerOptions, startRpcServer } from './rpc/server.ts'
import { openOutboxSink } from './runtime/worker-outbox.ts'
import { SavepointFiles } from './savepoint/savepoint-files.ts'
import { type Access, processAccess } from './security/access.ts'
import { newToken } from './security/digest.ts'
import { loadAccess, loadBrokerAccess, loadRedisAccess, loadSinkServers } from './security/load.ts'
import { readSecret } from './security/secret-files.ts'
import type { OutboxOwner } from './sink/outbox.ts'
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
  const threads = config.threads === 0 ? availableParallelism() : config.threads
  const { security } = config
  const storeConfig = storeConfigOf(config)
  const { kafkaPrefix: transactionPrefix } = config
  const { transactionTimeoutMs } = config.sinks
  const kafka = { ...loadBrokerAccess(security.kafka), transactionPrefix, transactionTimeoutMs }
  const secured = kafka.tls !== undefined || kafka.sasl !== undefined
  const tls = loadServingTls(security.serve)
  const access = loadAccess(security.accessFile)
  const failed = Promise.withResolvers<MillraceError>()

  const store = await openStore(storeConfig, logger)
  closers.push(() => store.close())

  const sinks = loadSinkServers(config.sinks, security.allowPlaintext)
  const pool = new WorkerPool({ threads, clock, scheduler, log, kafka, sinks })
  closers.push(() => pool.close())
  await pool.start()
  const hub = new ThreadHub({ workers: pool, clock, scheduler, log, silentMs: config.jobs.threadSilenceMs })
  closers.push(async () => hub.close())

  const modules = new JobModules(
    config.jobs.folder,
    limitInspections((file) => inspectModule(file, scheduler)),
  )
  const plan = (definition: JobDefinition, from: Descriptors, descriptorSet: Uint8Array | null) => {
    const complete = withServerDefaults(definition, config.brokers, secured)
    return definition.program === undefined
      ? planJob(complete, { threads, descriptors: from })
      : planProgram(complete, { threads, fileOf: (module) => modules.fileOf(module), descriptorSet })
  }
  const registry = registryOf(config)
  const schemas = new JobSchemas({ builtIn: loadDescriptors(descriptorSet), folder: config.schemas.folder, registry })
  const sourceOf = ({ definition, schema }: JobSource) => ({ definition, descriptors: schemas.load(schema) })
  const ports = {
    clock,
    scheduler,
    random,
    log,
    hub,
    openThreads: (of: JobPlan) => openProgramThreads(of, { clock, scheduler, log, kafka, sinks, ...config.jobs }),
    store,
    savepoints: new SavepointFiles(savepointFolder(config), randomId(random), clock),
    chunkStore: storeConfig,
    instanceId: config.instanceId,
    ...(registry === null ? {} : { schemas: registry }),
    openEnumerator: async (source: JobDefinition['source']) =>
      openEnumerator(source, { clock, scheduler, random, kafka }),
  }
  const manager = new JobManager({
    ports,
    planJob: (definition, schema) => plan(definition, schemas.load(schema), schema),
    checkEvolution: (before, after, planned) => {
      // A job in TypeScript decodes by itself, and its state is matched by the names of its parts.
      if (planned.program === undefined) checkSchemaEvolution(sourceOf(before), sourceOf(after), planned)
    },
    settings: { ...defaultJobSettings, sinkOpenMs: config.sinks.openMs },
  })
  closers.push(() => manager.close(config.jobs.shutdownGraceMs))

  const planSubmitted: typeof plan = (definition, ...rest) => {
    const { logFolder } = config.jobs
    if (logFolder !== '' && definition.program === undefined) checkLogFolder(definition, logFolder)
    if (definition.program === undefined) checkHttpHosts(definition, config.sinks.http.hosts)
    checkSinkServers(definition, sinks)
    return plan(definition, ...rest)
  }
  const transactions = inspectKafka(config, manager, kafka, { clock, scheduler, random }, log)
  closers.push(() => transactions.close())
  const control = new JobControl({
    manager,
    transactions: transactions.desk,
    heldPartitions: transactions.heldPartitions,
    savepoints: new JobSavepoints(manager, ports),
    compile: jobCompiler(schemas, planSubmitted, modules),
    describeStore: () => store.describe(),
    clock,
    maxDefinitionBytes: config.maxDefinitionBytes,
  })
  const views = jobViews(manager)
  const query = createQueryService(views, scheduler)
  const detectedJobs = () =>
    manager.jobs().map(({ coordinator: { jobId, plan: of } }) => ({ jobId, definition: of.definition }))
  const openSink = (output: TopicOutput, owner: OutboxOwner) =>
    openOutboxSink(output, owner, { ...sinks, kafka }, { clock, scheduler, random })
  const { instanceId } = config
  const outputs = new EpisodeOutputs({ store, instanceId, random, openSink, log }, episodeRecords)
  closers.push(() => outputs.close())
  const episodes = new DetectionHost({ views, jobs: detectedJobs, clock, scheduler, outputs })
  closers.push(async () => episodes.close())
  const { host, port, maxMessageBytes, connections, ...limits } = config.grpc
  const serving: RpcServerOptions = {
    ...{ host, port, maxMessageBytes, connections, limits, access },
    ...(tls === null ? {} : { tls }),
    ...{ control, query, episodes, descriptors: descriptorSet, scheduler, clock, auditLog: log },
    debug: (text) => logger.debug(text),
  }
  const rpc = await startRpcServer(serving)
  closers.push(() => rpc.close())
  const http = await serveHttp(config, control, episodes, tls, (authorization) => rpc.mayLook(authorization))
  closers.push(() => http?.close())
  const httpPort = http?.port ?? -1
  const { accessFile } = security
  closers.push(followSecurity(security, { rpc, http }, log))

  const recovered = manager.recover().then(
    () => {
      rpc.setServing(true)
      episodes.start()
    },
    (error: unknown) => failed.resolve(MillraceError.from(error)),
  )
  // A store that is away is waited for in the background: calls say so until it is back.
  const waited = Promise.withResolvers<void>()
  const cancelWait = scheduler.after(RECOVERY_WAIT_MS, waited.resolve)
  await Promise.race([recovered, waited.promise])
  // A timer that is left keeps the process from ending.
  cancelWait()
  logger.info('serving', { grpc: rpc.address, http: httpPort, threads, store: storeText(storeConfig) })
  const openLocal = async () => {
    if (accessFile === '' && tls === null) return { address: rpc.address }
    const local = await serveThisProcess(serving)
    closers.push(() => local.server.close())
    return { address: local.server.address, token: local.token }
  }
  return { address: rpc.address, httpPort, store: storeText(storeConfig), failed: failed.promise, openLocal, close }
}

/** Follows the files of access and certificates; the answer ends that. */
function followSecurity(
  { accessFile, serve }: Config['security'],
  { rpc, http }: { readonly rpc: RpcServer; readonly http: HttpServer | null },
  log: Logger['log'],
): Closer {
  const replaceTls = (tls: ServingTls) => {
    rpc.replaceTls(tls)
    http?.replaceTls(tls)
  }
  const server = { replaceAccess: (access: Access) => rpc.replaceAccess(access), replaceTls }
  const unfollow = followFiles({ server, accessFile, tls: serve, scheduler, log })
  return async () => unfollow()
}

/** A second server for the commands of this very process: on loopback, for one token that never leaves memory. */
async function serveThisProcess(serving: RpcServerOptions): Promise<{ server: RpcServer; token: string }> {
  const token = newToken()
  const { tls: _none, ...plain } = serving
  const server = await startRpcServer({ ...plain, host: '127.0.0.1', port: 0, access: processAccess(token) })
  return { server, token }
}

async function serveHttp(
  config: Config,
  control: JobControl,
  episodes: DetectionHost,
  tls: ServingTls | null,
  mayLook: (authorization: string | undefined) => Permission,
): Promise<HttpServer | null> {
  if (config.http.port < 0) return null
  const jobs = async () => Promise.all((await control.list()).map(({ name }) => control.describe(name)))
  const metrics = createMetrics({
    nowMs: () => clock.nowMs(),
    jobs: async () => (await jobs()).map((job) => ({ ...job, episodes: episodes.openEpisodes(job.summary.name) })),
  })
  const gate = new ReadinessGate(config.jobs.readyLagRecords)
  return startHttpServer({
    ...config.http,
    metrics,
    readiness: async () => gate.look(await jobs()),
    mayLook,
    ...(tls === null ? {} : { tls }),
  })
}

/** The schema registry that the settings name; null where there is none. */
function registryOf({ schemas }: Config): SchemaRegistry | null {
  const { registryUrl: url, registryUser: user, registryPasswordFile: file } = schemas
  const password = file === '' ? '' : readSecret(file, 'MILLRACE_SCHEMA_REGISTRY_PASSWORD_FILE')
  return openSchemaRegistry({ url, user, password }, { clock, scheduler })
}

function storeConfigOf(config: Config): StoreConfig {
  if (config.redisUrl !== '') {
    const redis = loadRedisAccess(config.security.redis, config.redisUrl)
    return { kind: 'redis', url: config.redisUrl, prefix: config.redisPrefix, replicas: config.redisReplicas, ...redis }
  }
  return { kind: 'directory', path: resolve(join(config.dataDir, 'checkpoints')) }
}

function savepointFolder({ savepointDir, dataDir }: Config): string {
  return resolve(savepointDir === '' ? join(dataDir, 'savepoints') : savepointDir)
}

/** A URL without user and password. */
function shownUrl(url: string): string {
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname}`
}

function storeText(config: StoreConfig): string {
  if (config.kind === 'redis') return shownUrl(config.url)
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
