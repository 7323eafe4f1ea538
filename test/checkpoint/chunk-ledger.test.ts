import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { chunkKey, chunkKeyPrefix, parseChunkKey, splitChunkKey } from '../../src/checkpoint/chunk-key.ts'
import { ChunkLedger } from '../../src/checkpoint/chunk-ledger.ts'
import { manifestOf } from './snapshots.ts'

const key = (n: number): string => `j/1-1-n.window.0.${n}`
const ref = (n: number) => ({ key: key(n), sizeBytes: 10 })

describe('chunk ledger', () => {
  test('a model of a subtask: nothing that is needed goes, nothing that is not stays', () => {
    // Each round: pages that change, and how the checkpoint ends. Retention is 2.
    const round = fc.record({
      changed: fc.uniqueArray(fc.nat(5), { maxLength: 4 }),
      outcome: fc.constantFrom('published', 'aborted', 'unacked', 'uncertain', 'uncertain and there'),
    })
    fc.assert(
      fc.property(fc.array(round, { maxLength: 40 }), (rounds) => {
        const ledger = new ChunkLedger()
        const stored = new Set<string>()
        const at = new Map<number, string>()
        /** Manifests in the store. */
        const there = new Map<number, readonly string[]>()
        const retained: number[] = []
        const uncertain: number[] = []
        let unreported: { key: string; sizeBytes: number }[] = []
        let sequence = 0
        const collect = (): void => {
          for (const garbage of ledger.takeGarbage()) {
            for (const keys of there.values()) expect(keys).not.toContain(garbage)
            expect([...at.values()]).not.toContain(garbage)
            expect(stored.delete(garbage)).toBe(true)
          }
        }
        for (const [i, { changed, outcome }] of rounds.entries()) {
          const id = i + 1
          for (const page of changed) {
            const chunk = ref(++sequence)
            at.set(page, chunk.key)
            stored.add(chunk.key)
            unreported.push(chunk)
          }
          if (outcome === 'unacked') continue
          ledger.note(unreported)
          unreported = []
          if (outcome === 'aborted') {
            collect()
            continue
          }
          const keys = [...new Set(at.values())]
          ledger.add(manifestOf(id, keys))
          collect()
          if (outcome !== 'uncertain') there.set(id, keys)
          if (outcome !== 'published') {
            uncertain.push(id)
            continue
          }
          retained.push(id)
          for (const gone of [...retained.splice(0, Math.max(0, retained.length - 2)), ...uncertain.splice(0)]) {
            there.delete(gone)
            ledger.remove(gone)
          }
          collect()
          expect(ledger.checkpointIds).toEqual(retained)
          const needed = new Set(retained.flatMap((r) => there.get(r)!))
          expect([...stored].filter((k) => !needed.has(k))).toEqual([])
          for (const k of needed) expect(stored).toContain(k)
        }
      }),
    )
  })

  test('what was noted for the checkpoint in flight is not garbage when an older one goes', () => {
    const ledger = new ChunkLedger()
    ledger.add(manifestOf(1, [key(1)]))
    ledger.add(manifestOf(2, [key(2)]))
    ledger.note([ref(3)])
    ledger.remove(1)
    expect(ledger.takeGarbage()).toEqual([key(1)])
    ledger.add(manifestOf(3, [key(3)]))
    expect(ledger.takeGarbage()).toEqual([])
    ledger.remove(1)
    ledger.add(manifestOf(3, [key(9)]))
    expect(ledger.takeGarbage()).toEqual([])
  })

  test('blocks of an outbox are kept as pages are, as long as a checkpoint that has them', () => {
    const ledger = new ChunkLedger()
    const withOutbox = (id: number, page: number, block: number) => {
      const manifest = manifestOf(id, [key(page)])
      const blocks = [{ chunk: ref(block), epoch: id, records: 1, crc32c: 0 }]
      return { ...manifest, subtasks: [{ ...manifest.subtasks[0]!, outbox: [{ sink: 'out', blocks }] }] }
    }
    ledger.note([ref(1), ref(2)])
    ledger.add(withOutbox(1, 1, 2))
    // The page stays where it is; the next epoch has a block of its own.
    ledger.note([ref(3)])
    ledger.add(withOutbox(2, 1, 3))
    expect(ledger.takeGarbage()).toEqual([])
    ledger.remove(1)
    expect(ledger.takeGarbage()).toEqual([key(2)])
    ledger.addStray([key(1), key(2), key(3)], 2, 1)
    expect(ledger.takeGarbage()).toEqual([key(2)])
  })

  test('strays are what older owners and attempts left and nobody refers to', () => {
    const ledger = new ChunkLedger()
    const old = chunkKey(chunkKeyPrefix('j', 1, 9, 'x'), 'window', 0, 1)
    const kept = chunkKey(chunkKeyPrefix('j', 1, 9, 'x'), 'window', 0, 2)
    const before = chunkKey(chunkKeyPrefix('j', 2, 1, 'y'), 'window', 0, 1)
    const now = chunkKey(chunkKeyPrefix('j', 2, 2, 'z'), 'window', 0, 1)
    const newer = chunkKey(chunkKeyPrefix('j', 3, 1, 'z'), 'window', 0, 1)
    ledger.add(manifestOf(1, [kept]))
    ledger.addStray([old, kept, before, now, newer, 'not a chunk key'], 2, 2)
    expect(ledger.takeGarbage()).toEqual([old, before])
    expect(ledger.takeGarbage()).toEqual([])
  })

  test('a chunk that was garbage and is referred to again is none', () => {
    const ledger = new ChunkLedger()
    ledger.addStray([key(1), key(2)], 2, 1)
    ledger.add(manifestOf(1, [key(1)]))
    expect(ledger.takeGarbage()).toEqual([key(2)])
  })
})

describe('chunk keys', () => {
  test('round trip', () => {
    const name = fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/)
    fc.assert(
      fc.property(
        name,
        fc.nat(),
        fc.nat(),
        name,
        fc.nat(99),
        fc.nat(),
        (job, generation, attempt, operatorId, subtask, sequence) => {
          const made = chunkKey(chunkKeyPrefix(job, generation, attempt, 'a0f'), operatorId, subtask, sequence)
          expect(parseChunkKey(made)).toEqual({ job, generation, attempt, nonce: 'a0f', operatorId, subtask, sequence })
          expect(splitChunkKey(made).job).toBe(job)
        },
      ),
    )
  })

  test('what could leave the store or be read two ways is refused', () => {
    for (const bad of ['', 'a/b', '../x', '..', 'x y', `${key(1)}/..`, '../1-1-n.window.0.1', 'j/1-1-n.win.dow.0.1']) {
      expect(parseChunkKey(bad)).toBeUndefined()
    }
    expect(() => chunkKeyPrefix('a/b', 1, 1, 'n')).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
    expect(() => chunkKeyPrefix('a', 1, 1, 'n-n')).toThrow(expect.objectContaining({ code: 'INTERNAL' }))
    expect(() => chunkKey('j/1-1-n', 'win.dow', 0, 1)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  })
})
