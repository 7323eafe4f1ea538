/**
 * Timers of rows: which rows have something to do at a time, in order of time.
 *
 * Owns: (time, row) pairs. Does not own: whether a pair still means anything: nothing is ever taken back. Who sets timers
 * keeps the time of the one that counts in the row, and ignores the others when they come.
 *
 * A calendar: pairs far ahead lie unsorted in buckets of a fixed span, which costs one store each; the bucket that comes
 * next becomes a heap. So a million rows cost a heap of thousands, and a row whose time moves on needs no timer until
 * its old one has come. Never part of a snapshot.
 */

/** Buckets that a gap is divided into. */
const BUCKETS_A_GAP = 128
const FIRST_PAIRS = 64
/** A time and a row. */
const PAIR_BYTES = 12

interface Bucket {
  times: Float64Array
  rows: Uint32Array
  count: number
}

/** Timers by event time, ms. */
export class RowTimers {
  readonly #spanMs: number
  readonly #buckets = new Map<number, Bucket>()
  /** Numbers of the buckets there are, a heap. */
  readonly #numbers: number[] = []
  /** Pairs of buckets before this number are in the heap. */
  #heapUntil = Number.NEGATIVE_INFINITY
  readonly #heap: Bucket = newBucket()
  #spare: Bucket | null = null
  /** Pairs held. */
  size = 0
  /** Pairs that the heap and the buckets have room for. */
  #pairs = FIRST_PAIRS

  /** `gapMs`: how far ahead timers commonly are. */
  constructor(gapMs: number) {
    this.#spanMs = Math.max(1, Math.ceil(gapMs / BUCKETS_A_GAP))
  }

  /** Bytes held. */
  get byteLength(): number {
    return this.#pairs * PAIR_BYTES
  }

  /** Sets a timer. */
  add(timeMs: number, row: number): void {
    this.size++
    const number = Math.floor(timeMs / this.#spanMs)
    if (number < this.#heapUntil) {
      this.#push(timeMs, row)
      return
    }
    let bucket = this.#buckets.get(number)
    if (bucket === undefined) {
      bucket = this.#spare ?? newBucket()
      this.#spare = null
      this.#pairs += bucket.rows.length
      this.#buckets.set(number, bucket)
      pushNumber(this.#numbers, number)
    }
    this.#append(bucket, timeMs, row)
  }

  /** Whether a timer is due at `watermarkMs`; if so, `timeMs` and `row` of `first` are its own. */
  due(watermarkMs: number): boolean {
    while (this.#heap.count === 0 || this.#heap.times[0]! > watermarkMs) {
      const number = this.#numbers[0]
      if (number === undefined || number * this.#spanMs > watermarkMs) return false
      this.#open(number)
    }
    return true
  }

  /** Time of the first timer; only after `due` said that there is one. */
  get timeMs(): number {
    return this.#heap.times[0]!
  }

  /** Row of the first timer; only after `due` said that there is one. */
  get row(): number {
    return this.#heap.rows[0]!
  }

  /** Takes the first timer out. */
  pop(): void {
    const { times, rows } = this.#heap
    const count = --this.#heap.count
    this.size--
    const timeMs = times[count]!
    const row = rows[count]!
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= count) break
      if (child + 1 < count && times[child + 1]! < times[child]!) child++
      if (times[child]! >= timeMs) break
      times[at] = times[child]!
      rows[at] = rows[child]!
      at = child
    }
    times[at] = timeMs
    rows[at] = row
  }

  /** Moves a bucket into the heap. */
  #open(number: number): void {
    popNumber(this.#numbers)
    const bucket = this.#buckets.get(number)!
    this.#buckets.delete(number)
    this.#heapUntil = number + 1
    for (let i = 0; i < bucket.count; i++) this.#push(bucket.times[i]!, bucket.rows[i]!)
    bucket.count = 0
    this.#pairs -= bucket.rows.length
    this.#spare = bucket
  }

  #push(timeMs: number, row: number): void {
    this.#append(this.#heap, timeMs, row)
    const { times, rows } = this.#heap
    let at = this.#heap.count - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (times[parent]! <= timeMs) break
      times[at] = times[parent]!
      rows[at] = rows[parent]!
      at = parent
    }
    times[at] = timeMs
    rows[at] = row
  }

  #append(bucket: Bucket, timeMs: number, row: number): void {
    const { count } = bucket
    if (count === bucket.rows.length) {
      const times = new Float64Array(count * 2)
      const rows = new Uint32Array(count * 2)
      times.set(bucket.times)
      rows.set(bucket.rows)
      bucket.times = times
      bucket.rows = rows
      this.#pairs += count
    }
    bucket.times[count] = timeMs
    bucket.rows[count] = row
    bucket.count = count + 1
  }
}

function newBucket(): Bucket {
  return { times: new Float64Array(FIRST_PAIRS), rows: new Uint32Array(FIRST_PAIRS), count: 0 }
}

function pushNumber(heap: number[], number: number): void {
  let at = heap.push(number) - 1
  while (at > 0) {
    const parent = (at - 1) >> 1
    if (heap[parent]! <= number) break
    heap[at] = heap[parent]!
    at = parent
  }
  heap[at] = number
}

function popNumber(heap: number[]): void {
  const last = heap.pop()
  if (last === undefined || heap.length === 0) return
  let at = 0
  for (;;) {
    let child = at * 2 + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && heap[child + 1]! < heap[child]!) child++
    if (heap[child]! >= last) break
    heap[at] = heap[child]!
    at = child
  }
  heap[at] = last
}
