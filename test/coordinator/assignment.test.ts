import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { noPages, type SplitSnapshot, type SubtaskSnapshot } from '../../src/checkpoint/snapshot.ts'
import {
  checkNotEnded,
  checkTopicId,
  distribute,
  freshSplits,
  placeSubtasks,
  restoredSplits,
  resumedSplits,
} from '../../src/coordinator/assignment.ts'
import type { PartitionInfo } from '../../src/source/source.ts'
import { makeDefinition } from './support/world.ts'

const partition = (id: number, end = 100, topicId = 't'): PartitionInfo => ({
  partition: id,
  topicId,
  earliest: 10,
  end,
})
const split = (id: number, offset: number, over: Partial<SplitSnapshot> = {}): SplitSnapshot => ({
  partition: id,
  offset,
  stopOffset: Infinity,
  topicId: 't',
  state: '',
  maxTimestampMs: offset * 10,
  ...over,
})

const base: SubtaskSnapshot = {
  operatorId: 'events',
  subtask: 0,
  parallelism: 2,
  watermarkMs: 0,
  meta: new Uint8Array(),
  counters: {},
  splits: [],
  pages: noPages,
  outbox: [],
  written: [],
}

describe('assignment', () => {
  it('begins where the start position was resolved, and ends where the topic ended', () => {
    const splits = freshSplits([partition(0), partition(1, 50)], [10, 20], true)
    expect(splits.map((s) => [s.offset, s.stopOffset, s.maxTimestampMs])).toEqual([
      [10, 100, -Infinity],
      [20, 50, -Infinity],
    ])
    expect(freshSplits([partition(0)], [10], false)[0]?.stopOffset).toBe(Infinity)
  })

  it('goes on from the checkpoint, with its stop offsets, states and watermarks', () => {
    const known = [split(0, 40, { stopOffset: 80, state: 'open' })]
    expect(resumedSplits([partition(0, 200)], known, true)).toEqual([
      { partition: 0, offset: 40, stopOffset: 80, topicId: 't', maxTimestampMs: 400, state: 'open' },
    ])
  })

  it('reads partitions that were added meanwhile from their first record, unless the run is bounded', () => {
    const now = [partition(0), partition(1)]
    expect(resumedSplits(now, [split(0, 40)], false)[1]).toMatchObject({
      partition: 1,
      offset: 10,
      maxTimestampMs: -Infinity,
    })
    expect(resumedSplits(now, [split(0, 40, { stopOffset: 80 })], true)).toHaveLength(1)
  })

  it('reads up to the ends of now when a run becomes bounded, and without end when it is bounded no more', () => {
    const now = [partition(0, 100), partition(1, 30), partition(2, 50)]
    const unbounded = [split(0, 40), split(1, 35)]
    expect(resumedSplits(now, unbounded, true).map((s) => [s.partition, s.offset, s.stopOffset])).toEqual([
      [0, 40, 100],
      [1, 35, 35],
      [2, 10, 50],
    ])
    const bounded = [split(0, 40, { stopOffset: 80 }), split(1, 20, { stopOffset: 20 })]
    expect(resumedSplits(now, bounded, false).map((s) => [s.partition, s.offset, s.stopOffset])).toEqual([
      [0, 40, Infinity],
      [1, 20, Infinity],
      [2, 10, Infinity],
    ])
  })

  it('refuses to go on without an end where all of time has passed', () => {
    const { source } = makeDefinition()
    const ended = { ...base, operatorId: 'window', watermarkMs: Infinity }
    expect(() => checkNotEnded([ended], { ...source, bounded: false }, 'j')).toThrow(
      /job j has come to the end of time/,
    )
    expect(() => checkNotEnded([ended], source, 'j')).not.toThrow()
    // Drained before the end of its input: what is left would be late.
    const drained = { ...base, operatorId: source.id, splits: [split(0, 40, { stopOffset: 80 })] }
    const read = { ...drained, splits: [split(0, 80, { stopOffset: 80 })] }
    expect(() => checkNotEnded([drained, ended], source, 'j')).toThrow(/or it was drained/)
    expect(() => checkNotEnded([read, ended], source, 'j')).not.toThrow()
    // A source may have come to its end while others had not: the windows go by the slowest.
    const early = { ...base, operatorId: source.id, watermarkMs: Infinity }
    expect(() => checkNotEnded([early, { ...ended, watermarkMs: 5 }], { ...source, bounded: false }, 'j')).not.toThrow()
  })

  it('refuses a topic that is another one', () => {
    expect(() => resumedSplits([partition(0, 100, 'other')], [split(0, 40)], false)).toThrow(
      /topic id t and now has other/,
    )
    expect(() => resumedSplits([], [split(0, 40)], false)).toThrow(/not there any more/)
    expect(() => checkTopicId(0, '', 'x')).not.toThrow()
    expect(() => checkTopicId(0, 'x', '')).not.toThrow()
    expect(resumedSplits([partition(0, 100, 'new')], [split(0, 1, { topicId: '' })], false)[0]?.topicId).toBe('new')
  })

  it('takes splits from the source operator only, whatever the parallelism was', () => {
    const snapshots = [
      { ...base, subtask: 1, splits: [split(1, 5), split(3, 7)] },
      { ...base, splits: [split(0, 4)] },
      { ...base, operatorId: 'other', splits: [split(9, 9)] },
    ]
    expect(restoredSplits(snapshots, 'events').map((s) => s.partition)).toEqual([0, 1, 3])
  })

  it('gives every partition to exactly one subtask, and the same one when it is found later', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(200)), fc.integer({ min: 1, max: 9 }), (ids, parallelism) => {
        const splits = freshSplits(
          ids.map((id) => partition(id)),
          ids.map(() => 0),
          false,
        )
        const all = distribute(splits, parallelism)
        expect(all).toHaveLength(parallelism)
        expect(
          all
            .flat()
            .map((s) => s.partition)
            .sort((a, b) => a - b),
        ).toEqual([...ids].sort((a, b) => a - b))
        all.forEach((list, subtask) => {
          for (const s of list) expect(s.partition % parallelism).toBe(subtask)
        })
      }),
    )
  })

  it('places subtasks round the ready threads, evenly, each job beginning elsewhere', () => {
    expect(placeSubtasks(4, [0, 2], 0)).toEqual([0, 2, 0, 2])
    expect(placeSubtasks(2, [0, 1], 1)).toEqual([1, 0])
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 6 }),
        fc.nat(9),
        (subtasks, threads, job) => {
          const ids = Array.from({ length: threads }, (_, i) => i)
          const load = ids.map((id) => placeSubtasks(subtasks, ids, job).filter((at) => at === id).length)
          expect(Math.max(...load) - Math.min(...load)).toBeLessThanOrEqual(1)
        },
      ),
    )
  })
})
