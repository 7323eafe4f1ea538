/**
 * Rows of a file to Protobuf events in a topic: mapped, sorted if asked for, at a pace if asked for.
 *
 * Owns: the order and the pace. Does not own: what a row becomes (job/sample.ts), how it is written (event-target.ts).
 */
import { MillraceError } from '../core/errors.ts'
import { Event } from '../gen/millrace/v1/event.ts'
import { mapSampleRow, type SampleDefinition } from '../job/sample.ts'
import { pause } from './context.ts'
import type { CliDeps } from './deps.ts'
import type { EventTarget } from './event-target.ts'
import { readRows, type SourceRow } from './rows.ts'

/** What is replayed, and how. */
export interface ReplayOptions {
  readonly file: string
  readonly sample: SampleDefinition
  /** Used instead of the sample's mapping. */
  readonly encoder?: RowEncoder
  /** Reads the whole file first, and writes it in the order of its times; rows of the same time in the file's order. */
  readonly sortByTime: boolean
  /** Events a second; 0 for as fast as they are taken. */
  readonly rate: number
  /** Most events; 0 for all. */
  readonly limit: number
  /** Leave out and count rows that are no events, instead of stopping at the first. */
  readonly skipBad: boolean
  readonly signal: AbortSignal
}

/** How far it is. */
export interface ReplayProgress {
  rows: number
  events: number
  bytes: number
  bad: number
  /** What was wrong with the first bad rows, with their places. */
  readonly problems: string[]
  /** Event time of the last event that was written; -Infinity before. */
  lastTimeMs: number
}

/** One record, ready to be written. */
export interface Encoded {
  readonly timeMs: number
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** Makes a record of a row, or says what is wrong with the row. */
export type RowEncoder = (row: SourceRow) => Encoded | string

const unflushedMax = 4 * 1024 * 1024
const paceMs = 50
const problemsMax = 5

/** Writes the events of a file; stops when the signal aborts. INPUT_INVALID at the first bad row unless `skipBad`. */
export async function replay(
  deps: Pick<CliDeps, 'clock' | 'scheduler'>,
  target: EventTarget,
  options: ReplayOptions,
  onProgress: (progress: ReplayProgress) => void,
): Promise<ReplayProgress> {
  const progress: ReplayProgress = {
    rows: 0,
    events: 0,
    bytes: 0,
    bad: 0,
    problems: [],
    lastTimeMs: Number.NEGATIVE_INFINITY,
  }
  const writer = new PacedWriter(deps, target, options, progress, onProgress)
  const events = encodedEvents(options, progress)
  if (options.sortByTime) {
    const all: Encoded[] = []
    for await (const batch of events) {
      // One by one: an array in a file is one batch of any size.
      for (const one of batch) all.push(one)
      onProgress(progress)
      if (options.signal.aborted) return progress
    }
    all.sort((a, b) => a.timeMs - b.timeMs)
    await writer.write(all)
  } else {
    for await (const batch of events) {
      if (!(await writer.write(batch))) break
    }
  }
  await target.flush()
  onProgress(progress)
  return progress
}

async function* encodedEvents(options: ReplayOptions, progress: ReplayProgress): AsyncGenerator<Encoded[]> {
  const encode = options.encoder ?? sampleEncoder(options.sample)
  for await (const rows of readRows(options.file, options.sample.format)) {
    const batch: Encoded[] = []
    for (const row of rows) {
      progress.rows++
      const encoded = encode(row)
      if (typeof encoded === 'string') {
        const text = `${options.file}:${row.line}: ${encoded}`
        if (!options.skipBad) throw new MillraceError('INPUT_INVALID', `${text}; --skip-bad goes on without such rows`)
        progress.bad++
        if (progress.problems.length < problemsMax) progress.problems.push(text)
        continue
      }
      batch.push(encoded)
      if (options.limit > 0 && progress.rows - progress.bad >= options.limit) {
        yield batch
        return
      }
    }
    yield batch
  }
}

function sampleEncoder(sample: SampleDefinition): RowEncoder {
  const encoder = new TextEncoder()
  return (row) => {
    const mapped = mapSampleRow(sample, row.cells, row.number)
    if ('problem' in mapped) return mapped.problem
    const { event } = mapped
    const problem = eventProblem(event)
    if (problem !== null) return problem
    const timeMs = event.occurredAt?.getTime() ?? 0
    return { timeMs, key: encoder.encode(event.person), value: Event.encode(event).finish() }
  }
}

/** Why an event could not be counted by any job. */
function eventProblem(event: Event): string | null {
  if (event.occurredAt === undefined) return 'the row has no time: nothing maps to occurred_at'
  if (event.person === '') return 'the row has no person: nothing maps to person'
  return null
}

class PacedWriter {
  readonly #deps: Pick<CliDeps, 'clock' | 'scheduler'>
  readonly #target: EventTarget
  readonly #options: ReplayOptions
  readonly #progress: ReplayProgress
  readonly #onProgress: (progress: ReplayProgress) => void
  readonly #startMs: number

  constructor(
    deps: Pick<CliDeps, 'clock' | 'scheduler'>,
    target: EventTarget,
    options: ReplayOptions,
    progress: ReplayProgress,
    onProgress: (progress: ReplayProgress) => void,
  ) {
    this.#deps = deps
    this.#target = target
    this.#options = options
    this.#progress = progress
    this.#onProgress = onProgress
    this.#startMs = deps.clock.monotonicMs()
  }

  /** False when the signal has aborted. */
  async write(events: readonly Encoded[]): Promise<boolean> {
    const { rate, signal } = this.#options
    const burst = rate > 0 ? Math.max(1, Math.floor((rate * paceMs) / 1000)) : 1000
    for (let from = 0; from < events.length; from += burst) {
      if (signal.aborted) return false
      for (const event of events.slice(from, from + burst)) {
        this.#target.write(event.key, event.value, event.timeMs)
        this.#progress.events++
        this.#progress.bytes += event.value.length
        this.#progress.lastTimeMs = event.timeMs
      }
      if (rate > 0 || this.#target.bufferedBytes > unflushedMax) await this.#target.flush()
      this.#onProgress(this.#progress)
      await this.#keepPace(rate, signal)
    }
    return true
  }

  async #keepPace(rate: number, signal: AbortSignal): Promise<void> {
    // Without a rate too: a turn of the loop for what else this thread does.
    const aheadMs =
      rate > 0 ? this.#startMs + (this.#progress.events / rate) * 1000 - this.#deps.clock.monotonicMs() : 0
    if (rate === 0 || aheadMs > 0) await pause(this.#deps, Math.max(0, aheadMs), signal)
  }
}
