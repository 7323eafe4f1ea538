import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { textCheck, textMerge, textOf, textSettle, textTake } from '../../../src/state/sketch/timed-text.ts'
import { bytesOf, empty, mergeWith, type Sketch } from './support.ts'

type Event = readonly [time: number, text: string]

function of(last: boolean, events: readonly Event[]): Sketch {
  const sketch = empty()
  for (const [time, text] of events) {
    const bytes = Buffer.from(`<${text}>`)
    sketch.ref = textTake(sketch.store, sketch.ref, last, time, bytes, 1, bytes.length - 1)
  }
  return sketch
}

const said = ({ store, ref }: Sketch) => {
  const text = textOf(store, ref)
  return text === null ? null : Buffer.from(text).toString()
}

/** The first or last by time, then by bytes. */
function exact(last: boolean, events: readonly Event[]): string | null {
  const order = (a: Event, b: Event) => a[0] - b[0] || Buffer.compare(Buffer.from(a[1]), Buffer.from(b[1]))
  return events.toSorted(order).at(last ? -1 : 0)?.[1] ?? null
}

const events = fc.array(fc.tuple(fc.nat(5), fc.string({ unit: 'binary', maxLength: 40 })), { maxLength: 12 })

describe('first and last text', () => {
  it('are by time, then by bytes, in any order and merged in any way', () => {
    fc.assert(
      fc.property(fc.boolean(), events, events, events, (last, a, b, c) => {
        const merged = (x: Sketch, y: Sketch) => mergeWith(x, y, (store, ref) => textMerge(store, ref, last))
        const all = exact(last, [...a, ...b, ...c])
        expect(said(of(last, [...c, ...a, ...b]))).toBe(all)
        expect(said(merged(merged(of(last, a), of(last, b)), of(last, c)))).toBe(all)
        expect(said(merged(of(last, c), merged(of(last, b), of(last, a))))).toBe(all)
        expect(said(merged(of(last, a), of(last, a)))).toBe(exact(last, a))
        expect(said(merged(empty(), of(last, a)))).toBe(exact(last, a))
      }),
      { numRuns: 300 },
    )
  })

  it('settle as they are, and are checked', () => {
    const sketch = of(true, [[5, 'x']])
    const into = empty()
    into.ref = textSettle(sketch.store, sketch.ref, into.store)
    expect(said(into)).toBe('x')
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const { store } = empty()
        store.loaded.set(bytes, 0, bytes.length)
        try {
          textCheck(store.loaded)
        } catch (error) {
          expect(['CHECKPOINT_CORRUPT', 'STATE_INCOMPATIBLE']).toContain((error as { code?: string }).code)
          return
        }
        expect(textOf(store, store.put())).not.toBeNull()
      }),
    )
    into.store.loaded.set(bytesOf(into), 0, bytesOf(into).length)
    expect(() => textCheck(into.store.loaded)).not.toThrow()
  })
})
