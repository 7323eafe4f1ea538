/** A process in virtual time: clock, store in memory, fake threads, a fake topic. For tests of the coordinator. */
import { MemoryCheckpointStore, MemoryStoreData } from '../../../src/checkpoint/memory-store.ts'
import type { JobPorts, JobSettings } from '../../../src/coordinator/job-ports.ts'
import { ThreadHub, type ThreadHubOptions } from '../../../src/coordinator/thread-hub.ts'
import { SeededRandom } from '../../../src/core/clock.ts'
import type { MillraceError } from '../../../src/core/errors.ts'
import type { JobDefinition } from '../../../src/job/definition.ts'
import type { JobPlan } from '../../../src/job/plan.ts'
import { MemorySavepoints } from '../../../src/savepoint/memory-savepoints.ts'
import type { PartitionInfo, SourceEnumerator, StartPosition } from '../../../src/source/source.ts'
import { ManualClock, ManualScheduler } from '../../../src/testing/manual-clock.ts'
import { FakeWorkers } from './fake-workers.ts'

/** A topic as the enumerator sees it; partitions grow in FakeWorkers.ends. */
export class FakeTopic implements SourceEnumerator {
  topicId = 'topic-1'
  /** Thrown by the next calls. */
  failure: MillraceError | undefined
  readonly commits: { group: string; offsets: Readonly<Record<number, number>> }[] = []
  opened = 0
  closed = 0
  readonly #workers: FakeWorkers

  constructor(workers: FakeWorkers) {
    this.#workers = workers
  }

  async partitions(): Promise<readonly PartitionInfo[]> {
    if (this.failure !== undefined) throw this.failure
    return [...this.#workers.ends].map(([partition, end]) => ({ partition, topicId: this.topicId, earliest: 0, end }))
  }

  async resolve(start: StartPosition, partitions: readonly PartitionInfo[]): Promise<readonly number[]> {
    return partitions.map((partition) => (start.kind === 'latest' ? partition.end : partition.earliest))
  }

  async commit(group: string, offsets: Readonly<Record<number, number>>): Promise<void> {
    this.commits.push({ group, offsets })
  }

  async close(): Promise<void> {
    this.closed++
  }
}

/** Options of a world. */
export interface WorldOptions {
  readonly seed?: number
  readonly threads?: number
  /** Records by partition. */
  readonly partitions?: readonly number[]
  readonly hub?: Partial<ThreadHubOptions>
  readonly instanceId?: string
  /** Shares store, clock and scheduler: another process over the same store. */
  readonly beside?: World
}

/** Everything that a coordinator is handed, and the handles to break it. */
export interface World {
  readonly clock: ManualClock
  readonly scheduler: ManualScheduler
  readonly data: MemoryStoreData
  readonly store: MemoryCheckpointStore
  readonly savepoints: MemorySavepoints
  readonly workers: FakeWorkers
  readonly topic: FakeTopic
  readonly hub: ThreadHub
  readonly ports: JobPorts
  readonly lines: string[]
}

/** Builds a world. */
export function makeWorld(options: WorldOptions = {}): World {
  const seed = options.seed ?? 1
  const clock = options.beside?.clock ?? new ManualClock()
  const scheduler = options.beside?.scheduler ?? new ManualScheduler(clock, seed)
  const data = options.beside?.data ?? new MemoryStoreData()
  const random = new SeededRandom(seed + (options.beside === undefined ? 0 : 1000))
  const store = new MemoryCheckpointStore(data, clock, random)
  const workers = new FakeWorkers(scheduler, store, options.threads ?? 2, seed)
  for (const [partition, end] of (options.partitions ?? [1000, 1500, 700]).entries()) workers.ends.set(partition, end)
  const topic = new FakeTopic(workers)
  const savepoints = options.beside?.savepoints ?? new MemorySavepoints()
  const lines: string[] = []
  const log = (level: string, message: string) => lines.push(`${level} ${message}`)
  const hub = new ThreadHub({ workers, clock, scheduler, log, ...options.hub })
  const ports: JobPorts = {
    clock,
    scheduler,
    random,
    log,
    hub,
    store,
    savepoints,
    chunkStore: { kind: 'memory', name: 'test' },
    instanceId: options.instanceId ?? 'a',
    openEnumerator: async () => {
      topic.opened++
      return topic
    },
  }
  return { clock, scheduler, data, store, savepoints, workers, topic, hub, ports, lines }
}

/** A definition that only has what the coordinator looks at. */
export function makeDefinition(overrides: Partial<JobDefinition> = {}): JobDefinition {
  return {
    name: 'engagement',
    source: {
      id: 'events',
      input: {
        kind: 'kafka',
        topic: 'events',
        brokers: '',
        isolation: 'read_committed',
        groupId: 'lag',
        skipLost: false,
        checkCrcs: true,
        discoveryMs: 5000,
      },
      start: { kind: 'earliest' },
      bounded: true,
    },
    event: { message: 'millrace.v1.Event', time: 'occurred_at', timeUnit: 'ms', key: 'person', maxFutureMs: 0 },
    watermark: { outOfOrdernessMs: 0, idlenessMs: 0, maxDriftMs: 0 },
    checkpoint: { everyMs: 100, retain: 2, timeoutMs: 10_000, tolerableFailures: 0 },
    parallelism: 2,
    keyGroups: 128,
    preAggregation: true,
    stateLimitBytes: 1 << 30,
    metrics: [],
    sinks: [],
    deadLetters: null,
    late: null,
    ...overrides,
  }
}

/** A plan of a definition without metrics. */
export function makePlan(definition: JobDefinition = makeDefinition(), definitionHash = 'hash-1'): JobPlan {
  const path = (name: string) => ({
    path: name,
    steps: [{ kind: 'field' as const, number: 1 }],
    type: 'string' as const,
  })
  return {
    jobName: definition.name,
    definition,
    definitionHash,
    parallelism: definition.parallelism,
    keyGroups: definition.keyGroups,
    schema: {
      message: definition.event.message,
      time: path('occurred_at'),
      timeUnitMs: 1,
      key: path('person'),
      columns: [],
    },
    predicates: [],
    tables: [],
    metrics: [],
  }
}

/** Settings with short pauses, so that a test shows them in a few virtual seconds. */
export const quickSettings: Partial<JobSettings> = {
  restart: {
    kind: 'exponentialDelay',
    attempts: 0,
    initialMs: 200,
    multiplier: 1.5,
    maxMs: 2000,
    jitter: 0.1,
    resetAfterMs: 60_000,
  },
  threadWaitMs: 500,
  disposeMs: 2000,
  deployMs: 5000,
}
