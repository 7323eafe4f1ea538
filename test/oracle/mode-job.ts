/**
 * The job that a mode of the oracle runs: its document, the engine that it runs on, and asking for all its values.
 *
 * Owns what modes share. Does not own how events come (modes.ts, taken-back.ts).
 */
import { accountedFor } from '../../src/control/api.ts'
import { WorkerPool } from '../../src/coordinator/worker-pool.ts'
import type { MetricValue } from '../../src/query/metric-info.ts'
import type { WorkerPort } from '../../src/runtime/messages.ts'
import { openEngine, type TestEngine, untilJob, untilRead } from '../support/engine.ts'
import { valuesOf } from '../support/engine-numbers.ts'
import type { OracleCase } from './case.ts'

/** All values of a job, by metric. */
export type Told = ReadonlyMap<string, readonly MetricValue[]>

/** What a mode hands over to be judged: values, and of which events they must be. */
export type Judge = (told: Told, of: 'all' | 'withoutLate') => void

/** A way of running. `seed` decides all that is chance. */
export interface OracleMode {
  readonly name: string
  /** The cases that can be run so; all of them unless given. */
  readonly of?: (cases: readonly OracleCase[]) => readonly OracleCase[]
  run(cases: readonly OracleCase[], seed: number, judge: Judge): Promise<void>
}

/** The document of a job with all metrics of `cases`. */
export function jobOf(
  cases: readonly OracleCase[],
  changes: Readonly<Record<string, unknown>>,
  lateness?: string,
): string {
  const metrics = cases.flatMap(({ metrics }) =>
    Object.entries(metrics).map(([id, { definition }]) => {
      if ('ratio' in definition) return { id, ...definition }
      return { id, ...definition, retain: '2000d', ...(lateness === undefined ? {} : { allowedLateness: lateness }) }
    }),
  )
  return JSON.stringify({
    ...{ apiVersion: 'millrace.dev/v1', kind: 'Job', metadata: { name: 'oracle' } },
    event: { message: 'millrace.v1.Event', time: 'occurred_at', key: 'person' },
    ...Object.assign({}, ...cases.map(({ sections }) => sections)),
    ...changes,
    metrics,
  })
}

/** Asks for all values of all metrics. */
export async function valuesOfAll({ client }: TestEngine, cases: readonly OracleCase[]): Promise<Told> {
  const told = new Map<string, readonly MetricValue[]>()
  for (const { metrics } of cases)
    for (const id of Object.keys(metrics)) told.set(id, await valuesOf(client, 'oracle', id))
  return told
}

/** Runs `body` on an engine of so many threads. */
export async function withEngine(threads: number, body: (engine: TestEngine) => Promise<void>): Promise<void> {
  const engine = await openEngine({ threads })
  try {
    await body(engine)
  } finally {
    await engine.close()
  }
}

/** Waits until so many events are in the values: a checkpoint goes through the job behind them. */
export async function untilCounted({ client }: TestEngine, events: number): Promise<void> {
  await untilRead(client, 'oracle', events, 240_000)
  await client.control.triggerCheckpoint('oracle')
}

/** Every event has become something, and `applied` of them something that counts. */
export async function expectNothingLost(engine: TestEngine, read: number, deduplicated = 0): Promise<void> {
  const { events } = await untilRead(engine.client, 'oracle', read)
  if (accountedFor(events) !== read || events.late + events.deadLettered + events.lost > 0)
    throw new Error(`events of the job do not add up: ${JSON.stringify(events)} of ${read}`)
  if (events.deduplicated !== deduplicated)
    throw new Error(`${events.deduplicated} copies were left out instead of ${deduplicated}`)
}

/** Watches worker threads join, until `stop`; `kill` ends one, and waits until the job has restarted. */
export function watchThreads(): { kill(engine: TestEngine, thread: number): Promise<void>; stop(): void } {
  const ports = new Map<number, WorkerPort>()
  const { onJoin } = WorkerPool.prototype
  WorkerPool.prototype.onJoin = function (this: WorkerPool, listener) {
    onJoin.call(this, (port) => {
      ports.set(port.thread, port)
      listener(port)
    })
  }
  return {
    async kill({ client }, thread) {
      const { restarts } = await untilJob(client, 'oracle', () => true)
      await ports.get(thread)!.terminate()
      await untilJob(client, 'oracle', (job) => job.restarts > restarts && job.state === 'RUNNING')
    },
    stop: () => {
      WorkerPool.prototype.onJoin = onJoin
    },
  }
}
