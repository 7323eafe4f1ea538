import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PartitionWatermarks } from '../../src/source/watermark.ts'

const BOUND = 10
const IDLENESS = 100

describe('PartitionWatermarks', () => {
  it('is behind the largest timestamp by the bound and one: an event with the watermark as its time is late', () => {
    const marks = new PartitionWatermarks(BOUND, 0)
    marks.add(0, -Infinity)
    expect([marks.advance(), marks.watermarkMs]).toEqual([false, -Infinity])
    marks.onRecords(0, 1000)
    expect([marks.advance(), marks.watermarkMs]).toEqual([true, 989])
    marks.onRecords(0, 500)
    expect([marks.advance(), marks.watermarkMs, marks.watermarkOf(0)]).toEqual([false, 989, 989])
  })

  it('waits for every partition that is not idle, those that have not spoken included', () => {
    const marks = new PartitionWatermarks(0, 0)
    marks.add(0, -Infinity)
    marks.add(1, -Infinity)
    marks.onRecords(0, 1000)
    expect(marks.advance()).toBe(false)
    marks.onRecords(1, 500)
    expect([marks.advance(), marks.watermarkMs]).toEqual([true, 499])
  })

  it('is idle at once without partitions, and says nothing', () => {
    const marks = new PartitionWatermarks(0, 0)
    expect([marks.idle, marks.advance(), marks.watermarkMs]).toEqual([true, false, -Infinity])
  })

  it('leaves idle partitions out of the minimum, which may raise it', () => {
    const marks = new PartitionWatermarks(0, IDLENESS)
    marks.add(0, -Infinity)
    marks.add(1, -Infinity)
    marks.onRecords(0, 500)
    marks.onRecords(1, 1000)
    expect([marks.advance(), marks.watermarkMs]).toEqual([true, 499])
    marks.observe(0, 'quiet', 0)
    marks.observe(0, 'quiet', IDLENESS)
    expect([marks.advance(), marks.watermarkMs, marks.idle]).toEqual([true, 999, false])
  })

  it('keeps its watermark when all are idle, and when a partition that is behind joins or comes back', () => {
    const marks = new PartitionWatermarks(0, IDLENESS)
    marks.add(0, -Infinity)
    marks.onRecords(0, 1000)
    marks.advance()
    marks.observe(0, 'quiet', 0)
    marks.observe(0, 'quiet', IDLENESS)
    expect([marks.idle, marks.advance(), marks.watermarkMs]).toEqual([true, false, 999])
    marks.add(1, -Infinity)
    expect(marks.idle).toBe(false)
    marks.onRecords(1, 100)
    marks.onRecords(0, 200)
    expect([marks.idle, marks.advance(), marks.watermarkMs]).toEqual([false, false, 999])
  })

  it('goes on from a checkpoint: partitions where they were, the combined one no lower than it was', () => {
    const marks = new PartitionWatermarks(BOUND, 0, 700)
    marks.add(0, 711)
    marks.add(1, 900)
    expect([marks.advance(), marks.watermarkMs]).toEqual([false, 700])
    expect([marks.maxTimestampOf(0), marks.maxTimestampOf(1), marks.maxTimestampOf(2)]).toEqual([711, 900, -Infinity])
    marks.onRecords(0, 750)
    expect([marks.advance(), marks.watermarkMs]).toEqual([true, 739])
  })

  it('is held back by no partition that is finished', () => {
    const marks = new PartitionWatermarks(0, 0)
    marks.add(0, -Infinity)
    marks.add(1, -Infinity)
    marks.onRecords(0, 1000)
    marks.onFinished(1)
    expect([marks.advance(), marks.watermarkMs, marks.idle]).toEqual([true, 999, false])
    marks.onFinished(0)
    expect([marks.idle, marks.advance()]).toEqual([true, false])
  })

  it('takes no notice of partitions that it does not have', () => {
    const marks = new PartitionWatermarks(0, IDLENESS)
    marks.onRecords(5, 1000)
    marks.onFinished(5)
    marks.observe(5, 'quiet', 0)
    expect([marks.watermarkOf(5), marks.isIdle(5), marks.advance()]).toEqual([-Infinity, false, false])
  })
})

