import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { CheckpointManifest } from '../../src/checkpoint/manifest.ts'
import {
  type OutboxFacts,
  outboxOf,
  outboxSize,
  resolveOutbox,
  type SinkMarker,
} from '../../src/checkpoint/outbox-restore.ts'
import { manifestOf } from './snapshots.ts'

/** A manifest with one block for each of the sinks, of a subtask each. */
function checkpoint(
  checkpointId: number,
  sinks: readonly string[],
  owed: CheckpointManifest['owed'] = [],
): CheckpointManifest {
  const whole = manifestOf(checkpointId, [])
  const subtasks = sinks.map((sink, subtask) => ({
    ...whole.subtasks[0]!,
    subtask,
    outbox: [{ sink, blocks: [block(checkpointId, subtask)] }],
  }))
  return { ...whole, jobId: 'id-1', previousCheckpointId: checkpointId - 1, subtasks, owed }
}

const block = (checkpointId: number, n: number) => ({
  chunk: { key: `j/1-1-n.window.${n}.${checkpointId}`, sizeBytes: 100 },
  epoch: checkpointId,
  records: 10,
  crc32c: 1,
})

const marker = (epoch: number, jobId = 'id-1'): SinkMarker => ({ jobId, epoch })

function decide(
  restored: CheckpointManifest | null,
  markers: Readonly<Record<string, SinkMarker | null>>,
  retained: readonly CheckpointManifest[] = [],
  settledId = 0,
) {
  const facts: OutboxFacts = {
    jobName: 'j',
    jobId: 'id-1',
    restored,
    retained: restored === null ? retained : [...retained, restored],
    settledId,
    markers: new Map(Object.entries(markers)),
  }
  const decision = resolveOutbox(facts)
  if (decision.kind === 'refuse') return decision
  const flat = (epochs: typeof decision.epochs) => epochs.map((e) => [e.checkpointId, ...e.sinks.keys()])
  return { apply: flat(decision.epochs), dropped: flat(decision.dropped) }
}

