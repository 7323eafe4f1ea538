/**
 * A topic with events that come too late, such that every engine must judge each of them alike.
 *
 * One partition, in two parts. The first part carries the watermark to `lateTopic.firstWatermarkMs`, and an engine may
 * be sure to have seen that before it reads the second (Millrace: the second part is written after it says so; Flink:
 * a watermark after each event). The second part goes on in order and holds, besides,
 * - events of windows that the first part's watermark has closed: late, whenever the watermark is made;
 * - events behind that watermark whose window is open through the whole stretch in which they come: not late.
 * No event's window closes in between, so nothing depends on how often an engine makes watermarks.
 */
import { drawEvent, type EventDraw, type EventStream } from '../../bench/events.ts'
import { rules } from '../../bench/rules.ts'
import { appendToTopic, createReadyTopic } from '../../bench/topics.ts'
import { type DifferentialTopic, differentialStream } from './flink.ts'

const stream = differentialStream
const EVENTS = 20_000
/** Events of the first part: 115 s of event time. */
const FIRST_PART = 11_500
/** Until here the watermark is short of the end of the window that the first part's watermark lies in. */
const OPEN_UNTIL = 15_000

/** Facts of the topic. */
export const lateTopic = {
  events: EVENTS,
  /** No watermark after the first part is lower. */
  firstWatermarkMs: firstWatermarkMs(),
} as const

/** Creates the topic and writes its first part. */
export async function writeFirstPart(to: DifferentialTopic): Promise<void> {
  await createReadyTopic(to.brokers, to.topic, 1)
  await appendToTopic({ ...to, partitions: 1, events: FIRST_PART, stream, draw: drawWithLate })
}

/** Writes the rest. */
export async function writeSecondPart(to: DifferentialTopic): Promise<void> {
  await appendToTopic({ ...to, partitions: 1, from: FIRST_PART, events: EVENTS, stream, draw: drawWithLate })
}

/** Draws an event and says whether its window takes it: by definition, not by any engine. */
export function takenFromLateTopic(of: EventStream, k: number, draw: EventDraw): boolean {
  drawWithLate(of, k, draw)
  const windowEndMs = draw.occurredAtMs - (draw.occurredAtMs % rules.windowMs) + rules.windowMs
  return k < FIRST_PART || windowEndMs - 1 > lateTopic.firstWatermarkMs
}

function drawWithLate(of: EventStream, k: number, draw: EventDraw): void {
  drawEvent(of, k, draw)
  if (k < FIRST_PART) return
  // Two windows and more before the present: closed.
  if (k % 37 === 0) draw.occurredAtMs -= 2 * rules.windowMs
  // Behind the first part's watermark, in the window it lies in: open still.
  else if (k % 41 === 0 && k < OPEN_UNTIL) {
    const openMs = lateTopic.firstWatermarkMs - (lateTopic.firstWatermarkMs % rules.windowMs)
    draw.occurredAtMs = openMs + (k % (lateTopic.firstWatermarkMs - openMs))
  }
}

function firstWatermarkMs(): number {
  const draw = { person: 0, name: 0, platform: 0, screen: 0, revenueMinor: 0, occurredAtMs: 0 }
  let latestMs = 0
  for (let k = 0; k < FIRST_PART; k++) {
    drawEvent(stream, k, draw)
    latestMs = Math.max(latestMs, draw.occurredAtMs)
  }
  return latestMs - rules.outOfOrdernessMs - 1
}
