/**
 * The chaos rounds: jobs with exactly-once sinks on a broker and a Redis of their own, in a process of their own, while
 * events flow and one thing after another is killed, frozen or changed. In the end each sink is read back and held against
 * a batch computation over the topic as Kafka's own Java client reads it.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { nextBelow, SeededRandom } from '../../../src/core/clock.ts'
import { openKafkaAdmin, openKafkaProducer } from '../../../src/source/kafka/admin.ts'
import { startBroker } from '../../support/broker.ts'
import { submitJob, untilJob } from '../../support/engine.ts'
import { makeDataDir, projectRoot, removeDataDir } from '../../support/infra-process.ts'
import { javaRead } from '../../support/java-client/java-client.ts'
import { writeModule } from '../../support/job-modules.ts'
import { startPostgres } from '../../support/postgres.ts'
import { startRedis } from '../../support/redis.ts'
import { expectedOf, parseRecords, type TopicRecord } from './expected.ts'
import { type Deployment, type FaultKind, faultKinds, letHappen, THREAD_SILENCE_MS } from './faults.ts'
import { resultsOf, wrongCounts, wrongDeadLetters, wrongLate, wrongResults } from './found.ts'
import { countsModule, DECLARED, declaredJob, PROGRAM } from './jobs.ts'
import { Load } from './load.ts'
import { otherSinks, type Places, postgresEnv, type Topics, wrongElsewhere } from './other-sinks.ts'
import { ChaosServer } from './server.ts'

/** How the rounds ended. */
export interface ChaosResult {
  readonly rounds: Readonly<Record<FaultKind, number>>
  readonly events: number
  readonly results: number
  /** Every wrong thing, in a line. */
  readonly wrong: readonly string[]
}

const PARTITIONS = 4

/** Runs `rounds` rounds; the kinds take turns in an order that the seed shuffles. */
export async function runChaos(
  rounds: number,
  seed: number,
  note: (text: string) => void,
  kinds: readonly FaultKind[] = faultKinds,
): Promise<ChaosResult> {
  const broker = await startBroker({ own: true })
  const redis = await startRedis({ own: true })
  const postgres = await startPostgres()
  const folder = makeDataDir('chaos-jobs')
  const servers: ChaosServer[] = []
  const startServer = async (): Promise<ChaosServer> => {
    const server = await ChaosServer.start(`chaos-${servers.length}`, {
      redisUrl: redis.url,
      redisPrefix: 'chaos',
      brokers: broker.brokers,
      threads: 2,
      env: {
        MILLRACE_JOBS_DIR: folder,
        MILLRACE_THREAD_SILENCE: `${THREAD_SILENCE_MS}ms`,
        MILLRACE_SINK_REDIS: redis.url,
        ...postgresEnv(postgres.url, folder),
      },
    })
    servers.push(server)
    return server
  }
  try {
    const random = new SeededRandom(seed)
    const topics = { ...(await createTopics(broker.brokers)), others: otherSinks(folder, `chaos_${seed}`) }
    const deployment: Deployment = { random, broker, redis, server: await startServer(), startServer, note }
    const producer = () => openKafkaProducer({ brokers: broker.brokers.split(',') })
    const load = new Load({ producer, topic: topics.events, partitions: PARTITIONS, seed, pauseMs: 60 })
    const { client } = deployment.server
    await submitJob(client, declaredJob(topics.events, topics))
    await submitJob(client, writeModule(folder, 'counts.ts', countsModule(topics.events, topics)))
    for (const job of [DECLARED, PROGRAM]) await untilJob(client, job, ({ state }) => state === 'RUNNING')
    await load.warmUp()
    for (const job of [DECLARED, PROGRAM]) {
      await untilJob(client, job, ({ events }) => events.read >= load.written)
      await client.control.triggerCheckpoint(job)
    }
    load.start()
    const counts = Object.fromEntries(faultKinds.map((kind) => [kind, 0])) as Record<FaultKind, number>
    for (const [round, kind] of planOf(rounds, kinds, random).entries()) {
      const startMs = performance.now()
      await letHappen(kind, deployment).catch((thrown: unknown) => {
        throw new Error(
          `round ${round + 1} (${kind}) of seed ${seed}: ${String(thrown)}\n${deployment.server.logTail()}`,
        )
      })
      counts[kind]++
      note(`round ${round + 1} ${kind} seconds=${((performance.now() - startMs) / 1000).toFixed(1)}`)
    }
    await load.stop()
    for (const job of [DECLARED, PROGRAM]) await settle(deployment.server, job)
    return await judge(
      { brokers: broker.brokers, folder, redisUrl: redis.url, postgresUrl: postgres.url, topics },
      counts,
    )
  } finally {
    for (const server of servers) await server.remove()
    await Promise.all([broker.stop(), redis.stop(), postgres.stop()])
    removeDataDir(folder)
  }
}

