/** A topic that is there whole, and that readers get a batch at a time: bounded input, and events that keep coming. */
import { nextBelow, SeededRandom } from '../core/clock.ts'
import type { MemoryTopic } from '../source/memory-topic.ts'
import type { ManualScheduler } from './manual-clock.ts'

/** Lets readers have each partition batch by batch, at moments that the seed draws, `pauseMs` apart at most. */
export function feedSlowly(topic: MemoryTopic, seed: number, pauseMs: number): (scheduler: ManualScheduler) => void {
  const random = new SeededRandom(seed ^ 0xfeed)
  return (scheduler) => {
    topic.partitions.forEach(({ batches }, partition) => {
      topic.setStableOffset(partition, 0)
      const more = (at: number): void => {
        if (at === batches.length) return
        topic.setStableOffset(partition, batches[at]!.nextOffset)
        scheduler.after(nextBelow(random, pauseMs), () => more(at + 1))
      }
      scheduler.after(nextBelow(random, pauseMs), () => more(0))
    })
  }
}
