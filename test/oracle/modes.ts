/**
 * The ways in which the events come to the jobs of the oracle: each is one whole job with all metrics, on real threads.
 *
 * Owns: how events are sent and what is done to the job meanwhile. Does not own the job (mode-job.ts), what its values must
 * be (kinds/), or comparing (compare.ts).
 */
import { withCopies } from '../support/copies.ts'
import { ECOM_ROWS } from '../support/ecom.ts'
import { submitJob, untilJob } from '../support/engine.ts'
import { fillPartitions, type SampleEvent, shuffleWithin } from '../support/events.ts'
import { createLogTopic } from '../support/events-log.ts'
import type { OracleCase } from './case.ts'
import {
  expectNothingLost,
  type Judge,
  jobOf,
  type OracleMode,
  untilCounted,
  valuesOfAll,
  watchThreads,
  withEngine,
} from './mode-job.ts'
import { isLate, oracleEvents } from './sample.ts'
import { takenBack } from './taken-back.ts'

const HOUR = 3_600_000

interface BoundedRun {
  readonly sent: readonly (readonly SampleEvent[])[]
  readonly outOfOrderness: string
  readonly parallelism: number
  readonly sections?: Readonly<Record<string, unknown>>
  readonly copies?: number
}

/** Sends everything, runs the job to its end, and judges it. */
function runBounded(cases: readonly OracleCase[], run: BoundedRun, judge: Judge): Promise<void> {
  const { sent, outOfOrderness, parallelism, sections = {}, copies = 0 } = run
  return withEngine(2, async (engine) => {
    const log = createLogTopic(engine.logRoot, 'events', sent.length)
    await log.append(sent)
    await log.close()
    const sources = [{ id: 'events', ...log.source({ bounded: true }) }]
    const watermark = { outOfOrderness, idleness: '0s' }
    await submitJob(engine.client, jobOf(cases, { sources, watermark, parallelism, ...sections }))
    await untilJob(engine.client, 'oracle', ({ state }) => state === 'FINISHED', 240_000)
    judge(await valuesOfAll(engine, cases), 'all')
    await expectNothingLost(engine, ECOM_ROWS + copies, copies)
  })
}

const inOrder: OracleMode = {
  name: 'in time order',
  run: (cases, _seed, judge) =>
    runBounded(cases, { sent: [oracleEvents()], outOfOrderness: '0s', parallelism: 1 }, judge),
}

const shuffled: OracleMode = {
  name: 'shuffled within the out-of-orderness',
  run(cases, seed, judge) {
    const lanes = fillPartitions(oracleEvents(), 4, 'round-robin')
    const sent = lanes.map((lane, i) => shuffleWithin(lane, 6 * HOUR, seed + i))
    return runBounded(cases, { sent, outOfOrderness: '6h', parallelism: 3 }, judge)
  },
}

const copied: OracleMode = {
  name: 'every event one to three times',
  run(cases, seed, judge) {
    const { partitions: sent, copies } = withCopies(oracleEvents(), 4, 20 * HOUR, seed)
    const sections = { dedupe: { by: 'event_id', within: '2d' } }
    return runBounded(cases, { sent, outOfOrderness: '5s', parallelism: 2, sections, copies }, judge)
  },
}

/** A seventh of the events comes when all windows that they belong to have given their results. */
const late: OracleMode = {
  name: 'late, within the allowed lateness',
  run: (cases, seed, judge) =>
    withEngine(2, async (engine) => {
      const inTime = oracleEvents().filter((event) => !isLate(event))
      const behind = oracleEvents().filter(isLate)
      const log = createLogTopic(engine.logRoot, 'events', 3)
      const sources = [{ id: 'events', ...log.source() }]
      const watermark = { outOfOrderness: '1s', idleness: '0s' }
      await submitJob(engine.client, jobOf(cases, { sources, watermark, parallelism: 2 }, '400d'))
      await log.append(fillPartitions(inTime, 3, 'hash'))
      await untilCounted(engine, inTime.length)
      judge(await valuesOfAll(engine, cases), 'withoutLate')
      await log.append(fillPartitions(shuffleWithin(behind, 400 * 24 * HOUR, seed), 3, 'round-robin'))
      await untilCounted(engine, ECOM_ROWS)
      judge(await valuesOfAll(engine, cases), 'all')
      await expectNothingLost(engine, ECOM_ROWS)
      await log.close()
    }),
}

/** Each worker thread is killed once between checkpoints, and the parallelism changes twice. */
const crashed: OracleMode = {
  name: 'over crashes and changes of the parallelism',
  async run(cases, seed, judge) {
    const threads = watchThreads()
    try {
      await withEngine(2, async (engine) => {
        const { client } = engine
        const log = createLogTopic(engine.logRoot, 'events', 3)
        const sources = [{ id: 'events', ...log.source() }]
        const job = { sources, watermark: { outOfOrderness: '1h', idleness: '0s' }, checkpoint: { every: '100ms' } }
        await submitJob(client, jobOf(cases, { ...job, parallelism: 2 }))
        const lanes = fillPartitions(oracleEvents(), 3, 'round-robin').map((lane, i) =>
          shuffleWithin(lane, HOUR, seed + i),
        )
        const steps = 6
        for (let step = 0; step < steps; step++) {
          await untilJob(client, 'oracle', ({ state }) => state === 'RUNNING')
          await client.control.triggerCheckpoint('oracle')
          const at = (length: number, share: number): number => Math.floor((length * share) / steps)
          await log.append(lanes.map((lane) => lane.slice(at(lane.length, step), at(lane.length, step + 1))))
          if (step === 1 || step === 3) await threads.kill(engine, step === 1 ? 0 : 1)
          if (step === 2 || step === 4) await client.control.rescale('oracle', step === 2 ? 3 : 1)
        }
        await untilCounted(engine, ECOM_ROWS)
        judge(await valuesOfAll(engine, cases), 'all')
        await expectNothingLost(engine, ECOM_ROWS)
        await log.close()
      })
    } finally {
      threads.stop()
    }
  },
}

/** All of them. */
export const modes: readonly OracleMode[] = [inOrder, shuffled, late, takenBack, copied, crashed]