/** Kinds of the rounds: all of them as often as the others, in a random order. */
function planOf(rounds: number, kinds: readonly FaultKind[], random: SeededRandom): FaultKind[] {
  const plan = Array.from({ length: rounds }, (_, i) => kinds[i % kinds.length]!)
  for (let i = plan.length - 1; i > 0; i--) {
    const j = nextBelow(random, i + 1)
    const kind = plan[i]!
    plan[i] = plan[j]!
    plan[j] = kind
  }
  return plan
}

/** Waits until a job has read everything, and stops it: then what it owes its sinks has been given to them. */
async function settle({ client }: ChaosServer, job: string): Promise<void> {
  let still = 0
  let before = -1
  await untilJob(
    client,
    job,
    async ({ events, state }) => {
      const { subtasks } = await client.control.describe(job)
      const pending = subtasks.reduce((sum, subtask) => sum + Math.max(0, Number(subtask.pendingRecords)), 0)
      still = state === 'RUNNING' && pending === 0 && events.read === before ? still + 1 : 0
      before = events.read
      return still > 20
    },
    120_000,
  )
  await client.control.stop(job)
}

async function createTopics(brokers: string): Promise<Topics> {
  const admin = await openKafkaAdmin({ brokers: brokers.split(',') })
  const create = async (topic: string, partitions: number): Promise<string> => {
    await admin.createTopic(topic, { partitions, config: { 'retention.ms': '-1' } })
    return topic
  }
  try {
    return {
      events: await create('events', PARTITIONS),
      results: await create('results', 2),
      deadLetters: await create('dead-letters', 1),
      late: await create('late', 1),
      counts: await create('counts', 2),
      others: {},
    }
  } finally {
    await admin.close()
  }
}

async function judge(places: Places, rounds: Readonly<Record<FaultKind, number>>): Promise<ChaosResult> {
  const { brokers, topics } = places
  const read = async (topic: string): Promise<TopicRecord[]> =>
    parseRecords(await javaRead(brokers, topic, 'read_committed'))
  const events = await read(topics.events)
  const expected = expectedOf(events)
  const results = resultsOf(await read(topics.results))
  const wrong = [
    ...wrongResults(results, expected),
    ...wrongDeadLetters(await read(topics.deadLetters), expected),
    ...wrongLate(await read(topics.late), expected),
    ...wrongCounts(await read(topics.counts), expected),
    ...(await wrongElsewhere(places, expected)),
  ]
  return { rounds, events: events.length, results: results.length, wrong }
}

/** Writes every wrong thing to a file that a run leaves, and returns its path. */
export function writeWrong(wrong: readonly string[]): string {
  const folder = join(projectRoot, '.cache/results')
  mkdirSync(folder, { recursive: true })
  const path = join(folder, 'chaos-wrong.txt')
  writeFileSync(path, `${wrong.join('\n')}\n`)
  return path
}
