import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LatestWriter } from '../../src/rpc/latest-writer.ts'

interface Value {
  readonly key: string
  readonly version: number
}

/** A stream that takes `room` messages between two drains. */
class Pipe {
  readonly messages: (readonly Value[])[] = []
  room: number
  #drain: (() => void) | null = null
  wroteWhileFull = false

  constructor(room: number) {
    this.room = room
  }

  write(message: readonly Value[]): boolean {
    if (this.#drain !== null) this.wroteWhileFull = true
    this.messages.push(message)
    this.room--
    return this.room > 0
  }

  once(_event: 'drain', listener: () => void): void {
    this.#drain = listener
  }

  drain(room: number): void {
    const listener = this.#drain
    if (listener === null) return
    this.#drain = null
    this.room = room
    listener()
  }
}

function writer(pipe: Pipe, batchMax = 2, keysMax = 100) {
  return new LatestWriter<Value, readonly Value[]>(pipe, {
    keyOf: (value) => value.key,
    messageOf: (values) => values,
    batchMax,
    keysMax,
  })
}

describe('LatestWriter', () => {
  it('ends with the newest value of each key, never goes back, and never writes into a full stream', () => {
    const action = fc.oneof(
      { weight: 3, arbitrary: fc.record({ offer: fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 4 }) }) },
      { weight: 1, arbitrary: fc.record({ drain: fc.integer({ min: 1, max: 3 }) }) },
    )
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), fc.integer({ min: 1, max: 3 }), (actions, batchMax) => {
        const pipe = new Pipe(1)
        const out = writer(pipe, batchMax)
        const newest = new Map<string, number>()
        let version = 0
        let offered = 0
        for (const step of actions) {
          if ('offer' in step) {
            const values = [...new Set(step.offer)].map((key) => ({ key, version: ++version }))
            offered += values.length
            for (const value of values) newest.set(value.key, value.version)
            out.offer(values)
          } else pipe.drain(step.drain)
          expect(out.waiting).toBeLessThanOrEqual(4)
        }
        while (out.waiting > 0) pipe.drain(1)
        const last = new Map<string, number>()
        for (const value of pipe.messages.flat()) {
          expect(value.version).toBeGreaterThan(last.get(value.key) ?? 0)
          last.set(value.key, value.version)
        }
        expect(last).toEqual(newest)
        expect(pipe.messages.flat().length + out.conflated).toBe(offered)
        expect(pipe.wroteWhileFull).toBe(false)
        for (const message of pipe.messages) expect(message.length).toBeLessThanOrEqual(batchMax)
      }),
    )
  })

  it('finishes after what waits', () => {
    const pipe = new Pipe(1)
    const out = writer(pipe)
    out.offer([{ key: 'a', version: 1 }])
    out.offer([{ key: 'b', version: 2 }])
    let finished = false
    out.finish(() => {
      finished = true
    })
    expect(finished).toBe(false)
    pipe.drain(5)
    expect(finished).toBe(true)
    expect(pipe.messages).toHaveLength(2)
  })

  it('gives up on a reader for whom too many keys wait', () => {
    const pipe = new Pipe(1)
    const out = writer(pipe, 2, 3)
    out.offer([{ key: 'first', version: 1 }])
    const many = Array.from({ length: 4 }, (_, index) => ({ key: `${index}`, version: index }))
    expect(() => out.offer(many)).toThrow(/too slow/)
    expect(out.waiting).toBe(0)
  })

  it('writes nothing once closed', () => {
    const pipe = new Pipe(1)
    const out = writer(pipe)
    out.offer([{ key: 'a', version: 1 }])
    out.offer([{ key: 'b', version: 2 }])
    out.close()
    pipe.drain(5)
    out.offer([{ key: 'c', version: 3 }])
    expect(pipe.messages).toHaveLength(1)
  })

  it('tells what is no value behind the values that wait, the newest of it, and before it finishes', () => {
    const pipe = new Pipe(1)
    const out = writer(pipe)
    const note = (version: number) => [{ key: 'note', version }]
    out.offer([{ key: 'a', version: 1 }])
    out.offer([{ key: 'a', version: 2 }])
    out.notify(note(1))
    out.notify(note(2))
    let finished = false
    out.finish(() => {
      finished = true
    })
    expect([pipe.messages.length, finished]).toEqual([1, false])
    pipe.drain(1)
    pipe.drain(1)
    pipe.drain(1)
    expect(pipe.messages.slice(1)).toEqual([[{ key: 'a', version: 2 }], note(2)])
    expect([finished, pipe.wroteWhileFull]).toEqual([true, false])
  })
})
