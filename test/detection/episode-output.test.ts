/** The output of episodes: each change once, whatever fails between the two writes, and nothing before it is known again. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MemoryCheckpointStore, MemoryStoreData } from '../../src/checkpoint/memory-store.ts'
import { SeededRandom } from '../../src/core/clock.ts'
import { MillraceError } from '../../src/core/errors.ts'
import type { DetectorInfo, EpisodeInfo, EpisodeResult } from '../../src/detection/api.ts'
import { EpisodeOutput } from '../../src/detection/episode-output.ts'
import { decodeEpisodeState, encodeEpisodeState } from '../../src/detection/episode-state.ts'
import type { TopicOutput } from '../../src/job/definition.ts'
import { EPISODES_SINK } from '../../src/job/delivery.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { MemoryOutboxData, MemoryOutboxSink } from '../../src/testing/memory-outbox-sink.ts'

const detector: DetectorInfo = {
  ...{ id: 'outage', metric: 'views', description: '', kind: 'ewma', series: [], groupsLeftOut: 0 },
  ...{ judgedThroughMs: 0, waiting: '', open: 0 },
}

function episode(id: string, revision: number, more: Partial<EpisodeInfo> = {}): EpisodeInfo {
  return {
    ...{ id, job: 'shop', detector: 'outage', metric: 'views', group: [], state: 'alerting', direction: 'down' },
    ...{ startMs: 1, openedMs: 2, lastMs: 2, endMs: null, score: Number.POSITIVE_INFINITY, actual: 0, expected: 9 },
    ...{ threshold: 4, anomalousWindows: 1, revision, judgedThroughMs: revision, settled: false },
    ...more,
  }
}

function known(judgedThroughMs: number, ...episodes: EpisodeInfo[]): EpisodeResult {
  return { episodes, detectors: [{ ...detector, judgedThroughMs }] }
}

/** A server's parts that outlive it. */
class World {
  readonly data = new MemoryStoreData()
  readonly topic = new MemoryOutboxData()
  readonly clock = new ManualClock()
  readonly random = new SeededRandom(1)
  readonly logged: string[] = []

  output(to: Partial<{ jobId: string; output: TopicOutput; instanceId: string }> = {}): EpisodeOutput {
    const { jobId = '1', output = { kind: 'log', path: '/log', topic: 'episodes' }, instanceId = 'a' } = to
    const { data, clock, random } = this
    const ports = {
      ...{ store: new MemoryCheckpointStore(data, clock, random), instanceId, random },
      openSink: (_: unknown, owner: ConstructorParameters<typeof MemoryOutboxSink>[1]) =>
        new MemoryOutboxSink(this.topic, owner),
      log: (_: 'warn', message: string) => void this.logged.push(message),
    }
    return new EpisodeOutput(ports, { job: 'shop', jobId, output })
  }

  said(): string[] {
    return this.topic.records('shop', EPISODES_SINK).map(({ value }) => Buffer.from(value).toString())
  }
}

async function offer(to: EpisodeOutput, result: EpisodeResult, ended = false): Promise<void> {
  to.offer({
    ...{ result, ended },
    recordOf: ({ change, episode: { id, detector: key, revision } }) => ({
      ...{ key: Buffer.from(key), value: Buffer.from(`${change} ${id} ${revision}`), timestampMs: 1 },
    }),
  })
  await to.settled()
}

