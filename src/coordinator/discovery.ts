/**
 * Partition discovery: looks for partitions that were added while a job runs, and for a topic that is another one now.
 *
 * Owns: the rhythm, and what is known. Does not own: who reads what (assignment.ts). An enumeration that fails is said
 * and made again at the next turn: the partitions that are being read have their own eyes on the broker.
 */

import type { Cancel, Scheduler } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import { jobDefaults } from '../job/defaults.ts'
import type { SourceInput } from '../job/definition.ts'
import type { SplitStart } from '../runtime/messages.ts'
import type { PartitionInfo, SourceEnumerator } from '../source/source.ts'
import { addedSplits, checkTopicId } from './assignment.ts'

/** What discovery is made of. */
export interface DiscoveryOptions {
  readonly enumerator: SourceEnumerator
  readonly scheduler: Scheduler
  /** 0 for never. */
  readonly everyMs: number
  /** What is being read already. */
  readonly known: readonly SplitStart[]
  readonly onAdded: (splits: readonly SplitStart[]) => void
  /** The topic has been re-created: reading on would be wrong. */
  readonly onRecreated: (error: MillraceError) => void
  readonly onFailed: (error: MillraceError) => void
}

/** Discovery of one attempt. */
export class Discovery {
  readonly #options: DiscoveryOptions
  readonly #topicIds: Map<number, string>
  #cancel: Cancel = () => {}
  #stopped = false

  constructor(options: DiscoveryOptions) {
    this.#options = options
    this.#topicIds = new Map(options.known.map((split) => [split.partition, split.topicId]))
  }

  /** Looks `everyMs` from now, and again that long after each look. */
  start(): void {
    if (this.#options.everyMs <= 0 || this.#stopped) return
    this.#cancel = this.#options.scheduler.after(this.#options.everyMs, () => {
      void this.#look().then(() => this.start())
    })
  }

  /** No more looking; an answer under way is ignored. */
  stop(): void {
    this.#stopped = true
    this.#cancel()
  }

  async #look(): Promise<void> {
    let partitions: readonly PartitionInfo[]
    try {
      partitions = await this.#options.enumerator.partitions()
    } catch (thrown) {
      if (!this.#stopped) this.#options.onFailed(MillraceError.from(thrown))
      return
    }
    if (this.#stopped) return
    const added: PartitionInfo[] = []
    try {
      for (const partition of partitions) {
        const before = this.#topicIds.get(partition.partition)
        if (before === undefined) added.push(partition)
        else checkTopicId(partition.partition, before, partition.topicId)
      }
    } catch (thrown) {
      this.stop()
      this.#options.onRecreated(MillraceError.from(thrown))
      return
    }
    for (const partition of added) this.#topicIds.set(partition.partition, partition.topicId)
    if (added.length > 0) this.#options.onAdded(addedSplits(added))
  }
}

/** How often new partitions are looked for; 0 for never. */
export function discoveryMsOf(input: SourceInput): number {
  switch (input.kind) {
    case 'kafka':
      return input.discoveryMs
    case 'log':
      return jobDefaults.source.discoveryMs
    case 'generator':
      return 0
    case 'several': {
      const each = input.parts.map((part) => discoveryMsOf(part.input)).filter((everyMs) => everyMs > 0)
      return each.length === 0 ? 0 : Math.min(...each)
    }
  }
}
