/**
 * The mode in which events are taken back: what has been taken back was never sent.
 *
 * Half of the sample's events have weight 1, the others none. Beside them come events that never were, of persons, names
 * and amounts thrown together, each of which is taken back: before it comes, soon after it, or when windows have given
 * their results. So is a seventh of the sample, which is sent once more in the end.
 */
import { nextFraction, SeededRandom } from '../../src/core/clock.ts'
import { Event } from '../../src/gen/millrace/v1/event.ts'
import { parseJob } from '../../src/job/parse.ts'
import { builtInDescriptors } from '../support/descriptors.ts'
import { ECOM_ROWS } from '../support/ecom.ts'
import { submitJob, type TestEngine, untilJob } from '../support/engine.ts'
import { fillPartitions, shuffleWithin } from '../support/events.ts'
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
import { isLate, type OracleEvent, oracleEvents } from './sample.ts'

const GHOSTS = 4_000
const YEAR = 366 * 86_400_000
const weights = { event: { message: 'millrace.v1.Event', time: 'occurred_at', key: 'person', weight: 'weight' } }

function weighted(event: OracleEvent, weight: number): OracleEvent {
  return { ...event, value: Event.encode({ ...Event.decode(event.value!), weight }).finish() }
}

/** Events that never were: each is of the person, the name and the amount of three rows, at the time of a fourth. */
function ghosts(random: SeededRandom): readonly OracleEvent[] {
  const rows = oracleEvents()
  const any = (): Event => Event.decode(rows[Math.floor(nextFraction(random) * rows.length)]!.value!)
  return Array.from({ length: GHOSTS }, (_, i) => {
    const [who, what, paid, when] = [any(), any(), any(), any()]
    const { revenueMinor, currency } = paid
    const eventId = `ghost-${i}`
    const { occurredAt } = when
    const event = { ...what, eventId, person: who.person, session: who.session, revenueMinor, currency, occurredAt }
    const value = Event.encode(event).finish()
    return { person: event.person, timeMs: occurredAt!.getTime(), row: -1, value }
  })
}

/** Leaves out metrics that cannot take events back, and what is made of them: jobs with such are refused. */
function thatTakeBack(cases: readonly OracleCase[]): readonly OracleCase[] {
  const taken = new Set<string>()
  for (const { sections, metrics } of cases)
    for (const [id, metric] of Object.entries(metrics)) {
      const { definition } = metric
      if ('ratio' in definition) continue
      const alone = { kind: 'alone', metrics: { [id]: metric }, ...(sections === undefined ? {} : { sections }) }
      try {
        parseJob(
          jobOf([alone], { ...weights, sources: [{ id: 'events', log: { path: 'log', topic: 'events' } }] }),
          builtInDescriptors(),
        )
        taken.add(id)
      } catch (error) {
        if (!String(error).includes('cannot take events back')) throw error
      }
    }
  for (const { metrics } of cases)
    for (const [id, { definition }] of Object.entries(metrics)) {
      if (!('ratio' in definition)) continue
      const { of, to } = definition.ratio as { readonly of: string; readonly to: string }
      if (taken.has(of) && taken.has(to)) taken.add(id)
    }
  return cases.flatMap((one) => {
    const metrics = Object.fromEntries(Object.entries(one.metrics).filter(([id]) => taken.has(id)))
    return Object.keys(metrics).length === 0 ? [] : [{ ...one, metrics }]
  })
}

/**
 * See the head of the file. The parallelism changes before what is known is taken back, and a thread is killed while that
 * is under way.
 */
export const takenBack: OracleMode = {
  name: 'sent and taken back',
  of: thatTakeBack,
  async run(cases, seed, judge) {
    const threads = watchThreads()
    try {
      await withEngine(2, (engine) => takeBack(cases, seed, judge, engine, threads.kill))
    } finally {
      threads.stop()
    }
  },
}

async function takeBack(
  cases: readonly OracleCase[],
  seed: number,
  judge: Judge,
  engine: TestEngine,
  kill: (engine: TestEngine, thread: number) => Promise<void>,
): Promise<void> {
  const random = new SeededRandom(seed)
  const known = oracleEvents().map((event) => (event.row % 2 === 0 ? event : weighted(event, 1)))
  const never = ghosts(random)
  const [soon, later] = [never.slice(0, GHOSTS / 2), never.slice(GHOSTS / 2)]
  const behind = oracleEvents().filter(isLate)
  const back = (events: readonly OracleEvent[]) => events.map((event) => weighted(event, -1))
  const log = createLogTopic(engine.logRoot, 'events', 3)
  const sources = [{ id: 'events', ...log.source() }]
  const rest = { watermark: { outOfOrderness: '1s', idleness: '0s' }, checkpoint: { every: '100ms' }, parallelism: 2 }
  await submitJob(engine.client, jobOf(cases, { ...weights, ...rest, sources }, '400d'))
  let sent = 0
  const send = async (events: readonly OracleEvent[], meanwhile?: () => Promise<void>): Promise<void> => {
    sent += events.length
    await log.append(fillPartitions(events, 3, 'round-robin'))
    await meanwhile?.()
    await untilCounted(engine, sent)
  }
  const first = [...known, ...never, ...back(soon)].sort((a, b) => a.timeMs - b.timeMs)
  await send(shuffleWithin(first, 24 * 3_600_000, seed) as OracleEvent[])
  await engine.client.control.rescale('oracle', 3)
  await untilJob(engine.client, 'oracle', ({ state }) => state === 'RUNNING')
  const gone = shuffleWithin([...back(later), ...back(behind)], YEAR, seed + 1) as OracleEvent[]
  await send(gone, () => kill(engine, 1))
  judge(await valuesOfAll(engine, cases), 'withoutLate')
  await send(shuffleWithin(behind, YEAR, seed + 2) as OracleEvent[])
  judge(await valuesOfAll(engine, cases), 'all')
  await expectNothingLost(engine, ECOM_ROWS + 2 * GHOSTS + 2 * behind.length)
  await log.close()
}
