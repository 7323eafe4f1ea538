import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ChunkNames } from '../../src/checkpoint/chunk-key.ts'
import { CHUNK_BYTES_FULL, CHUNK_BYTES_MAX } from '../../src/checkpoint/chunk-writer.ts'
import { mergeSnapshots } from '../../src/checkpoint/manifest-merge.ts'
import { MemoryChunkStore, MemoryStoreData } from '../../src/checkpoint/memory-store.ts'
import { outboxOf } from '../../src/checkpoint/outbox-restore.ts'
import type { SubtaskSnapshot } from '../../src/checkpoint/snapshot.ts'
import { MillraceError } from '../../src/core/errors.ts'
import { readBlocks } from '../../src/runtime/outbox-applier.ts'
import { SubtaskOutbox } from '../../src/runtime/subtask-outbox.ts'
import { OutboxBlockCursor } from '../../src/sink/outbox-block.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { header, manifestOf } from '../checkpoint/snapshots.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** An outbox over a memory store whose puts a test may hold back and fail. */
function setUp(epochBytes = Number.POSITIVE_INFINITY) {
  const data = new MemoryStoreData()
  const chunks = new MemoryChunkStore(data)
  const clock = new ManualClock()
  const world = {
    data,
    chunks,
    clock,
    failing: false,
    held: null as Promise<void> | null,
    puts: [] as string[],
    woken: 0,
    asked: 0,
  }
  const outbox = new SubtaskOutbox({
    store: {
      putChunk: async (key, bytes) => {
        world.puts.push(key)
        if (world.held !== null) await world.held
        if (world.failing) throw new MillraceError('STORE_UNREACHABLE', 'no store')
        await chunks.putChunk(key, bytes)
      },
    },
    names: new ChunkNames('j/1-1-n', 'window', 0),
    clock,
    epochBytes,
    wake: () => {
      world.woken++
    },
    onEpochFull: () => {
      world.asked++
    },
  })
  return { world, outbox }
}

type Said = Pick<SubtaskSnapshot, 'outbox' | 'written'>

/** The values that a checkpoint has for a sink, read back from the store. */
async function valuesOf(
  chunks: MemoryChunkStore,
  said: Said,
  sink: string,
  id: number,
  previous: number,
): Promise<string[]> {
  const snapshot = { ...manifestOf(1, []).subtasks[0]!, ...said }
  const manifest = mergeSnapshots({ ...header, checkpointId: id, previousCheckpointId: previous }, [snapshot])
  const cursor = new OutboxBlockCursor()
  const values: string[] = []
  for await (const bytes of readBlocks(chunks, 'the outbox', outboxOf(manifest).sinks.get(sink) ?? [])) {
    cursor.reset(bytes)
    while (cursor.next()) values.push(decoder.decode(cursor.value))
  }
  return values
}

