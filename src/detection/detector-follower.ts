/**
 * One detector of one job, for as long as both are what they are: reads the history of its metric, then follows it.
 *
 * Owns: when everything is read anew (a new attempt may have taken values back), and whether the source stands still. Holds
 * nothing that the history does not say, so nothing of it is stored. Does not own: judging (alert/), the rows
 * (metric-reader.ts), when to look (detection-host.ts).
 */
import { planWatch, type WatchPlan } from '../alert/watch-plan.ts'
import { WatchedGroups, type WatchedRow } from '../alert/watched-groups.ts'
import type { Clock } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import type { MetricDefinition } from '../job/definition.ts'
import type { DetectorDefinition } from '../job/detector-definition.ts'
import type { ViewPort } from '../query/view-port.ts'
import type { DetectorView } from './describe.ts'
import { type MetricChanges, MetricReader } from './metric-reader.ts'

/** Windows of series that are judged before others get their turn: some milliseconds. */
const TURN_WINDOWS = 5000
/** A source counts as standing still when the watermark has not moved for so many windows, and at least so long. */
const IDLE_WINDOWS = 2
const IDLE_MIN_MS = 60_000

/** What a follower is made of. */
export interface FollowerPorts {
  readonly views: ViewPort
  readonly clock: Clock
  /** Lets others have their turn. */
  readonly pause: () => Promise<void>
}

/** Follows one detector. */
export class DetectorFollower {
  readonly definition: DetectorDefinition
  readonly #ports: FollowerPorts
  readonly #job: string
  readonly #plan: WatchPlan
  readonly #reader: MetricReader
  #groups: WatchedGroups | null = null
  #attempt = -1
  #watermarkMs = Number.NEGATIVE_INFINITY
  #movedAtMs: number
  #waiting = 'the history has not been read yet'
  /** The job has ended, and all of it has been judged; or what ended it. */
  ended: true | MillraceError | null = null

  constructor(ports: FollowerPorts, job: string, definition: DetectorDefinition, metric: MetricDefinition) {
    this.#ports = ports
    this.#job = job
    this.definition = definition
    this.#plan = planWatch(definition, metric)
    this.#reader = new MetricReader(ports.views, job, definition, this.#plan)
    this.#movedAtMs = ports.clock.monotonicMs()
  }

  /** Least watermark of the last answer: -Infinity before the first. */
  get watermarkMs(): number {
    return this.#watermarkMs
  }

  /** The detector as it is now. */
  view(): DetectorView {
    return {
      job: this.#job,
      definition: this.definition,
      dimensions: this.#reader.dimensions,
      groups: this.#groups,
      idle: this.#isIdle(),
      waiting: this.#waiting,
    }
  }

  /** Looks at what has changed, and judges it. Never rejects: what goes wrong is told by `view`. */
  async look(): Promise<void> {
    if (this.ended !== null) return
    try {
      const changes = await this.#follow()
      this.#waiting = changes === null ? 'there is no watermark yet' : ''
      if (changes?.ended === true) this.ended = true
    } catch (thrown) {
      const error = MillraceError.from(thrown)
      this.#waiting = error.message
      if (error.retry !== 'backoff' && error.code === 'UNAVAILABLE') this.ended = error
    }
  }

  async #follow(): Promise<MetricChanges | null> {
    if (this.#groups === null) return this.#readAnew()
    const changes = await this.#reader.readChanges(this.#groups.openFromMs)
    // Change numbers begin anew with each attempt, and what was final may be gone.
    if (changes.attempt !== this.#attempt || changes.truncated) return this.#readAnew()
    this.#groups.put(changes.rows)
    await this.#judge(this.#groups, changes)
    return changes
  }

  async #readAnew(): Promise<MetricChanges | null> {
    const groups = new WatchedGroups(this.#plan)
    const read = await this.#reader.readHistories((rows: readonly WatchedRow[]) => groups.put(rows))
    if (read === null) return null
    // What changed while the parts were read, so that all of it is of one moment.
    const changes = await this.#reader.readChanges(Number.NEGATIVE_INFINITY)
    if (changes.attempt !== read.attempt || changes.truncated)
      throw new MillraceError('UNAVAILABLE', 'the job restarts, or changes faster than it can be read')
    groups.put(changes.rows)
    await this.#judge(groups, changes)
    this.#groups = groups
    this.#attempt = changes.attempt
    return changes
  }

  async #judge(groups: WatchedGroups, { watermarkMs }: MetricChanges): Promise<void> {
    if (watermarkMs !== this.#watermarkMs) this.#movedAtMs = this.#ports.clock.monotonicMs()
    this.#watermarkMs = watermarkMs
    while (!groups.advance(watermarkMs, TURN_WINDOWS)) await this.#ports.pause()
  }

  #isIdle(): boolean {
    if (this.ended === true || this.#watermarkMs === Number.POSITIVE_INFINITY) return false
    const standsMs = this.#ports.clock.monotonicMs() - this.#movedAtMs
    return standsMs > Math.max(IDLE_WINDOWS * this.#plan.window.sizeMs, IDLE_MIN_MS)
  }
}
