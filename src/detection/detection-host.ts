/**
 * The detectors of all jobs of a server.
 *
 * Owns: which detectors there are, as jobs come, change and go; looking at each at a pace; who watches. Holds no state that
 * outlives it: each detector derives its episodes from the history of its metric. Does not own: judging (alert/), what a
 * detector reads (detector-follower.ts).
 */
import type { Cancel, Clock, Scheduler } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import type { JobDefinition } from '../job/definition.ts'
import type { ViewPort } from '../query/view-port.ts'
import type { DetectedJob, EpisodeApi, EpisodeInfo, EpisodeQuery, EpisodeResult, EpisodeWatcher } from './api.ts'
import { detectorOf, episodesOf } from './describe.ts'
import { DetectorFollower, type FollowerPorts } from './detector-follower.ts'
import { changesOf } from './episode-changes.ts'
import type { EpisodeOutputs } from './episode-outputs.ts'

/** Milliseconds between two looks. */
export const detectionIntervalMs = 500

/** What the host is handed. */
export interface DetectionPorts {
  readonly views: ViewPort
  readonly jobs: () => readonly DetectedJob[]
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly intervalMs?: number
  /** Where jobs say that their episodes go; nowhere unless given. */
  readonly outputs?: EpisodeOutputs
}

interface JobDetectors {
  readonly jobId: string
  /** Where it stands: the same object is nothing new. */
  readonly definition: JobDefinition
  /** What they were made of. */
  readonly madeOf: string
  readonly followers: readonly DetectorFollower[]
}

interface Watch {
  readonly query: EpisodeQuery
  readonly watcher: EpisodeWatcher
  /** Episodes as they were last told, by id; null before the first time. */
  told: ReadonlyMap<string, EpisodeInfo> | null
  readonly changesOnly: boolean
}

/** Runs detectors and answers for them. */
export class DetectionHost implements EpisodeApi {
  readonly #ports: DetectionPorts
  readonly #jobs = new Map<string, JobDetectors>()
  readonly #watches = new Set<Watch>()
  #timer: Cancel = () => {}
  #closed = false

  constructor(ports: DetectionPorts) {
    this.#ports = ports
  }

  /** Begins to look. */
  start(): void {
    const round = (): void => {
      void this.look().then(() => {
        if (!this.#closed)
          this.#timer = this.#ports.scheduler.after(this.#ports.intervalMs ?? detectionIntervalMs, round)
      })
    }
    round()
  }

  close(): void {
    this.#closed = true
    this.#timer()
    this.#watches.clear()
  }

  /** Looks at every detector once. Never rejects. */
  async look(): Promise<void> {
    this.#adopt()
    for (const { followers } of this.#jobs.values()) {
      for (const follower of followers) if (!this.#closed) await follower.look()
    }
    for (const watch of [...this.#watches]) this.#tell(watch)
    this.#offer()
  }

  async list(query: EpisodeQuery): Promise<EpisodeResult> {
    // JOB_NOT_FOUND.
    await this.#ports.views.metrics(query.job)
    this.#adopt()
    return this.#resultOf(query)
  }

  watch(query: EpisodeQuery, watcher: EpisodeWatcher, options?: { readonly changesOnly?: boolean }): () => void {
    const watch: Watch = { query, watcher, told: null, changesOnly: options?.changesOnly ?? false }
    this.#watches.add(watch)
    this.list(query).then(
      () => this.#tell(watch),
      (thrown: unknown) => this.#end(watch, MillraceError.from(thrown)),
    )
    return () => {
      this.#watches.delete(watch)
    }
  }

  /** Open episodes of a job, by detector. */
  openEpisodes(job: string): { readonly detector: string; readonly open: number }[] {
    const followers = this.#jobs.get(job)?.followers ?? []
    return followers.map((follower) => ({ detector: follower.definition.id, open: detectorOf(follower.view()).open }))
  }

  /** Takes jobs as they are now. */
  #adopt(): void {
    const names = new Set<string>()
    for (const { jobId, definition } of this.#ports.jobs()) {
      const { name, metrics, detectors = [] } = definition
      names.add(name)
      const known = this.#jobs.get(name)
      if (known?.jobId === jobId && known.definition === definition) continue
      const madeOf = JSON.stringify([metrics, detectors])
      if (known?.jobId === jobId && known.madeOf === madeOf) {
        this.#jobs.set(name, { ...known, definition })
        continue
      }
      const followers = detectors.map((detector) => {
        const metric = metrics.find(({ id }) => id === detector.metric)!
        return new DetectorFollower(this.#followerPorts(), name, detector, metric)
      })
      this.#jobs.set(name, { jobId, definition, madeOf, followers })
    }
    for (const name of this.#jobs.keys()) if (!names.has(name)) this.#jobs.delete(name)
  }

  #followerPorts(): FollowerPorts {
    const { views, clock, scheduler } = this.#ports
    const pause = (): Promise<void> => new Promise((resolve) => void scheduler.soon(resolve))
    return { views, clock, pause }
  }

  #resultOf({ job, detector }: EpisodeQuery): EpisodeResult {
    const all = this.#jobs.get(job)?.followers ?? []
    const followers = all.filter(({ definition: { id } }) => detector === '' || id === detector)
    if (detector !== '' && followers.length === 0) {
      const known = all.length === 0 ? 'it has none' : `it has ${all.map(({ definition: { id } }) => id).join(', ')}`
      throw new MillraceError('QUERY_INVALID', `job ${job} has no detector ${detector}: ${known}`)
    }
    const views = followers.map((follower) => follower.view())
    return { episodes: views.flatMap(episodesOf).sort(byStart), detectors: views.map(detectorOf) }
  }

  #offer(): void {
    const { outputs } = this.#ports
    if (outputs === undefined || this.#closed) return
    outputs.keep(new Set(this.#jobs.keys()))
    for (const [name, { jobId, definition, followers }] of this.#jobs) {
      const result = this.#resultOf({ job: name, detector: '' })
      const watermarksMs = new Map(followers.map((one) => [one.definition.id, one.watermarkMs]))
      outputs.offer(
        { jobId, definition },
        result,
        watermarksMs,
        followers.every(({ ended }) => ended === true),
      )
    }
  }

  #tell(watch: Watch): void {
    if (!this.#watches.has(watch)) return
    const { query, watcher, told, changesOnly } = watch
    const followers = this.#jobs.get(query.job)?.followers
    if (followers === undefined) {
      this.#end(watch, null)
      return
    }
    let result: EpisodeResult
    try {
      result = this.#resultOf(query)
    } catch (thrown) {
      this.#end(watch, MillraceError.from(thrown))
      return
    }
    // Nothing is retracted because a history is being read anew, nor told before one has been read.
    if (result.detectors.some(({ judgedThroughMs, waiting }) => judgedThroughMs === -Infinity && waiting !== '')) return
    const now = new Map(result.episodes.map((episode) => [episode.id, episode]))
    watch.told = now
    if (told === null) watcher.onEpisodes(changesOnly ? [] : result.episodes)
    else {
      const changes = changesOf(told, result)
      if (changes.length > 0) watcher.onEpisodes(changes)
    }
    const ends = followers.map(({ ended }) => ended)
    if (ends.every((end) => end !== null)) this.#end(watch, ends.find((end) => end instanceof MillraceError) ?? null)
  }

  #end(watch: Watch, error: MillraceError | null): void {
    if (this.#watches.delete(watch)) watch.watcher.onEnd(error)
  }
}

function byStart(a: EpisodeInfo, b: EpisodeInfo): number {
  return a.startMs - b.startMs || (a.id < b.id ? -1 : 1)
}
