/**
 * The events of the chaos rounds: written to a topic while everything around it breaks.
 *
 * Event k follows from the seed and k alone. A batch whose fate is unknown is written again: what counts is what the topic
 * holds in the end, as the Java client reads it.
 *
 *   page_view, purchase   in order within DISORDER_MS
 *   click                 a part of them comes up to two minutes late, within the lateness that their metric allows
 *   ancient               from years before: late for every metric, once a watermark has been seen
 *   (garbage)             no event at all
 *   (copies)              of one event in ten, a few seconds later, in any partition
 */
import { nextBelow, type Random, SeededRandom } from '../../../src/core/clock.ts'
import { Event } from '../../../src/gen/millrace/v1/event.ts'
import type { KafkaProducer, KafkaRecord } from '../../../src/source/kafka/admin.ts'

/** Time of the first event, epoch ms. */
export const START_MS = Date.UTC(2025, 0, 1)
/** Event time between two events. */
const STEP_MS = 20
/** Events come at most this much behind the latest before them, but for those meant to be late. */
const DISORDER_MS = 2000
const BATCH_EVENTS = 200
const PERSONS = 400
const PLATFORMS = ['web', 'ios', 'android', 'backend']
/** The first events are all in order, so that every watermark is there before anything is late. */
const ORDERLY_EVENTS = 2000
/** A copy is of one of so many events before it. */
const COPIES_OF = 1000

/** Writes events until it is told to stop. */
export class Load {
  /** Events written for certain. */
  written = 0
  readonly #producer: () => Promise<KafkaProducer>
  readonly #topic: string
  readonly #partitions: number
  readonly #random: Random
  readonly #pauseMs: number
  #connected: KafkaProducer | undefined
  #next = 0
  #stopped = false
  readonly #recent: KafkaRecord[] = []
  #loop: Promise<void> = Promise.resolve()

  constructor(options: {
    readonly producer: () => Promise<KafkaProducer>
    readonly topic: string
    readonly partitions: number
    readonly seed: number
    readonly pauseMs: number
  }) {
    this.#producer = options.producer
    this.#topic = options.topic
    this.#partitions = options.partitions
    this.#random = new SeededRandom(options.seed)
    this.#pauseMs = options.pauseMs
  }

  /** Writes the orderly events. What follows may be late: let a checkpoint hold their watermark first. */
  async warmUp(): Promise<void> {
    while (this.#next < ORDERLY_EVENTS) await this.#send(this.#batch())
  }

  /** Begins to write, a batch every `pauseMs`. */
  start(): void {
    this.#loop = this.#write()
  }

  /** Ends it, with an event far ahead in every partition that closes every window. Resolves when all is written. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#loop
    const endMs = START_MS + this.#next * STEP_MS + 86_400_000
    const last = Array.from({ length: this.#partitions }, (_, partition) =>
      record(partition, endMs, encode('', `end-${partition}`, 'end', 'web', endMs, 0)),
    )
    await this.#send(last)
    await this.#disconnect()
  }

  async #write(): Promise<void> {
    while (!this.#stopped) {
      await this.#send(this.#batch())
      await new Promise((done) => setTimeout(done, this.#pauseMs))
    }
  }

  /** Writes a batch, again and again until it is acknowledged. */
  async #send(records: readonly KafkaRecord[]): Promise<void> {
    for (;;) {
      try {
        this.#connected ??= await this.#producer()
        await this.#connected.send(this.#topic, records)
        this.written += records.length
        return
      } catch {
        await this.#disconnect()
        await new Promise((done) => setTimeout(done, 300))
      }
    }
  }

  async #disconnect(): Promise<void> {
    const connected = this.#connected
    this.#connected = undefined
    await connected?.close().catch(() => {})
  }

  #batch(): KafkaRecord[] {
    return Array.from({ length: BATCH_EVENTS }, () => {
      const k = this.#next++
      const made = this.#make(k)
      this.#recent[k % COPIES_OF] = made
      if (k < ORDERLY_EVENTS || nextBelow(this.#random, 10) > 0) return [made]
      const copy = this.#recent[nextBelow(this.#random, COPIES_OF)]!
      return [made, { ...copy, partition: nextBelow(this.#random, this.#partitions) }]
    }).flat()
  }

  #make(k: number): KafkaRecord {
    const event = (person: string, name: string, platform: string, timeMs: number, revenueMinor: number) =>
      encode(idOf(k), person, name, platform, timeMs, revenueMinor)
    const random = this.#random
    const partition = nextBelow(random, this.#partitions)
    const orderly = k < ORDERLY_EVENTS
    const timeMs = START_MS + k * STEP_MS - (orderly ? 0 : nextBelow(random, DISORDER_MS))
    const person = `p${nextBelow(random, PERSONS)}`
    const platform = PLATFORMS[nextBelow(random, PLATFORMS.length)]!
    const dice = nextBelow(random, 1000)
    if (!orderly && dice < 5) return record(partition, timeMs, Uint8Array.of(0xff, 0xff, dice))
    if (!orderly && dice < 10) {
      const longAgoMs = START_MS - 3_600_000 * (1 + nextBelow(random, 1000))
      return record(partition, timeMs, event(person, 'ancient', platform, longAgoMs, 0))
    }
    if (dice < 200) {
      const lateMs = orderly || dice < 100 ? 0 : nextBelow(random, 120_000)
      return record(partition, timeMs, event(person, 'click', platform, timeMs - lateMs, 0))
    }
    if (dice < 300) return record(partition, timeMs, event(person, 'purchase', platform, timeMs, 1 + dice))
    return record(partition, timeMs, event(person, 'page_view', platform, timeMs, 0))
  }
}

/** A UUID for the even ones, a short text for the others. */
function idOf(k: number): string {
  return k % 2 === 0 ? `0193f8a0-0000-7000-8000-${k.toString(16).padStart(12, '0')}` : `event-${k}`
}

function encode(
  eventId: string,
  person: string,
  name: string,
  platform: string,
  timeMs: number,
  revenueMinor: number,
): Uint8Array {
  return Event.encode(
    Event.fromPartial({ eventId, person, name, platform, occurredAt: new Date(timeMs), revenueMinor }),
  ).finish()
}

function record(partition: number, timestampMs: number, value: Uint8Array): KafkaRecord {
  return { key: null, value, timestampMs, partition }
}
