/** The faults of the chaos rounds: each breaks something at a random moment and leaves the deployment whole again. */
import { nextBelow, type Random } from '../../../src/core/clock.ts'
import { MillraceError } from '../../../src/core/errors.ts'
import type { Broker } from '../../support/broker.ts'
import { untilJob } from '../../support/engine.ts'
import type { RedisServer } from '../../support/redis.ts'
import { DECLARED, PROGRAM } from './jobs.ts'
import type { ChaosServer } from './server.ts'

/** The kinds, in the order in which they are counted. */
export const faultKinds = ['process', 'thread', 'broker', 'redis', 'freeze', 'rescale'] as const

/** A kind of fault. */
export type FaultKind = (typeof faultKinds)[number]

/** What faults act on. */
export interface Deployment {
  readonly random: Random
  readonly broker: Broker
  readonly redis: RedisServer
  /** The server whose jobs run. A fault may put another one in its place. */
  server: ChaosServer
  /** Starts a further server over the same store. */
  readonly startServer: () => Promise<ChaosServer>
  readonly note: (text: string) => void
}

/** Silence after which the servers of the rounds give a thread up. */
export const THREAD_SILENCE_MS = 2500

/** How long jobs may take to run again after a fault. */
const RECOVERY_MS = 120_000

/** Lets a fault of a kind happen, and resolves when all jobs run again. */
export async function letHappen(kind: FaultKind, deployment: Deployment): Promise<void> {
  await pause(nextBelow(deployment.random, 700))
  await faults[kind](deployment)
  for (const job of [DECLARED, PROGRAM]) await untilRunning(deployment.server, job)
}

const faults: Readonly<Record<FaultKind, (deployment: Deployment) => Promise<void>>> = {
  async process({ server, random }) {
    await server.kill()
    await pause(nextBelow(random, 300))
    await server.restart()
  },

  async thread({ server, random, note }) {
    const what = (['exit', 'terminate', 'spin'] as const)[nextBelow(random, 3)]!
    note(what)
    // Threads of the job in TypeScript are its own, and code that hangs fails that job for good: only shared ones spin.
    const index = what === 'spin' ? nextBelow(random, 2) : nextBelow(random, 4)
    const before = await restarts(server)
    await server.disturbThread(what, 2 * THREAD_SILENCE_MS, index)
    await untilSome(server, before)
  },

  async broker({ broker, random }) {
    await broker.kill()
    await pause(nextBelow(random, 1000))
    await broker.restart()
  },

  async redis({ redis, random }) {
    await redis.kill()
    await pause(nextBelow(random, 1500))
    await redis.restart()
  },

  async freeze(deployment) {
    const { server, note } = deployment
    const other = await deployment.startServer()
    server.freeze()
    // The lease runs out, and the other one takes the jobs.
    for (const job of [DECLARED, PROGRAM]) await untilRunning(other, job)
    server.thaw()
    const { state, reason } = await untilJob(server.client, DECLARED, ({ state }) => state !== 'RUNNING', RECOVERY_MS)
    note(`${server.instanceId} thawed: ${state} ${reason.slice(0, 60)}`)
    await pause(500)
    await server.remove()
    deployment.server = other
  },

  async rescale({ server, random, note }) {
    const parallelism = 1 + nextBelow(random, 3)
    note(`to ${parallelism}`)
    const endMs = performance.now() + RECOVERY_MS
    for (;;) {
      try {
        await server.client.control.rescale(DECLARED, parallelism)
        return
      } catch (thrown) {
        // The store may still be away since the round before: who is told to ask again does.
        if (MillraceError.from(thrown).retry === 'never' || performance.now() > endMs) throw thrown
        await pause(200)
      }
    }
  },
}

async function untilRunning(server: ChaosServer, job: string): Promise<void> {
  const endMs = performance.now() + RECOVERY_MS
  for (;;) {
    try {
      await untilJob(server.client, job, ({ state }) => state === 'RUNNING', 20_000)
      return
    } catch (thrown) {
      if (performance.now() < endMs && server.running) continue
      throw new Error(`job ${job} does not run again: ${String(thrown)}\n${server.logTail()}`)
    }
  }
}

async function restarts(server: ChaosServer): Promise<number> {
  const jobs = await server.client.control.list()
  return jobs.reduce((sum, job) => sum + job.restarts, 0)
}

/** Waits until some job has restarted more often than before: the loss of a thread is noticed a little later. */
async function untilSome(server: ChaosServer, before: number): Promise<void> {
  const endMs = performance.now() + 10 * THREAD_SILENCE_MS
  while ((await restarts(server)) <= before) {
    if (performance.now() > endMs) throw new Error('no job has noticed that a thread was disturbed')
    await pause(100)
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms))
}
