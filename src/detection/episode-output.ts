/**
 * One job's output of episodes: each change of an episode to a topic, once.
 *
 * Owns: what has been told, and the order of the two writes that make it exactly-once. First the store has, under a lease of
 * the output's own, what is told now together with the records that say so: an epoch. Then the sink applies the epoch, with
 * a marker. Whoever opens the output anew shuts out the one before in both, reads the marker after that, and applies the
 * epoch that is stored where the topic lacks it. So after a crash at any step no change is lost and none is said twice.
 *
 * After a crash detectors know less than was told until the job has counted again. Of a detector nothing is said before it
 * has judged as far as it had. Does not own: what episodes there are (detection-host.ts), records (rpc/episode-messages.ts).
 *
 * Where the store has gone back behind the topic, everything that is known is told again, under the same ids.
 */
import type { CheckpointStore, LeaseFloor } from '../checkpoint/store.ts'
import { randomId } from '../checkpoint/store-errors.ts'
import type { Random } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import type { TopicOutput } from '../job/definition.ts'
import { EPISODES_SINK, episodeStateName, placeOf } from '../job/delivery.ts'
import type { OutboxOwner, OutboxSink } from '../sink/outbox.ts'
import { OutboxBlockWriter } from '../sink/outbox-block.ts'
import type { EpisodeInfo, EpisodeResult } from './api.ts'
import { changesOf } from './episode-changes.ts'
import { decodeEpisodeState, type EpisodeOutputState, encodeEpisodeState } from './episode-state.ts'

/** A change on its way out. */
export interface EpisodeNews {
  readonly change: 'opened' | 'updated' | 'closed' | 'retracted'
  readonly episode: EpisodeInfo
}

/** A record of a topic. */
export interface EpisodeRecord {
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly timestampMs: number
}

/** What an output is made of. */
export interface EpisodeOutputPorts {
  readonly store: CheckpointStore
  readonly instanceId: string
  readonly random: Random
  readonly openSink: (output: TopicOutput, owner: OutboxOwner) => OutboxSink
  readonly log: (level: 'warn', message: string, fields: Readonly<Record<string, unknown>>) => void
}

/** Whose output it is. */
export interface EpisodeOutputJob {
  readonly job: string
  readonly jobId: string
  readonly output: TopicOutput
}

/** All that detectors know, and what is to be known of it to say so. */
export interface KnownEpisodes {
  readonly result: EpisodeResult
  /** Nothing will change any more: what is not known by now never will be. */
  readonly ended: boolean
  readonly recordOf: (news: EpisodeNews) => EpisodeRecord
}

/** How long a lease outlives its holder, ms. It is not renewed: it is there to shut out whoever had it before. */
const LEASE_MS = 2000

interface Session {
  readonly generation: number
  readonly nonce: string
  readonly sink: OutboxSink
  epoch: number
  state: EpisodeOutputState
}

/** Tells a topic of the episodes of a job. */
export class EpisodeOutput {
  readonly #ports: EpisodeOutputPorts
  readonly #job: EpisodeOutputJob
  readonly #name: string
  readonly #place: string
  #session: Session | null = null
  /** Also while it is opened: closing it ends what waits for it. */
  #sink: OutboxSink | null = null
  #floor: LeaseFloor = { generation: 0, checkpointId: 0 }
  #waiting: KnownEpisodes | null = null
  #running: Promise<void> = Promise.resolve()
  #busy = false
  #closed = false
  #failure = ''

  constructor(ports: EpisodeOutputPorts, job: EpisodeOutputJob) {
    this.#ports = ports
    this.#job = job
    this.#name = episodeStateName(job.job)
    this.#place = placeOf(job.output)
  }