describe('an output of episodes', () => {
  it('says what opens, changes, ends and is taken back, each once', async () => {
    const world = new World()
    const output = world.output()
    await offer(output, known(Number.NEGATIVE_INFINITY))
    await offer(output, known(1, episode('x', 1)))
    await offer(output, known(2, episode('x', 1, { judgedThroughMs: 2 })))
    await offer(output, known(3, episode('x', 2), episode('y', 1)))
    await offer(output, known(4, episode('x', 3, { state: 'normal', endMs: 4 })))
    await offer(output, known(5, episode('x', 3, { state: 'normal', endMs: 4, settled: true })))
    await offer(output, known(6))
    expect(world.said()).toEqual([
      'opened x 1',
      'updated x 2',
      'opened y 1',
      'closed x 3',
      'retracted y 1',
      'closed x 3',
    ])
    expect(world.data.jobs.get('shop.episodes')?.manifests.size).toBe(1)
  })

  it('says nothing after a restart until as much is known again', async () => {
    const world = new World()
    await offer(world.output(), known(3, episode('x', 1), episode('y', 1)))
    const restarted = world.output()
    await offer(restarted, known(Number.NEGATIVE_INFINITY))
    await offer(restarted, known(2, episode('x', 1)))
    await offer(restarted, known(3, episode('x', 1), episode('y', 1)))
    expect(world.said()).toEqual(['opened x 1', 'opened y 1'])
    await offer(restarted, known(4, episode('x', 1)))
    expect(world.said().slice(2)).toEqual(['retracted y 1'])
    const ended = world.output()
    await offer(ended, known(2), true)
    expect(world.said().slice(3)).toEqual(['retracted x 1'])
  })

  it('speaks of the detectors that know enough while others do not', async () => {
    const world = new World()
    const other = { ...detector, id: 'other' }
    const of = (id: string, revision: number) => episode(id, revision, { detector: 'other' })
    const both = (a: number, b: number, ...episodes: EpisodeInfo[]): EpisodeResult => ({
      ...{
        episodes,
        detectors: [
          { ...detector, judgedThroughMs: a },
          { ...other, judgedThroughMs: b },
        ],
      },
    })
    await offer(world.output(), both(3, 3, episode('x', 1), of('o', 1)))
    const restarted = world.output()
    await offer(restarted, both(4, 2, episode('x', 2)))
    await offer(restarted, both(4, 3, episode('x', 2), of('o', 2)))
    expect(world.said()).toEqual(['opened x 1', 'opened o 1', 'updated x 2', 'updated o 2'])
  })

  it('begins anew for another submission, and for another topic', async () => {
    const world = new World()
    await offer(world.output(), known(3, episode('x', 1)))
    await offer(world.output({ jobId: '2' }), known(1, episode('x', 1)))
    const elsewhere: TopicOutput = { kind: 'log', path: '/log', topic: 'others' }
    await offer(world.output({ jobId: '2', output: elsewhere }), known(1, episode('x', 1)))
    expect(world.said()).toEqual(['opened x 1', 'opened x 1', 'opened x 1'])
  })

  it('shuts out the one before, and says again what a store has lost', async () => {
    const world = new World()
    const old = world.output()
    await offer(old, known(1, episode('x', 1)))
    const next = world.output()
    await offer(next, known(2, episode('x', 2)))
    // Fenced, it opens anew, and goes by what the other has said.
    await offer(old, known(2, episode('x', 2)))
    await offer(old, known(2, episode('x', 2)))
    expect(world.said()).toEqual(['opened x 1', 'updated x 2'])
    world.data.clear()
    const late = known(3, episode('x', 3))
    for (let i = 0; i < 3; i++) await offer(old, late)
    expect(world.said().slice(2)).toEqual(['opened x 3'])
    expect(world.logged.join('\n')).toContain('is told again')
  })

  it('gives each change once over crashes at any step', async () => {
    const step = fc.record({
      /** Which calls fail from here on until the next restart. */
      fault: fc.option(fc.nat(11), { nil: null }),
      shift: fc.constantFrom(0, 1, 2),
      restart: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const world = new World()
        let output = world.output()
        let now = 0
        for (const { fault, shift, restart } of steps) {
          now += shift
          let calls = 0
          const strike = () => {
            if (calls++ === fault) throw new MillraceError('STORE_UNREACHABLE', 'planted')
          }
          world.data.fault = strike
          world.topic.fault = strike
          await offer(output, resultAt(now))
          world.data.fault = undefined
          world.topic.fault = undefined
          if (restart) output = world.output()
        }
        for (let i = 0; i < 2; i++) await offer(output, resultAt(now))
        const said = world.said()
        expect(new Set(said).size).toBe(said.length)
        const last = new Map(said.map((line) => [line.split(' ')[1], line]))
        const open = [...last.values()].filter((line) => !line.startsWith('retracted'))
        expect(open.map((line) => line.split(' ').slice(1).join(' ')).sort()).toEqual(textsAt(now))
        expect(world.topic.repeated).toBe(0)
      }),
      { numRuns: 300 },
    )
  })
})

/** Episodes as they are at a time: three of the last ones are known, each with its revision. */
function resultAt(now: number): EpisodeResult {
  const ids = [now - 2, now - 1, now].filter((id) => id > 0)
  return known(now, ...ids.map((id) => episode(`e${id}`, now - id + 1)))
}

function textsAt(now: number): string[] {
  return resultAt(now)
    .episodes.map(({ id, revision }) => `${id} ${revision}`)
    .sort()
}

describe('what is stored of it', () => {
  it('is read as it was written, infinities too', () => {
    const state = {
      ...{ jobId: '1', place: 'p', block: new Uint8Array([1, 2, 255]) },
      told: new Map([['x', episode('x', 1)]]),
      judgedThroughMs: new Map([['outage', Number.NEGATIVE_INFINITY]]),
    }
    const read = decodeEpisodeState(encodeEpisodeState(state))
    expect({ ...read, block: [...read.block] }).toEqual({ ...state, block: [1, 2, 255] })
    expect(() => decodeEpisodeState(Buffer.from('{'))).toThrowError(/cannot be read/)
    expect(() => decodeEpisodeState(Buffer.from('{"version":2,"told":[]}'))).toThrowError(/version 2/)
  })
})
