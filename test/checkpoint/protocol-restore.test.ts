import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type ObservedCheckpoint,
  type ObservedStore,
  type RestoreWish,
  resolveRestore,
} from '../../src/checkpoint/protocol-restore.ts'
import { header, manifestOf } from './snapshots.ts'

const good = (checkpointId: number): ObservedCheckpoint => ({
  checkpointId,
  manifest: manifestOf(checkpointId, []),
  problem: '',
  missingChunks: [],
})
const unreadable = (checkpointId: number): ObservedCheckpoint => ({
  checkpointId,
  manifest: null,
  problem: 'its checksum is wrong',
  missingChunks: [],
})
const lacking = (checkpointId: number): ObservedCheckpoint => ({
  ...good(checkpointId),
  missingChunks: ['j/1-1-n.window.0.1', 'j/1-1-n.window.0.2'],
})
const foreign = (checkpointId: number): ObservedCheckpoint => ({
  ...good(checkpointId),
  manifest: { ...manifestOf(checkpointId, []), jobId: 'id-0' },
})

const wish: RestoreWish = {
  jobName: 'j',
  jobId: 'id-1',
  knownStoreId: '',
  knownCheckpointId: 0,
  keyHashName: header.keyHashName,
  keyHashSeed: header.keyHashSeed,
  checkpointId: null,
  allowFallback: false,
}
const store = (checkpoints: readonly ObservedCheckpoint[], lastCheckpointId = 0): ObservedStore => ({
  storeId: 'store-1',
  lastCheckpointId,
  checkpoints,
})

describe('what to restore', () => {
  test('nothing there: a fresh start, above whatever was used', () => {
    expect(resolveRestore(store([]), wish)).toEqual({ kind: 'fresh', nextCheckpointId: 1, skipped: [] })
    expect(resolveRestore(store([], 9), wish)).toMatchObject({ kind: 'fresh', nextCheckpointId: 10 })
  })

  test('the newest', () => {
    const decision = resolveRestore(store([good(3), good(12), good(7)], 14), wish)
    expect(decision).toMatchObject({ kind: 'restore', manifest: { checkpointId: 12 }, nextCheckpointId: 15 })
  })

  test.each([
    ['unreadable', unreadable(5), /checksum/],
    ['without its chunks', lacking(5), /window\.0\.1 is missing, and 1 more/],
  ])('the newest is %s: refused, or passed over when that is allowed', (_name, bad, why) => {
    const decision = resolveRestore(store([good(4), bad]), wish)
    expect(decision).toMatchObject({
      kind: 'refuse',
      code: 'CHECKPOINT_CORRUPT',
      message: expect.stringMatching(why) as string,
    })
    const allowed = resolveRestore(store([good(4), bad]), { ...wish, allowFallback: true })
    expect(allowed).toMatchObject({ kind: 'restore', manifest: { checkpointId: 4 }, nextCheckpointId: 6 })
    if (allowed.kind === 'restore') expect(allowed.skipped).toMatchObject([{ checkpointId: 5 }])
    const nothing = resolveRestore(store([bad]), { ...wish, allowFallback: true })
    expect(nothing).toMatchObject({ kind: 'refuse', code: 'CHECKPOINT_CORRUPT' })
  })

  test('a certain one, and one that is not there', () => {
    const observed = store([good(3), good(4), unreadable(5)])
    expect(resolveRestore(observed, { ...wish, checkpointId: 3 })).toMatchObject({
      kind: 'restore',
      manifest: { checkpointId: 3 },
      nextCheckpointId: 6,
    })
    expect(resolveRestore(observed, { ...wish, checkpointId: 9 })).toMatchObject({
      kind: 'refuse',
      code: 'CHECKPOINT_NOT_FOUND',
      message: expect.stringContaining('5, 4, 3') as string,
    })
  })

  test('checkpoints of an earlier job of the same name are not ours', () => {
    const decision = resolveRestore(store([foreign(3), foreign(4)], 4), wish)
    expect(decision).toMatchObject({ kind: 'fresh', nextCheckpointId: 5 })
    expect(resolveRestore(store([good(3), foreign(4)]), wish)).toMatchObject({ manifest: { checkpointId: 3 } })
  })

  test('a store that is another, or has lost what we saw', () => {
    const lost = { kind: 'refuse', code: 'STORE_LOST' }
    expect(resolveRestore(store([]), { ...wish, knownStoreId: 'store-0' })).toMatchObject(lost)
    expect(resolveRestore(store([good(1)]), { ...wish, knownStoreId: 'store-0' })).toMatchObject(lost)
    expect(resolveRestore(store([]), { ...wish, knownCheckpointId: 8 })).toMatchObject(lost)
    const older = resolveRestore(store([good(7)]), { ...wish, knownCheckpointId: 8 })
    expect(older).toMatchObject({ kind: 'restore', nextCheckpointId: 9, skipped: [{ checkpointId: 8 }] })
  })

  test.each([
    ['key hash', { keyHashName: 'other' }],
    ['hash seed', { keyHashSeed: 1 }],
  ])('state under another %s is refused, also where falling back is allowed', (_name, change) => {
    const decision = resolveRestore(store([good(1)]), { ...wish, ...change, allowFallback: true })
    expect(decision).toMatchObject({ kind: 'refuse', code: 'STATE_INCOMPATIBLE' })
  })

  test('whatever is there: never an unusable one, never one of another job, never silently an older one', () => {
    const anyCheckpoint = fc.constantFrom(good, unreadable, lacking, foreign)
    fc.assert(
      fc.property(fc.array(anyCheckpoint, { maxLength: 6 }), fc.boolean(), (makers, allowFallback) => {
        const checkpoints = makers.map((make, i) => make(i + 1))
        const decision = resolveRestore(store(checkpoints, makers.length), { ...wish, allowFallback })
        const ours = makers.map((make, i) => ({ make, id: i + 1 })).filter(({ make }) => make !== foreign)
        const newest = ours.at(-1)
        if (decision.kind === 'fresh') expect(newest).toBeUndefined()
        if (decision.kind === 'restore') {
          const usable = ours.filter(({ make }) => make === good)
          expect(decision.manifest.checkpointId).toBe(usable.at(-1)!.id)
          if (!allowFallback) expect(decision.manifest.checkpointId).toBe(newest!.id)
        }
        if (decision.kind === 'refuse') {
          expect(newest?.make).not.toBe(good)
          expect(newest).toBeDefined()
        } else expect(decision.nextCheckpointId).toBe(makers.length + 1)
      }),
    )
  })
})
