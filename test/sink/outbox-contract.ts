/**
 * What every outbox sink has to keep, as tests: called once for each sink with what stands behind it.
 *
 * The oracle is what has been applied: epochs are numbered, their records are made from the number, and what a reader
 * finds afterwards must be those of the epochs 1 to n, each once, in order.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { OutboxMarker, OutboxOwner, OutboxSink } from '../../src/sink/outbox.ts'
import { blocksOf, Crash, ownerOf, recordsOf, type TestRecord } from './outbox-records.ts'

/** A fresh place to write to. */
export interface OutboxTarget {
  /** A sink of an owner. With `crash`, each of its calls to the outside is a step. */
  sink(owner: OutboxOwner, crash?: Crash): OutboxSink
  /** What is read back: one text a record, in any order that `read` of the same records has again. */
  read(): Promise<readonly string[]>
  /** What `read` should give after these records, in their order. */
  expected(records: readonly TestRecord[]): readonly string[]
  close?(): Promise<void>
}

/** A kind of sink. */
export interface OutboxKind {
  readonly name: string
  target(): Promise<OutboxTarget>
  /** False where readers may see part of an epoch while it is applied. */
  readonly wholeEpochs: boolean
  /** Records without a key, and with an empty one, are possible. */
  readonly anyKeys: boolean
  /** No marker: what was applied is applied again, under the same keys. */
  readonly repeats?: boolean
  /** `open` waits for an epoch that is being applied: it is in the marker then. Else that epoch comes to nothing. */
  readonly openWaits?: boolean
  /** Records of the epoch in which crashes happen: enough for several parts, segments or requests. Default 2100. */
  readonly largeRecords?: number
  /** Runs of the property; each is several owners on the real thing. */
  readonly runs?: number
}

function upTo(epoch: number, count?: number): TestRecord[] {
  return Array.from({ length: epoch }, (_, i) => recordsOf(i + 1, count)).flat()
}

function epochOf(marker: OutboxMarker | null, jobId = 'job-1'): number {
  return marker?.jobId === jobId ? marker.epoch : 0
}

function isSame(found: readonly string[], expected: readonly string[]): boolean {
  return found.length === expected.length && found.every((text, i) => text === expected[i])
}

/** Says where two lists differ and how long they are: all of them would be a book. */
function expectSame(found: readonly string[], expected: readonly string[]): void {
  if (isSame(found, expected)) return
  const at = found.findIndex((text, i) => text !== expected[i])
  const first = at < 0 ? Math.min(found.length, expected.length) : at
  expect({ length: found.length, first, text: found[first] }).toEqual({
    length: expected.length,
    first,
    text: expected[first],
  })
  throw new Error('unreachable')
}

const refused = { code: expect.stringMatching(/^(SINK_FAILED|STORE_FENCED)$/) as string }