describe('what sinks are owed when a job starts', () => {
  const owed = (checkpointId: number, ...sinks: string[]) => ({ checkpointId, sinks })
  const five = checkpoint(5, ['a', 'b'])
  const six = checkpoint(6, ['b'], [owed(5, 'a', 'b')])
  const seven = checkpoint(7, ['a', 'b'], [owed(5, 'a', 'b'), owed(6, 'b')])

  test('everything, to a sink without a marker, or with one of an earlier submission', () => {
    const all = [
      [5, 'a', 'b'],
      [6, 'b'],
      [7, 'a', 'b'],
    ]
    expect(decide(seven, { a: null, b: null }, [five, six])).toEqual({ apply: all, dropped: [] })
    expect(decide(seven, { a: marker(99, 'before'), b: marker(3, 'before') }, [five, six])).toMatchObject({
      apply: all,
    })
  })

  test('what is above each marker, oldest first', () => {
    expect(decide(seven, { a: marker(5), b: marker(4) }, [five, six])).toMatchObject({
      apply: [
        [5, 'b'],
        [6, 'b'],
        [7, 'a', 'b'],
      ],
    })
    expect(decide(seven, { a: marker(7), b: marker(6) }, [five, six])).toMatchObject({ apply: [[7, 'b']] })
    expect(decide(seven, { a: marker(7), b: marker(7) }, [five, six])).toMatchObject({ apply: [] })
  })

  test('nothing of a checkpoint beside it that it does not name: its records are in this one again', () => {
    // Six was published without an answer; seven holds what it held, and says nothing of it.
    const published = checkpoint(6, ['a'], [])
    const after = { ...checkpoint(7, ['a']), previousCheckpointId: 5 }
    expect(decide(after, { a: marker(5) }, [published])).toMatchObject({ apply: [[7, 'a']] })
    expect(decide(after, { a: marker(4) }, [checkpoint(5, ['a']), published])).toMatchObject({
      apply: [
        [5, 'a'],
        [7, 'a'],
      ],
    })
  })

  test('a sink that has lost its newest epochs gets them again, as far as they are retained', () => {
    const line = [3, 4, 5].map((id) => checkpoint(id, ['a', 'b']))
    expect(decide(checkpoint(6, ['a']), { a: marker(2), b: marker(4) }, line)).toMatchObject({
      apply: [
        [3, 'a'],
        [4, 'a'],
        [5, 'a', 'b'],
        [6, 'a'],
      ],
    })
    // One that never had any is owed no more than what is owed.
    expect(decide(checkpoint(6, ['a']), { a: null, b: null }, line)).toMatchObject({ apply: [[6, 'a']] })
  })

  test('a marker above the restored checkpoint, or without any, is a lost store', () => {
    expect(decide(six, { a: null, b: marker(7) }, [five])).toMatchObject({
      kind: 'refuse',
      code: 'STORE_LOST',
      message: expect.stringMatching(/sink b .*checkpoint 7.* is 6: .*cancel the job and submit it anew/) as string,
    })
    expect(decide(null, { a: marker(1) })).toMatchObject({
      kind: 'refuse',
      code: 'STORE_LOST',
      message: expect.stringMatching(/checkpoint 1, but there is none in the store/) as string,
    })
    expect(decide(null, { a: null, b: marker(9, 'before') })).toEqual({ apply: [], dropped: [] })
  })

  test('what is owed and was lost is CHECKPOINT_CORRUPT; what was lost and applied is not looked for', () => {
    expect(decide(seven, { a: marker(4), b: marker(7) }, [six])).toMatchObject({
      kind: 'refuse',
      code: 'CHECKPOINT_CORRUPT',
      message: expect.stringMatching(/sink a .*checkpoint 5/) as string,
    })
    expect(decide(seven, { a: marker(5), b: marker(6) }, [])).toMatchObject({ apply: [[7, 'a', 'b']] })
  })

  test('what a sink that the job no longer has may lack is told: all above what every sink is known to have', () => {
    expect(decide(seven, { b: marker(6) }, [six])).toEqual({ apply: [[7, 'b']], dropped: [[7, 'a']] })
    const all = {
      apply: [[7, 'b']],
      dropped: [
        [5, 'a'],
        [7, 'a'],
      ],
    }
    expect(decide(seven, { b: marker(6) }, [five, six], 4)).toEqual(all)
    expect(decide(seven, { b: marker(6) }, [five, six], 5)).toEqual({ ...all, dropped: [[7, 'a']] })
    expect(decide(seven, { b: marker(6) }, [five, six], 7)).toEqual({ ...all, dropped: [] })
  })

  test('any history: every sink has every epoch once, whatever was applied before the crash', () => {
    const history = fc.array(fc.subarray(['a', 'b', 'c']), { minLength: 1, maxLength: 6 })
    fc.assert(
      fc.property(
        history,
        fc.array(fc.nat(6), { minLength: 3, maxLength: 3 }),
        fc.nat(2),
        (epochs, reached, behind) => {
          const count = epochs.length
          const names = ['a', 'b', 'c']
          // No sink is behind by more than two epochs: further ones would not have begun.
          const least = Math.max(0, count - 1 - behind)
          const at = names.map((_, i) => Math.min(count, Math.max(least, reached[i]!)))
          const owedBefore = epochs.flatMap((sinks, i) =>
            i + 1 > least && i + 1 < count && sinks.length > 0 ? [owed(i + 1, ...sinks)] : [],
          )
          const manifests = epochs.map((sinks, i) => checkpoint(i + 1, sinks, i + 1 === count ? owedBefore : []))
          // A marker stands at the newest epoch with records for that sink.
          const markers = names.map((sink, i) => {
            const newest = epochs.findLastIndex((sinks, e) => e < at[i]! && sinks.includes(sink)) + 1
            return [sink, newest === 0 ? null : marker(newest)] as const
          })
          const decision = decide(manifests.at(-1)!, Object.fromEntries(markers), manifests.slice(least, -1))
          if (!('apply' in decision)) throw new Error(decision.message)
          names.forEach((sink, i) => {
            const before = epochs.flatMap((sinks, e) => (e < at[i]! && sinks.includes(sink) ? [e + 1] : []))
            const now = decision.apply.flatMap(([epoch, ...to]) => (to.includes(sink) ? [epoch] : []))
            const wanted = epochs.flatMap((sinks, e) => (sinks.includes(sink) ? [e + 1] : []))
            expect([...before, ...now]).toEqual(wanted)
          })
        },
      ),
    )
  })
})

test('the outbox of a checkpoint: blocks by sink, in the order of subtasks', () => {
  const whole = checkpoint(7, ['out', 'out', 'late'])
  const epoch = outboxOf(whole)
  expect([...epoch.sinks.keys()]).toEqual(['out', 'late'])
  expect(epoch.sinks.get('out')).toEqual([block(7, 0), block(7, 1)])
  expect(outboxSize(epoch)).toEqual({ records: 30, bytes: 300 })
})