  /** Tells what has changed, as soon as what is being told is told; of several offers until then the last one counts. */
  offer(known: KnownEpisodes): void {
    this.#waiting = known
    if (this.#busy || this.#closed) return
    this.#busy = true
    this.#running = this.#run().finally(() => {
      this.#busy = false
    })
  }

  /** Resolves when nothing that was offered is waiting: it is told, or has failed and will be when it is offered again. */
  settled(): Promise<void> {
    return this.#running
  }

  /** Resolves when nothing of it has any effect any more. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#sink?.close()
    await this.#running
    await this.#shut()
  }

  async #run(): Promise<void> {
    for (let known = this.#waiting; known !== null && !this.#closed; known = this.#waiting) {
      this.#waiting = null
      try {
        await this.#tell(known)
        this.#failure = ''
      } catch (thrown) {
        this.#warn(MillraceError.from(thrown))
        await this.#shut()
      }
    }
  }

  async #tell({ result, ended, recordOf }: KnownEpisodes): Promise<void> {
    if (result.detectors.every(({ judgedThroughMs }) => judgedThroughMs === Number.NEGATIVE_INFINITY)) return
    this.#session ??= await this.#open()
    const session = this.#session
    const { told, judgedThroughMs } = session.state
    const heard = result.detectors.filter((one) => {
      const isRead = one.judgedThroughMs > Number.NEGATIVE_INFINITY || one.waiting === ''
      return isRead && (ended || one.judgedThroughMs >= (judgedThroughMs.get(one.id) ?? Number.NEGATIVE_INFINITY))
    })
    const ids = new Set(heard.map(({ id }) => id))
    const episodes = result.episodes.filter(({ detector }) => ids.has(detector))
    const changes = changesOf(told, { episodes, detectors: heard })
    if (changes.length === 0) return
    const block = new OutboxBlockWriter()
    for (const episode of changes) {
      const { key, value, timestampMs } = recordOf({ change: changeOf(episode, told), episode })
      block.write(key, value, timestampMs)
    }
    const detectors = new Set(result.detectors.map(({ id }) => id))
    const unheard = [...told.values()].filter(({ detector }) => detectors.has(detector) && !ids.has(detector))
    const through = heard.map((one): [string, number] => [one.id, one.judgedThroughMs])
    await this.#give(session, {
      ...{ jobId: this.#job.jobId, place: this.#place, block: block.take() },
      told: new Map([...unheard, ...episodes].map((episode) => [episode.id, episode])),
      judgedThroughMs: new Map([...judgedThroughMs, ...through]),
    })
  }

  async #give(session: Session, state: EpisodeOutputState): Promise<void> {
    const { store } = this.#ports
    const { generation, nonce, epoch: before } = session
    const epoch = before + 1
    await store.publishManifest(this.#name, generation, nonce, epoch, encodeEpisodeState(state), before)
    await session.sink.apply(epoch, oneBlock(state.block))
    session.epoch = epoch
    session.state = state
    this.#floor = { generation, checkpointId: epoch }
    await store.deleteCheckpoint(this.#name, generation, nonce, before)
  }

  async #open(): Promise<Session> {
    const { store, instanceId, random, openSink } = this.#ports
    const { job, jobId, output } = this.#job
    const nonce = randomId(random)
    const lease = await store.acquireLease(this.#name, instanceId, nonce, LEASE_MS, this.#floor)
    if (!lease.acquired) throw new MillraceError('LEASE_HELD', `${lease.heldBy} tells of the episodes of job ${job}`)
    const { generation } = lease
    this.#floor = { generation, checkpointId: Math.max(lease.lastCheckpointId, this.#floor.checkpointId) }
    const sink = openSink(output, { job, jobId, sink: EPISODES_SINK, generation, nonce })
    this.#sink = sink
    try {
      // The marker after the lease, the state after both: an owner before can add to neither any more.
      const marker = await sink.open()
      const applied = marker?.jobId === jobId ? marker.epoch : 0
      const stored = (await store.listCheckpoints(this.#name)).at(-1) ?? 0
      const bytes = stored === 0 ? undefined : await store.readManifest(this.#name, stored)
      const state = bytes === undefined ? null : decodeEpisodeState(bytes)
      const isOurs = state !== null && state.jobId === jobId && state.place === this.#place
      const epoch = Math.max(stored, applied, lease.lastCheckpointId)
      if (applied > (isOurs ? stored : 0)) {
        const text = `the topic of episodes of job ${job} has more than its store: what is known is told again`
        this.#ports.log('warn', text, { job, epoch: applied, stored })
      } else if (isOurs) {
        if (stored > applied) await sink.apply(stored, oneBlock(state.block))
        return { generation, nonce, sink, epoch, state }
      }
      const nothing = { told: new Map(), judgedThroughMs: new Map(), block: new Uint8Array(0) }
      return { generation, nonce, sink, epoch, state: { jobId, place: this.#place, ...nothing } }
    } catch (thrown) {
      await sink.close()
      throw thrown
    }
  }

  async #shut(): Promise<void> {
    const session = this.#session
    this.#session = null
    if (session === null) return
    await session.sink.close()
    const { generation, nonce } = session
    await this.#ports.store.releaseLease(this.#name, generation, nonce).catch(() => undefined)
  }

  /** Once for what goes wrong in the same way again and again. */
  #warn({ code, message }: MillraceError): void {
    if (message === this.#failure) return
    this.#failure = message
    const { job } = this.#job
    this.#ports.log('warn', `episodes of job ${job} are not told for now: ${message}`, { job, code })
  }
}

function changeOf({ id, state }: EpisodeInfo, told: ReadonlyMap<string, EpisodeInfo>): EpisodeNews['change'] {
  if (state === 'retracted') return 'retracted'
  if (state === 'normal') return 'closed'
  return told.has(id) ? 'updated' : 'opened'
}

async function* oneBlock(block: Uint8Array): AsyncGenerator<Uint8Array> {
  yield block
}