/** Declares the tests of one kind of sink. */
export function outboxContract(kind: OutboxKind): void {
  const withTarget = async (run: (target: OutboxTarget) => Promise<void>): Promise<void> => {
    const target = await kind.target()
    try {
      await run(target)
    } finally {
      await target.close?.()
    }
  }

  /** Opens a sink and applies what its marker says is missing up to `last`. */
  const catchUp = async (sink: OutboxSink, last: number): Promise<void> => {
    const marker = epochOf(await sink.open())
    for (let epoch = marker + 1; epoch <= last; epoch++) await sink.apply(epoch, blocksOf(recordsOf(epoch)))
  }

  describe(`the outbox contract: ${kind.name}`, () => {
    it('says what it guarantees', () =>
      withTarget(async (target) => {
        expect(target.sink(ownerOf('a')).guarantee).toBe(kind.repeats === true ? 'idempotent' : 'exactly-once')
      }))

    it('has no marker at first, then that of the newest epoch, and reads back what was applied', () =>
      withTarget(async (target) => {
        const sink = target.sink(ownerOf('a', 3))
        expect(await sink.open()).toBeNull()
        expectSame(await target.read(), target.expected([]))
        await sink.apply(2, blocksOf(recordsOf(1)))
        await sink.apply(7, blocksOf(recordsOf(2)))
        await sink.close()
        await sink.close()
        expectSame(await target.read(), target.expected(upTo(2)))
        const next = target.sink(ownerOf('b', 4))
        const marker = { jobId: 'job-1', generation: 3, epoch: 7 }
        expect(await next.open()).toEqual(kind.repeats === true ? null : marker)
        await next.close()
      }))

    it('applies an epoch once, however often it is asked to', () =>
      withTarget(async (target) => {
        const sink = target.sink(ownerOf('a'))
        await sink.open()
        for (const epoch of [1, 1, 2, 1, 2]) await sink.apply(epoch, blocksOf(recordsOf(epoch)))
        await sink.close()
        const again = target.sink(ownerOf('b'))
        await again.open()
        await again.apply(2, blocksOf(recordsOf(2)))
        await again.apply(3, blocksOf(recordsOf(3)))
        await again.close()
        expectSame(await target.read(), target.expected(upTo(3)))
      }))

    it('goes on after a failure, with nothing of the epoch that failed', () =>
      withTarget(async (target) => {
        const sink = target.sink(ownerOf('a'))
        await sink.open()
        await sink.apply(1, blocksOf(recordsOf(1)))
        const torn = async function* () {
          yield* blocksOf(recordsOf(2).slice(0, 3))
          throw new Error('the chunk store is away')
        }
        await expect(sink.apply(2, torn())).rejects.toThrow(/chunk store is away/)
        await sink.close()
        const next = target.sink(ownerOf('b'))
        await catchUp(next, 3)
        await next.close()
        expectSame(await target.read(), target.expected(upTo(3)))
      }))

    it('takes keys of every kind', () =>
      withTarget(async (target) => {
        if (!kind.anyKeys) return
        const value = Buffer.from('{"a":1}')
        const records = [null, new Uint8Array(0), Buffer.from('k'), Buffer.from([0, 255, 10])].map((key) => {
          return { key, value, timestampMs: 5 }
        })
        const sink = target.sink(ownerOf('a'))
        await sink.open()
        await sink.apply(1, blocksOf(records))
        await sink.close()
        expectSame(await target.read(), target.expected(records))
      }))

    it('takes epochs of any size', () =>
      withTarget(async (target) => {
        const sink = target.sink(ownerOf('a'))
        await sink.open()
        const sizes = [1, 1000, 1001, 4321]
        for (const [i, size] of sizes.entries()) await sink.apply(i + 1, blocksOf(recordsOf(i + 1, size), 700))
        await sink.close()
        const all = sizes.flatMap((size, i) => recordsOf(i + 1, size))
        expectSame(await target.read(), target.expected(all))
      }))

    it('takes the epochs of another submission of the job, whose numbers begin anew', () =>
      withTarget(async (target) => {
        const first = target.sink(ownerOf('a', 5))
        await first.open()
        await first.apply(9, blocksOf(recordsOf(1)))
        const second = target.sink(ownerOf('b', 1, 'job-2'))
        const marker = { jobId: 'job-1', generation: 5, epoch: 9 }
        expect(await second.open()).toEqual(kind.repeats === true ? null : marker)
        await second.apply(1, blocksOf(recordsOf(2)))
        if (kind.repeats !== true) await expect(first.apply(10, blocksOf(recordsOf(99)))).rejects.toMatchObject(refused)
        await second.apply(2, blocksOf(recordsOf(3)))
        await Promise.all([first.close(), second.close()])
        expectSame(await target.read(), target.expected(upTo(3)))
        const third = target.sink(ownerOf('c', 2, 'job-2'))
        const newest = { jobId: 'job-2', generation: 1, epoch: 2 }
        expect(await third.open()).toEqual(kind.repeats === true ? null : newest)
        await third.close()
      }))

    it('commits no part of an epoch in the middle of which it is closed', () =>
      withTarget(async (target) => {
        const count = 2100
        const sink = target.sink(ownerOf('a'))
        await sink.open()
        const reached = Promise.withResolvers<void>()
        const goOn = Promise.withResolvers<void>()
        const slow = async function* () {
          const records = recordsOf(1, count)
          yield* blocksOf(records.slice(0, -5), count)
          reached.resolve()
          await goOn.promise
          yield* blocksOf(records.slice(-5), count)
        }
        const applied = sink.apply(1, slow()).catch(() => undefined)
        await reached.promise
        const closed = sink.close()
        goOn.resolve()
        await Promise.all([applied, closed])
        const next = target.sink(ownerOf('b'))
        if (epochOf(await next.open()) < 1) await next.apply(1, blocksOf(recordsOf(1, count)))
        await next.close()
        expectSame(await target.read(), target.expected(upTo(1, count)))
      }))

    // A sink without a marker has nothing by which to tell owners apart.
    if (kind.repeats !== true) ownership(kind, withTarget, catchUp)
    crashes(kind, withTarget, catchUp)
  })
}

type WithTarget = (run: (target: OutboxTarget) => Promise<void>) => Promise<void>
type CatchUp = (sink: OutboxSink, last: number) => Promise<void>