describe('the idleness clock', () => {
  const start = () => {
    const marks = new PartitionWatermarks(0, IDLENESS)
    marks.add(0, -Infinity)
    return marks
  }

  it('runs only while there is seen to be nothing to read: whatever holds us up stops it and sets it back', () => {
    const marks = start()
    marks.observe(0, 'quiet', 0)
    marks.observe(0, 'quiet', IDLENESS - 1)
    expect(marks.isIdle(0)).toBe(false)
    // Back-pressure, an error or alignment, however long.
    marks.observe(0, 'unknown', IDLENESS)
    marks.observe(0, 'pending', IDLENESS * 50)
    marks.observe(0, 'quiet', IDLENESS * 50 + 1)
    marks.observe(0, 'quiet', IDLENESS * 51)
    expect(marks.isIdle(0)).toBe(false)
    marks.observe(0, 'quiet', IDLENESS * 51 + 1)
    expect([marks.isIdle(0), marks.idle]).toEqual([true, true])
  })

  it('starts anew with any record, which also ends idleness, however old the record', () => {
    const marks = start()
    marks.onRecords(0, 500)
    marks.observe(0, 'quiet', 0)
    marks.observe(0, 'quiet', IDLENESS)
    expect(marks.isIdle(0)).toBe(true)
    marks.onRecords(0, 3)
    expect(marks.isIdle(0)).toBe(false)
    marks.observe(0, 'quiet', IDLENESS * 2 - 1)
    marks.observe(0, 'quiet', IDLENESS * 3 - 2)
    expect(marks.isIdle(0)).toBe(false)
    marks.observe(0, 'quiet', IDLENESS * 3 - 1)
    expect(marks.isIdle(0)).toBe(true)
  })

  it('ends when something is to be read, or the partition cannot be reached, and not while nobody looks', () => {
    const marks = start()
    marks.add(1, -Infinity)
    marks.onRecords(0, 500)
    marks.onRecords(1, 9999)
    marks.observe(0, 'quiet', 0)
    marks.observe(0, 'quiet', IDLENESS)
    marks.observe(0, 'unknown', IDLENESS * 2)
    expect(marks.isIdle(0)).toBe(true)
    marks.observe(0, 'pending', IDLENESS * 3)
    expect(marks.isIdle(0)).toBe(false)
    marks.advance()
    expect(marks.watermarkMs).toBe(499)
  })

  it('does not run when idleness is off', () => {
    const marks = new PartitionWatermarks(0, 0)
    marks.add(0, -Infinity)
    marks.observe(0, 'quiet', 0)
    marks.observe(0, 'quiet', 1e12)
    expect(marks.isIdle(0)).toBe(false)
  })
})

type Step =
  | { readonly records: number; readonly maxMs: number }
  | { readonly observe: number; readonly seen: 'quiet' | 'pending' | 'unknown'; readonly afterMs: number }
  | { readonly add: number }
  | { readonly finish: number }
  | 'advance'

const partition = fc.nat(2)
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ records: partition, maxMs: fc.integer({ min: -50, max: 500 }) }) },
    {
      weight: 6,
      arbitrary: fc.record({
        observe: partition,
        seen: fc.constantFrom('quiet', 'quiet', 'quiet', 'quiet', 'quiet', 'quiet', 'pending', 'unknown'),
        afterMs: fc.constantFrom(0, 10, 60, 100, 100),
      }),
    },
    { weight: 1, arbitrary: fc.record({ add: partition }) },
    { weight: 1, arbitrary: fc.record({ finish: partition }) },
    { weight: 6, arbitrary: fc.constant('advance' as const) },
  ),
  { maxLength: 60, size: 'max' },
)

/** All that ever happened to a partition, from which each answer is worked out anew. */
interface History {
  readonly timestamps: number[]
  /** Times of the observations since the last one that was not quiet, and the last record. */
  quietMs: number[]
  idle: boolean
  finished: boolean
}

describe('PartitionWatermarks under any sequence', () => {
  it('gives the minimum over the partitions that count, only ever rising', () => {
    fc.assert(
      fc.property(steps, (script) => {
        const marks = new PartitionWatermarks(BOUND, IDLENESS)
        const partitions = new Map<number, History>()
        let nowMs = 0
        let output = -Infinity
        for (const step of script) {
          if (step === 'advance') {
            const counting = [...partitions.values()].filter((p) => !p.idle && !p.finished)
            const minimum = Math.min(...counting.map((p) => Math.max(-Infinity, ...p.timestamps) - BOUND - 1))
            const rises = counting.length > 0 && minimum > output
            expect(marks.advance()).toBe(rises)
            if (rises) output = minimum
            expect([marks.watermarkMs, marks.idle]).toEqual([output, counting.length === 0])
          } else if ('add' in step) {
            if (partitions.has(step.add)) continue
            marks.add(step.add, -Infinity)
            partitions.set(step.add, { timestamps: [], quietMs: [], idle: false, finished: false })
          } else if ('finish' in step) {
            marks.onFinished(step.finish)
            const known = partitions.get(step.finish)
            if (known !== undefined) known.finished = true
          } else if ('records' in step) {
            marks.onRecords(step.records, step.maxMs)
            const known = partitions.get(step.records)
            if (known === undefined) continue
            known.timestamps.push(step.maxMs)
            known.quietMs = []
            known.idle = false
          } else {
            nowMs += step.afterMs
            marks.observe(step.observe, step.seen, nowMs)
            const known = partitions.get(step.observe)
            if (known === undefined) continue
            known.quietMs = step.seen === 'quiet' ? [...known.quietMs, nowMs] : []
            if (step.seen === 'pending') known.idle = false
            if (step.seen === 'quiet' && nowMs - known.quietMs[0]! >= IDLENESS) known.idle = true
            expect(marks.isIdle(step.observe)).toBe(known.idle)
          }
        }
      }),
      { numRuns: 500 },
    )
  })
})
