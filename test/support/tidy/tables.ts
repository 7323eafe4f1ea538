/**
 * The rules of the house as data: who may import whom, where each library and each impure capability is at home.
 *
 * A new folder, library or adapter gets its line here in the change that adds it: that is the moment to ask whether it
 * belongs there.
 */

const model = ['core', 'event', 'job', 'window', 'state'] as const
const parts = [
  ...model,
  'metrics',
  'log',
  'exchange',
  'checkpoint',
  'source',
  'sink',
  'operator',
  'program',
  'savepoint',
] as const
const engine = [...parts, 'runtime', 'coordinator'] as const

/**
 * The folders of src/, and the files directly in it, with what each may import besides itself. Along the way of an
 * event; nothing imports what comes after it.
 */
export const folders: Readonly<Record<string, readonly string[]>> = {
  core: [],
  gen: [],
  security: ['core'],
  // what things are: pure, or nearly
  event: ['core', 'gen'],
  job: ['core', 'event', 'gen'],
  window: ['core', 'event', 'job'],
  state: ['core', 'event', 'job', 'window'],
  // metrics about persons, as functions of their timelines; models over what jobs count
  metrics: model,
  // what is unusual in a series of windows
  alert: ['core', 'job', 'window'],
  // the parts of the data plane
  log: ['core', 'event'],
  exchange: model,
  checkpoint: [...model, 'gen'],
  source: [...model, 'log', 'gen'],
  operator: [...model, 'exchange', 'metrics'],
  // jobs in TypeScript: their graph, state and operators, before anything runs them
  program: [...model, 'checkpoint'],
  // checkpoints that outlive their store: their form, copying in and out, reading without a server
  savepoint: [...model, 'gen', 'checkpoint', 'operator', 'program'],
  // of checkpoint: the connection to Redis
  sink: [...model, 'metrics', 'log', 'exchange', 'checkpoint', 'source', 'operator', 'gen'],
  // the planes themselves; of runtime the others see the messages only, see `shared`
  runtime: parts,
  coordinator: [...parts, 'runtime'],
  observe: ['core', 'runtime'],
  // the ways in
  query: [...engine, 'gen', 'observe'],
  // detectors of jobs, fed by their views
  detection: ['core', 'job', 'operator', 'alert', 'query', 'checkpoint', 'sink'],
  control: [...engine, 'gen', 'observe'],
  gateway: [...engine, 'gen', 'observe'],
  rpc: ['core', 'gen', 'observe', 'query', 'detection', 'control', 'job', 'security'],
  // jobs that are declared in Kubernetes; of coordinator: the states of a job
  kubernetes: ['core', 'gen', 'observe', 'coordinator', 'control', 'rpc'],
  cli: [
    'kubernetes',
    'core',
    'event',
    'job',
    'log',
    'source',
    'sink',
    'gen',
    'observe',
    'query',
    'detection',
    'control',
    'rpc',
    'config',
    'security',
    'savepoint',
  ],
  testing: [...engine, 'query'],
  config: ['core'],
  engine: [...engine, 'gen', 'observe', 'query', 'detection', 'control', 'rpc', 'cli', 'config', 'security'],
  api: ['gen', 'program', 'testing'],
  main: [...engine, 'engine', 'gen', 'observe', 'query', 'control', 'gateway', 'rpc', 'cli', 'config', 'testing'],
}

/** Folders of which most others may see a few files only: what crosses a thread is plain data. */
export const shared: Readonly<Record<string, { readonly files: readonly string[]; readonly to: readonly string[] }>> = {
  runtime: {
    files: ['src/runtime/messages*.ts', 'src/runtime/thread-init.ts'],
    to: ['coordinator', 'observe', 'query', 'control', 'gateway'],
  },
}

/** What decides and computes, and does nothing else: no Node module but assert, no client library. */
export const pure: readonly string[] = [
  'src/job/**',
  'src/window/**',
  'src/state/**',
  'src/metrics/**',
  'src/operator/**',
  'src/checkpoint/protocol*.ts',
  'src/checkpoint/manifest*.ts',
  'src/coordinator/job-state*.ts',
  'src/savepoint/names.ts',
  'src/savepoint/describe.ts',
  'src/alert/**',
  'src/kubernetes/reconcile.ts',
  'src/kubernetes/resource.ts',
  'src/kubernetes/status.ts',
]

/** Libraries that only compute, which pure code may use where `libraries` lets it. */
export const computingLibraries: readonly string[] = [
  '@bufbuild/cel',
  '@bufbuild/protobuf',
  '@bufbuild/re2',
  'protobufjs',
  'yaml',
]