function ownership(kind: OutboxKind, withTarget: WithTarget, catchUp: CatchUp): void {
  it('fences an owner that has been replaced', () =>
    withTarget(async (target) => {
      const zombie = target.sink(ownerOf('a', 1))
      await catchUp(zombie, 2)
      const owner = target.sink(ownerOf('b', 2))
      expect(epochOf(await owner.open())).toBe(2)
      await expect(zombie.apply(3, blocksOf(recordsOf(99)))).rejects.toMatchObject(refused)
      expectSame(await target.read(), target.expected(upTo(2)))
      await owner.apply(3, blocksOf(recordsOf(3)))
      await zombie.close()
      const late = target.sink(ownerOf('a', 1))
      await expect(late.open()).rejects.toMatchObject({ code: 'STORE_FENCED' })
      await late.close()
      await owner.apply(4, blocksOf(recordsOf(4)))
      await owner.close()
      expectSame(await target.read(), target.expected(upTo(4)))
    }))

  it('fences an owner that is replaced in the middle of an epoch', () =>
    withTarget(async (target) => {
      const zombie = target.sink(ownerOf('a'))
      await catchUp(zombie, 1)
      const owner = target.sink(ownerOf('b'))
      const reached = Promise.withResolvers<void>()
      const goOn = Promise.withResolvers<void>()
      const slow = async function* () {
        yield* blocksOf(recordsOf(2, 3000).slice(0, 2500), 2500)
        reached.resolve()
        await goOn.promise
        yield* blocksOf(recordsOf(2, 3000).slice(2500), 2500)
      }
      const applied = zombie.apply(2, slow()).then(
        () => true,
        () => false,
      )
      await reached.promise
      const opened = owner.open()
      if (kind.openWaits !== true) await opened
      goOn.resolve()
      const marker = epochOf(await opened)
      expect([await applied, marker]).toEqual(kind.openWaits === true ? [true, 2] : [false, 1])
      for (let epoch = marker + 1; epoch <= 3; epoch++)
        await owner.apply(epoch, blocksOf(recordsOf(epoch, epoch === 2 ? 3000 : 5)))
      await Promise.all([zombie.close(), owner.close()])
      const all = [...recordsOf(1), ...recordsOf(2, 3000), ...recordsOf(3)]
      expectSame(await target.read(), target.expected(all))
    }))

  it('gives each epoch once, whoever of many owners at a time gets through', async () => {
    const numRuns = kind.runs ?? 20
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 2, maxLength: 6 }), (lasts) =>
        withTarget(async (target) => {
          const sinks = lasts.map((_, i) => target.sink(ownerOf(`n${i}`)))
          // Some are fenced, none says what is not so.
          await Promise.all(sinks.map((sink, i) => catchUp(sink, lasts[i]!).catch(() => undefined)))
          const final = target.sink(ownerOf('final', 2))
          await catchUp(final, 13)
          await Promise.all([...sinks, final].map((sink) => sink.close()))
          expectSame(await target.read(), target.expected(upTo(13)))
        }),
      ),
      { numRuns },
    )
  })
}

function crashes(kind: OutboxKind, withTarget: WithTarget, catchUp: CatchUp): void {
  it.each([
    ['before', false],
    ['after', true],
  ] as const)('survives a crash %s each of its steps', async (_, after) => {
    const large = recordsOf(3, kind.largeRecords ?? 2100)
    const all = [...upTo(2), ...large, ...recordsOf(4)]
    const ends = [10, 10 + large.length, all.length]
    let steps = Number.POSITIVE_INFINITY
    for (let at = 1; at <= steps; at++) {
      await withTarget(async (target) => {
        const crash = new Crash()
        // The second epoch is there: in it, and in what follows, is every step that a sink ever takes.
        await catchUp(target.sink(ownerOf('a')), 2)
        crash.arm(at, after)
        const doomed = target.sink(ownerOf('b'), crash)
        let done = 2
        try {
          await doomed.open()
          await doomed.apply(3, blocksOf(large, 700))
          done = 3
          await doomed.apply(4, blocksOf(recordsOf(4)))
          done = 4
          steps = crash.steps
        } catch (error) {
          expect(error).toMatchObject({ code: 'SINK_FAILED' })
        }
        const seen = await target.read()
        const whole = ends.filter((end) => isSame(seen, target.expected(all.slice(0, end))))
        if (kind.wholeEpochs) expect(whole, `${seen.length} records are seen at step ${at}`).toHaveLength(1)
        await doomed.close().catch(() => undefined)

        const next = target.sink(ownerOf('c'))
        const marker = kind.repeats === true ? done : epochOf(await next.open())
        if (kind.repeats === true) await next.open()
        // What was reported is there, and at most one more.
        expect([done, done + 1]).toContain(marker)
        if (marker < 3) await next.apply(3, blocksOf(large, 700))
        if (marker < 4) await next.apply(4, blocksOf(recordsOf(4)))
        await next.close()
        expectSame(await target.read(), target.expected(all))
      })
    }
    expect(steps).toBeLessThan(Number.POSITIVE_INFINITY)
  })
}
