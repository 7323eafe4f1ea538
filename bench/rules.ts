/**
 * The rules of a comparison: what a run reports, when a rate counts, and the checksum both sides must agree on.
 *
 * Pure. The rival's half of the row text and hash is bench/flink (Tally.RowText); a test holds the two together by
 * known values.
 */
import { hashBytes } from '../src/core/hash.ts'

/** The same for both sides of every case. */
export const rules = {
  parallelism: 2,
  /** A rate is measured from this long after the first record read, to the last record read. */
  warmupSeconds: 10,
  /** A rate counts as full from this much measured time … */
  minMeasuredSeconds: 20,
  /** … with this many checkpoints completed in it. */
  minMeasuredCheckpoints: 10,
  checkpointMs: 1_000,
  outOfOrdernessMs: 5_000,
  windowMs: 60_000,
  sessionGapMs: 10_000,
  slideMs: 5_000,
  /** Of the cases of a product. */
  currentMs: 300_000,
  currentSlideMs: 30_000,
  productGapMs: 30_000,
} as const

/** What one side reports of one run, as the last JSON line on its standard output (`type: 'result'`). */
export interface RivalResult {
  readonly type: 'result'
  readonly case: string
  readonly parallelism: number
  /** False when the run was stopped before the end of the topic; then rows and checksum mean nothing. */
  readonly complete: boolean
  /** Records read from the topic. */
  readonly records: number
  /** Records per second of the measured span. */
  readonly eventsPerSecond: number
  readonly measuredSeconds: number
  /** False when the topic ended within the warm-up: then the measured span is the whole run. */
  readonly warmedUp: boolean
  /** Checkpoints completed in the whole run. */
  readonly checkpoints: number
  /** Checkpoints completed in the measured span. */
  readonly measuredCheckpoints: number
  /** Result rows that reached the sink. */
  readonly rows: number
  /** Order-free checksum over them, see `RowChecksum`. */
  readonly checksum: number
  /** Records dropped as late, where a side counts them. A bench topic has none. */
  readonly late?: number
  /** Highest resident memory of the side's process, as it says itself; the bench also looks from outside. */
  readonly rssPeakBytes: number
}

/** The canonical text of a result row: the key, the window's start and each value, separated by `|`. */
export function rowText(key: string, windowStartMs: number, values: readonly (number | bigint)[]): string {
  return [key, windowStartMs, ...values].join('|')
}

/**
 * Count and order-free checksum of result rows: the sum, modulo 2^32, of the MurmurHash3 (x86, 32 bits, seed 0) of each
 * row's canonical text in UTF-8.
 */
export class RowChecksum {
  #rows = 0
  #sum = 0

  /** Rows added. */
  get rows(): number {
    return this.#rows
  }

  /** The checksum so far, an unsigned 32-bit number. */
  get checksum(): number {
    return this.#sum
  }

  /** Adds the row whose text is `bytes[start .. end)`. */
  addBytes(bytes: Uint8Array, start: number, end: number): void {
    this.#rows++
    this.#sum = (this.#sum + hashBytes(bytes, start, end, 0)) >>> 0
  }

  /** Adds a row by its text. */
  addText(text: string): void {
    const bytes = new TextEncoder().encode(text)
    this.addBytes(bytes, 0, bytes.length)
  }

  /** Adds the rows of another checksum, as from another thread. */
  addAll(rows: number, checksum: number): void {
    this.#rows += rows
    this.#sum = (this.#sum + checksum) >>> 0
  }
}

/** Why a run's rate is not a full one under the rules; empty when it is. */
export function shortcomings(result: RivalResult): string[] {
  const found: string[] = []
  if (!result.complete) found.push('stopped before the end of the topic')
  if (!result.warmedUp) found.push(`the topic ended within the warm-up of ${rules.warmupSeconds} s`)
  if (result.measuredSeconds < rules.minMeasuredSeconds) {
    found.push(`measured ${result.measuredSeconds.toFixed(1)} s of at least ${rules.minMeasuredSeconds} s`)
  }
  if (result.measuredCheckpoints < rules.minMeasuredCheckpoints) {
    found.push(`${result.measuredCheckpoints} of at least ${rules.minMeasuredCheckpoints} checkpoints`)
  }
  return found
}

/** Milliseconds of a duration such as `20s`, `500ms`, `2m`, or seconds as a bare number. Throws on anything else. */
export function parseDurationMs(text: string): number {
  const found = /^(\d+(?:\.\d+)?)(ms|s|m)?$/.exec(text.trim())
  if (found === null) throw new Error(`duration ${JSON.stringify(text)}: expected a number with ms, s or m, as 20s`)
  const unit = { ms: 1, s: 1_000, m: 60_000 }[(found[2] ?? 's') as 'ms' | 's' | 'm']
  return Number(found[1]) * unit
}
