/** Alignment and idleness of the partitions of a subtask, whatever the reader says of them. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SourcePartitions } from '../../src/runtime/source-partitions.ts'
import type { PartitionStatus, SourceReader } from '../../src/source/source.ts'
import { PartitionWatermarks } from '../../src/source/watermark.ts'

const IDLENESS = 100
const PARTITIONS = 3

/** A reader that says what the test wants of a partition, and notes which are paused. */
function fakeReader() {
  const status = Array.from({ length: PARTITIONS }, () => ({
    highWatermark: 0,
    lastStableOffset: 0,
    reachable: true,
    lastFetchMs: 0,
  }))
  const paused = new Set<number>()
  const reader = {
    assign: () => {},
    poll: () => undefined,
    onReady: () => {},
    setPaused: (partition: number, pause: boolean) => (pause ? paused.add(partition) : paused.delete(partition)),
    status: (partition: number) => status[partition]! as PartitionStatus,
    splitState: () => '',
    close: async () => {},
  } as SourceReader
  return { reader, status, paused }
}

function start() {
  const { reader, status, paused } = fakeReader()
  const watermarks = new PartitionWatermarks(0, IDLENESS)
  const partitions = new SourcePartitions(reader, watermarks)
  partitions.assign(
    Array.from({ length: PARTITIONS }, (_, partition) => ({
      ...{ partition, offset: 0, stopOffset: Infinity, topicId: '', state: '', maxTimestampMs: -Infinity },
    })),
  )
  return { partitions, watermarks, status, paused }
}

type Step =
  | { readonly records: number; readonly maxMs: number }
  | { readonly limit: number }
  | {
      readonly observe: number
      readonly afterMs: number
      /** What holds us up, or nothing. */
      readonly seen: 'nothing to read' | 'something to read' | 'unreachable' | 'open transaction' | 'back-pressure'
    }

const partition = fc.nat(PARTITIONS - 1)
const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    { weight: 2, arbitrary: fc.record({ records: partition, maxMs: fc.integer({ min: 0, max: 50 }) }) },
    { weight: 2, arbitrary: fc.record({ limit: fc.oneof(fc.integer({ min: -1, max: 50 }), fc.constant(Infinity)) }) },
    {
      weight: 8,
      arbitrary: fc.record({
        observe: partition,
        afterMs: fc.constantFrom(0, 10, 60, 100),
        seen: fc.constantFrom<Extract<Step, { observe: number }>['seen'][]>(
          ...(['nothing to read', 'nothing to read', 'nothing to read', 'nothing to read'] as const),
          ...(['something to read', 'unreachable', 'open transaction', 'back-pressure'] as const),
        ),
      }),
    },
  ),
  { maxLength: 60 },
)

describe('the partitions of a subtask', () => {
  it('wait while their own watermark is above the limit, each by itself', () => {
    fc.assert(
      fc.property(steps, (script) => {
        const { partitions, paused } = start()
        const largest = [-Infinity, -Infinity, -Infinity]
        let limit = Infinity
        for (const step of script) {
          if ('observe' in step) continue
          if ('records' in step) {
            partitions.advance(step.records, 0, step.maxMs)
            largest[step.records] = Math.max(largest[step.records]!, step.maxMs)
          } else {
            limit = step.limit
            partitions.align(limit)
          }
          expect([...paused].sort()).toEqual([0, 1, 2].filter((i) => largest[i]! - 1 > limit))
        }
      }),
      { numRuns: 300 },
    )
  })

  it('fall idle only by looks that all found nothing to read: not while they are held back or cannot be reached', () => {
    fc.assert(
      fc.property(steps, (script) => {
        const { partitions, watermarks, status, paused } = start()
        // Since when every look found a partition quiet; looks at all of them, each with its own answer.
        const quietSince = [Number.NaN, Number.NaN, Number.NaN]
        const idle = [false, false, false]
        const seen: Extract<Step, { observe: number }>['seen'][] = Array(PARTITIONS).fill('something to read')
        let nowMs = 10_000
        for (const step of script) {
          if ('records' in step) {
            partitions.advance(step.records, 0, step.maxMs)
            quietSince[step.records] = Number.NaN
            idle[step.records] = false
          } else if ('limit' in step) partitions.align(step.limit)
          else {
            nowMs += step.afterMs
            seen[step.observe] = step.seen
            for (const [i, what] of seen.entries()) {
              status[i]!.reachable = what !== 'unreachable'
              status[i]!.highWatermark = what === 'something to read' || what === 'open transaction' ? 5 : 0
              status[i]!.lastStableOffset = what === 'something to read' ? 5 : 0
              // Held back, the reader has not fetched for long.
              status[i]!.lastFetchMs = what === 'back-pressure' ? nowMs - 5000 : nowMs
            }
            partitions.observe(nowMs)
            for (const [i, what] of seen.entries()) {
              const held = paused.has(i) || what === 'back-pressure'
              if (what === 'unreachable' || (!held && what !== 'nothing to read')) idle[i] = false
              if (held || what !== 'nothing to read') quietSince[i] = Number.NaN
              else if (Number.isNaN(quietSince[i]!)) quietSince[i] = nowMs
              else if (nowMs - quietSince[i]! >= IDLENESS) idle[i] = true
            }
          }
          expect([0, 1, 2].map((i) => watermarks.isIdle(i))).toEqual(idle)
        }
      }),
      { numRuns: 300 },
    )
  })
})