/** Each third-party library and the only files of src/ that import it. One that is not here may not be used. */
export const libraries: Readonly<Record<string, readonly string[]>> = {
  '@bufbuild/cel': ['src/job/cel.ts', 'src/operator/cel-row.ts'],
  '@bufbuild/re2': ['src/job/pattern.ts'],
  '@bufbuild/protobuf': [
    'src/event/descriptor-decode.ts',
    'src/event/message-json.ts',
    'src/program/message-types.ts',
    'src/gen/**',
    'src/rpc/status-details.ts',
    'src/rpc/reflection.ts',
    'src/operator/cel-row.ts',
  ],
  '@grpc/grpc-js': ['src/gen/**', 'src/rpc/*.ts'],
  '@grpc/reflection': ['src/rpc/server.ts', 'src/rpc/reflection.ts'],
  '@platformatic/kafka': ['src/source/kafka/library-connection.ts'],
  '@platformatic/wasm-utils': ['src/event/compression.ts'],
  '@kubernetes/client-node': ['src/kubernetes/api-server.ts'],
  commander: ['src/cli/*.ts'],
  'grpc-health-check': ['src/rpc/server.ts', 'src/rpc/reflection.ts'],
  ioredis: ['src/checkpoint/redis-*.ts'],
  pg: ['src/sink/postgres-connection.ts'],
  kafkajs: ['src/source/kafka/admin.ts'],
  pino: ['src/observe/log.ts'],
  piscina: ['src/coordinator/worker-pool.ts'],
  'prom-client': ['src/observe/metrics.ts'],
  protobufjs: ['src/event/descriptor*.ts'],
  yaml: ['src/job/parse*.ts'],
}

/** Something of the outside world: how code reaches for it, and the only files of src/ that may. */
export interface Capability {
  readonly name: string
  /** Tried on code without comments and strings. */
  readonly code?: RegExp
  /** Node modules that give it. */
  readonly modules?: readonly string[]
  readonly files: readonly string[]
}

/**
 * What only named adapters touch; everything else is handed Clock, Scheduler, Random, a port or a store. `Date.UTC` and
 * `new Date(ms)` compute and read no clock.
 */
export const capabilities: readonly Capability[] = [
  {
    name: 'the clock',
    code: /\bDate\.now\b|\bnew\s+Date\b(?!\s*\(\s*[^\s)])|(?<!\bnew\s+)(?<![\w$.])Date\s*\(|(?<![\w$.])performance\.|\bprocess\.(?:hrtime|uptime)\b/,
    modules: ['node:perf_hooks'],
    files: ['src/core/system.ts'],
  },
  {
    name: 'timers',
    code: /(?<![\w$.])(?:setTimeout|setInterval|setImmediate)\b|\bprocess\.nextTick\b|\bAtomics\.wait(?:Async)?\b/,
    modules: ['node:timers', 'node:timers/promises'],
    files: ['src/core/system.ts', 'src/source/kafka/admin.ts'],
  },
  {
    name: 'chance',
    code: /\bMath\.random\b|(?<![\w$.])crypto\.(?:getRandomValues|randomUUID)\b/,
    modules: ['node:crypto'],
    // Of node:crypto, digest.ts has hashes and keys.
    files: ['src/core/system.ts', 'src/security/digest.ts'],
  },
  {
    name: 'threads and their ports',
    code: /\bnew\s+(?:MessageChannel|BroadcastChannel|Worker)\b/,
    modules: ['node:worker_threads', 'node:child_process', 'node:cluster'],
    files: [
      'src/coordinator/worker-pool.ts',
      'src/coordinator/module-inspector.ts',
      'src/runtime/thread-*.ts',
      'src/runtime/worker*.ts',
      'src/runtime/link*.ts',
    ],
  },
  {
    name: 'the network',
    code: /(?:\bawait|\breturn|[=>(,])\s*fetch\s*\(|\bnew\s+WebSocket\b/,
    modules: ['node:net', 'node:tls', 'node:http', 'node:https', 'node:http2', 'node:dgram', 'node:dns'],
    files: [
      'src/event/schema-registry-http.ts',
      'src/sink/http-post.ts',
      'src/source/kafka/library-connection.ts',
      'src/source/kafka/plain-connection.ts',
      'src/observe/http.ts',
      'src/rpc/listener.ts',
      // Only names of certificates and forms of addresses.
      'src/rpc/channel.ts',
    ],
  },
  {
    name: 'files',
    modules: ['node:fs', 'node:fs/promises'],
    files: [
      'src/main.ts',
      'src/checkpoint/directory-*.ts',
      'src/checkpoint/redis-scripts.ts',
      'src/savepoint/savepoint-files.ts',
      'src/log/*-file*.ts',
      'src/log/file*.ts',
      'src/security/secret-files.ts',
      'src/cli/**',
      'src/control/schema-folder.ts',
      'src/control/log-folder.ts',
      'src/control/program-compiler.ts',
    ],
  },
  {
    name: 'the environment',
    code: /\bprocess\.(?:env|argv)\b/,
    files: ['src/main.ts', 'src/config.ts', 'src/cli/**'],
  },
]

/** Longest file without a written reason, in lines. */
export const maxLines = 350
