/** Events that are sent more than once: the sample clickstream with one to three copies of each. */
import { nextBelow, nextFraction, SeededRandom } from '../../src/core/clock.ts'
import { hashBytes } from '../../src/core/hash.ts'
import { Event } from '../../src/gen/millrace/v1/event.ts'
import { engagementEvents, fillPartitions, type SampleEvent } from './events.ts'

/** The sample with UUIDs for ids. */
function withUuids(): readonly SampleEvent[] {
  return engagementEvents().map((event) => {
    const decoded = Event.decode(event.value!)
    const bytes = new TextEncoder().encode(decoded.eventId)
    const hex = [1, 2, 3, 4]
      .map((seed) => hashBytes(bytes, 0, bytes.length, seed).toString(16).padStart(8, '0'))
      .join('')
    const eventId = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
    return { ...event, value: Event.encode({ ...decoded, eventId }).finish() }
  })
}

/** Events by partition, each one to three times: copies come up to `apartMs` later, in any partition. */
export function withCopies(
  events: readonly SampleEvent[],
  partitions: number,
  apartMs: number,
  seed: number,
): { readonly partitions: readonly SampleEvent[][]; readonly copies: number } {
  const random = new SeededRandom(seed)
  const lanes = fillPartitions(events, partitions, 'hash').map((lane) =>
    lane.map((event) => ({ event, arrivesMs: event.timeMs })),
  )
  let copies = 0
  for (const event of events) {
    for (let more = nextBelow(random, 3); more > 0; more--) {
      copies++
      const arrivesMs = event.timeMs + nextFraction(random) * apartMs
      lanes[nextBelow(random, partitions)]!.push({ event, arrivesMs })
    }
  }
  const sorted = lanes.map((lane) => lane.sort((a, b) => a.arrivesMs - b.arrivesMs).map(({ event }) => event))
  return { partitions: sorted, copies }
}

/** The same of the sample. */
export function sampleWithCopies(
  partitions: number,
  ids: 'rows' | 'uuids',
  apartMs: number,
  seed: number,
): { readonly partitions: readonly SampleEvent[][]; readonly copies: number } {
  return withCopies(ids === 'rows' ? engagementEvents() : withUuids(), partitions, apartMs, seed)
}
