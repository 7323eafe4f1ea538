/** The sources of a job under test: a topic in memory for each. */
import type { SubtaskSnapshot } from '../checkpoint/snapshot.ts'
import type { Clock, Random, Scheduler } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import { type JobProgram, sourcesOf } from '../program/graph.ts'
import type { SplitStart } from '../runtime/messages.ts'
import { MemorySourceReader } from '../source/memory-source.ts'
import { MemoryTopic } from '../source/memory-topic.ts'
import { PARTITION_STRIDE, SeveralReader } from '../source/several-sources.ts'
import type { SourceReader } from '../source/source.ts'

/** Where an event of a test goes. */
export interface InputTarget {
  /** Id of the source; the first unless given. */
  readonly source?: string
  /** Partitions take turns unless one is named. */
  readonly partition?: number
}

/** Topics of all sources of a job. */
export class HarnessInputs {
  readonly #partitions: number
  readonly #random: Random
  readonly #topics = new Map<string, MemoryTopic>()
  #turn = 0

  constructor(partitions: number, random: Random) {
    this.#partitions = partitions
    this.#random = random
  }

  /** Appends a record. USAGE where the job has no such source. */
  append(job: JobProgram, target: InputTarget, value: Uint8Array | null, timestampMs: number): void {
    const topic = this.#topic(sourceOf(job, target).id)
    const partition = target.partition ?? this.#turn++ % topic.partitions.length
    topic.append(partition, [{ key: null, value, timestampMs }])
  }

  /** The bytes of an event of a source. USAGE where its type does not encode. */
  encode(job: JobProgram, target: InputTarget, event: unknown): Uint8Array {
    const { type } = sourceOf(job, target)
    if (type.encode === undefined) throw new MillraceError('USAGE', 'the event type has no encode: push bytes instead')
    return type.encode(event).finish()
  }

  /** The reader of one subtask. */
  open(job: JobProgram, clock: Clock, scheduler: Scheduler): SourceReader {
    const readers = sourcesOf(job).map(({ id }) => new MemorySourceReader(this.#topic(id), clock, scheduler))
    return readers.length === 1 ? readers[0]! : new SeveralReader(readers)
  }

  /** What each subtask reads, from where a checkpoint says. */
  splits(job: JobProgram, parallelism: number, restored: readonly SubtaskSnapshot[]): SplitStart[][] {
    const known = restored
      .filter(({ operatorId }) => operatorId === job.settings.source.id)
      .flatMap((snapshot) => snapshot.splits)
    const splits: SplitStart[][] = Array.from({ length: parallelism }, () => [])
    sourcesOf(job).forEach(({ id }, source) => {
      const topic = this.#topic(id)
      topic.partitions.forEach((_, own) => {
        const partition = source * PARTITION_STRIDE + own
        const split = known.find((candidate) => candidate.partition === partition)
        splits[partition % parallelism]!.push({
          partition,
          offset: split?.offset ?? 0,
          stopOffset: Number.POSITIVE_INFINITY,
          topicId: topic.topicId,
          maxTimestampMs: split?.maxTimestampMs ?? Number.NEGATIVE_INFINITY,
        })
      })
    })
    return splits
  }

  #topic(id: string): MemoryTopic {
    const topic = this.#topics.get(id) ?? new MemoryTopic(id, this.#partitions, this.#random)
    this.#topics.set(id, topic)
    return topic
  }
}

function sourceOf(job: JobProgram, { source }: InputTarget): ReturnType<typeof sourcesOf>[number] {
  const sources = sourcesOf(job)
  const found = source === undefined ? sources[0] : sources.find(({ id }) => id === source)
  if (found !== undefined) return found
  const ids = sources.map(({ id }) => id).join(', ')
  throw new MillraceError('USAGE', `the job has no source ${JSON.stringify(source)}; it has ${ids}`)
}