describe('the outbox of a subtask', () => {
  test('a barrier hands over what was written before it, by sink; what comes later is the next epoch', async () => {
    const { world, outbox } = setUp()
    const out = outbox.open('out')
    const late = outbox.open('lateEvents')
    out.write(null, encoder.encode('a'), 1)
    out.write(encoder.encode('k'), encoder.encode('b'), 2)
    const first = outbox.snapshot(7)
    out.write(null, encoder.encode('c'), 3)
    late.write(null, encoder.encode('x'), 4)
    expect(await valuesOf(world.chunks, await first, 'out', 7, 6)).toEqual(['a', 'b'])
    expect((await first).outbox.map((part) => part.sink)).toEqual(['out'])
    outbox.completed(7)
    const second = await outbox.snapshot(8)
    expect(await valuesOf(world.chunks, second, 'out', 8, 7)).toEqual(['c'])
    expect(await valuesOf(world.chunks, second, 'lateEvents', 8, 7)).toEqual(['x'])
    outbox.completed(8)
    expect(await outbox.snapshot(9)).toEqual({ outbox: [], written: [] })
  })

  test('any history of checkpoints: every record is in one that exists, once and in order', async () => {
    const round = fc.record({
      records: fc.nat(3),
      outcome: fc.constantFrom('completed', 'heard late', 'aborted', 'store away'),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(round, { minLength: 1, maxLength: 20 }), async (rounds) => {
        const { world, outbox } = setUp()
        const writer = outbox.open('out')
        const wanted: string[] = []
        const got: string[] = []
        let completed = 0
        let unheard = 0
        const noted = new Set<string>()
        for (const [i, { records, outcome }] of [...rounds, { records: 1, outcome: 'completed' as const }].entries()) {
          const id = i + 1
          for (let n = 0; n < records; n++) {
            wanted.push(`${id}.${n}`)
            writer.write(null, encoder.encode(`${id}.${n}`), 0)
          }
          world.failing = outcome === 'store away'
          const outcomeOf = await outbox.snapshot(id).catch((error: unknown) => MillraceError.from(error).code)
          if (unheard > 0) outbox.completed(unheard)
          unheard = 0
          if (typeof outcomeOf === 'string') {
            expect(outcomeOf).toBe('STORE_UNREACHABLE')
            world.failing = false
            continue
          }
          for (const { key } of outcomeOf.written) {
            expect(noted.has(key)).toBe(false)
            noted.add(key)
          }
          if (outcome === 'aborted' || outcome === 'store away') continue
          for (const { blocks } of outcomeOf.outbox) {
            for (const { chunk } of blocks) expect(noted.has(chunk.key)).toBe(true)
          }
          got.push(...(await valuesOf(world.chunks, outcomeOf, 'out', id, completed)))
          completed = id
          // The word may come after the next barrier has.
          if (outcome === 'heard late') unheard = id
          else outbox.completed(id)
        }
        expect(got).toEqual(wanted)
      }),
    )
  })

  test('full blocks go to the store at once, in sizes that a store takes', async () => {
    const { world, outbox } = setUp()
    const writer = outbox.open('out')
    const sizes = [100_000, 300_000, 200_000, 2_000_000, 600_000, 400_000, 9]
    for (const size of sizes) writer.write(null, new Uint8Array(size), 0)
    await new Promise<void>((resolve) => setImmediate(resolve))
    expect(world.puts.length).toBeGreaterThan(2)
    const { outbox: parts } = await outbox.snapshot(1)
    const blocks = parts[0]!.blocks
    expect(blocks.reduce((sum, { records }) => sum + records, 0)).toBe(sizes.length)
    for (const { chunk, records } of blocks.slice(0, -1)) {
      expect(chunk.sizeBytes).toBeGreaterThanOrEqual(Math.min(CHUNK_BYTES_FULL, 400_000))
      if (records > 1) expect(chunk.sizeBytes).toBeLessThanOrEqual(CHUNK_BYTES_MAX)
    }
  })

  test('with the store away it fills up, says so, and goes on by itself when the store is back', async () => {
    const { world, outbox } = setUp()
    const writer = outbox.open('out')
    world.failing = true
    while (!writer.full) writer.write(null, new Uint8Array(200_000), 0)
    expect(writer.bufferedBytes).toBeLessThan(6 * 1024 * 1024)
    const tries = world.puts.length
    await new Promise<void>((resolve) => setImmediate(resolve))
    // The pause is kept: asked at every step, it does not try at every step.
    for (let i = 0; i < 100; i++) expect(writer.full).toBe(true)
    expect(world.puts.length).toBeLessThan(tries + 5)
    world.failing = false
    world.clock.advance(1000)
    for (let turn = 0; turn < 50 && writer.full; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
    expect(writer.full).toBe(false)
    expect(world.woken).toBeGreaterThan(0)
  })

  test('asks for the end of an epoch each time that it has another share', async () => {
    const { world, outbox } = setUp(1000)
    const writer = outbox.open('out')
    writer.write(null, new Uint8Array(900), 0)
    expect(world.asked).toBe(0)
    writer.write(null, new Uint8Array(100), 0)
    expect(world.asked).toBe(1)
    writer.write(null, new Uint8Array(500), 0)
    await outbox.snapshot(1)
    writer.write(null, new Uint8Array(900), 0)
    expect(world.asked).toBe(1)
    writer.write(null, new Uint8Array(900), 0)
    expect(world.asked).toBe(2)
  })
})

describe('blocks as they are read back', () => {
  const damage: readonly (readonly [string, (stored: Map<string, Uint8Array>, key: string) => void])[] = [
    ['missing', (stored, key) => stored.delete(key)],
    ['short', (stored, key) => stored.set(key, stored.get(key)!.slice(1))],
    ['damaged', (stored, key) => (stored.get(key)![5]! ^= 1)],
  ]

  test.each(damage)('one that is %s is CHECKPOINT_CORRUPT, and names its chunk', async (_what, change) => {
    const { world, outbox } = setUp()
    const writer = outbox.open('out')
    writer.write(null, encoder.encode('abc'), 1)
    const said = await outbox.snapshot(1)
    const { key } = said.written[0]!
    const stored = new Map([[key, (await world.chunks.readChunk(key))!]])
    change(stored, key)
    const read = async () => {
      const reader = { readChunk: async (k: string) => stored.get(k) }
      for await (const _ of readBlocks(reader, 'the outbox', said.outbox[0]!.blocks));
    }
    await expect(read()).rejects.toMatchObject({
      code: 'CHECKPOINT_CORRUPT',
      message: expect.stringContaining(key) as string,
    })
  })
})
