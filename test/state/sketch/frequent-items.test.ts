import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ITEMS_MAX } from '../../../src/job/sketch-limits.ts'
import {
  ITEM_BYTES_MAX,
  itemsAdd,
  itemsCheck,
  itemsGreatest,
  itemsMerge,
  itemsSettle,
  itemsTop,
} from '../../../src/state/sketch/frequent-items.ts'
import { bytesOf, empty, mergeWith, randomOf, type Sketch } from './support.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder()

function add(sketch: Sketch, text: string, count = 1): void {
  const bytes = encoder.encode(`<${text}>`)
  sketch.ref = itemsAdd(sketch.store, sketch.ref, bytes, 1, bytes.length - 1, count)
}

function of(texts: Iterable<string>): Sketch {
  const sketch = empty()
  for (const text of texts) add(sketch, text)
  return sketch
}

const merged = (a: Sketch, b: Sketch) => mergeWith(a, b, itemsMerge)
const top = ({ store, ref }: Sketch, k: number) =>
  itemsTop(store, ref, k).map(({ text, count, error }) => [decoder.decode(text), count, error] as const)

/** Counts from most to least, then by text: what an exact top list says. */
function exact(texts: readonly string[], k: number): (readonly [string, number, number])[] {
  const counts = new Map<string, number>()
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1)
  return [...counts]
    .sort((a, b) => b[1] - a[1] || Buffer.compare(Buffer.from(a[0]), Buffer.from(b[0])))
    .slice(0, k)
    .map(([text, count]) => [text, count, 0])
}

/** Numbers as texts, small ones far more often. */
function zipf(random: () => number, different: number): string {
  return `v${Math.floor(different ** random())}`
}

const few = fc.array(fc.oneof(fc.constantFrom('a', 'b', 'c', 'd'), fc.string({ maxLength: 12 })), { maxLength: 80 })

describe('frequent texts', () => {
  it('are exact while they are few, with ties by text, and merge exactly', () => {
    fc.assert(
      fc.property(few, few, few, (a, b, c) => {
        const all = exact([...a, ...b, ...c], 10)
        expect(top(of([...a, ...b, ...c]), 10)).toEqual(all)
        expect(top(merged(merged(of(a), of(b)), of(c)), 10)).toEqual(all)
        expect(top(merged(of(c), merged(of(b), of(a))), 10)).toEqual(all)
        expect(top(merged(empty(), of(a)), 10)).toEqual(exact(a, 10))
        expect(top(merged(of(a), empty()), 10)).toEqual(exact(a, 10))
      }),
      { numRuns: 300 },
    )
  })

  it.each([1, 2, 3, 4, 5, 6])(
    'say between what and what a count is when they are many, merged or not: seed %i',
    (seed) => {
      const random = randomOf(seed)
      const texts = Array.from({ length: 60_000 }, () => zipf(random, 50_000))
      const counts = new Map(exact(texts, texts.length).map(([text, count]) => [text, count]))
      const parts = Array.from({ length: 7 }, (_, part) => of(texts.filter((_text, i) => i % 7 === part)))
      const sketches = [of(texts), parts.reduce((into, part) => merged(into, part), empty())]
      for (const sketch of sketches) {
        const found = top(sketch, 100)
        expect(found).toHaveLength(100)
        for (const [text, count, error] of found) {
          expect(error).toBeLessThanOrEqual((2 * texts.length) / ITEMS_MAX)
          expect(counts.get(text)!).toBeLessThanOrEqual(count)
          expect(counts.get(text)!).toBeGreaterThanOrEqual(count - error)
        }
        const error = found[0]![2]
        const listed = new Set(top(sketch, ITEMS_MAX).map(([text]) => text))
        for (const [text, count] of counts) if (!listed.has(text)) expect(count).toBeLessThanOrEqual(error)
        // The ten that lead by far are found, in their order.
        expect(found.slice(0, 5).map(([text]) => text)).toEqual(exact(texts, 5).map(([text]) => text))
        expect(itemsGreatest(sketch.store, sketch.ref)).toBe(found[0]![1])
      }
    },
  )

  it('are counted by weight, cut where they are long, at a character', () => {
    const sketch = empty()
    add(sketch, 'a', 5)
    add(sketch, 'b', 7)
    add(sketch, 'a', 3)
    const long = 'ü'.repeat(ITEM_BYTES_MAX)
    add(sketch, `x${long}`)
    add(sketch, `x${long}!`)
    expect(top(sketch, 3)).toEqual([
      ['a', 8, 0],
      ['b', 7, 0],
      [`x${'ü'.repeat((ITEM_BYTES_MAX - 2) / 2)}`, 2, 0],
    ])
  })

  it('settle to those that are asked for', () => {
    const random = randomOf(9)
    const sketch = of(Array.from({ length: 20_000 }, () => zipf(random, 20_000)))
    const into = empty()
    into.ref = itemsSettle(sketch.store, sketch.ref, 5, into.store)
    expect(top(into, 100)).toEqual(top(sketch, 5))
    expect(bytesOf(into).length).toBeLessThan(400)
    const again = empty()
    again.ref = itemsSettle(into.store, into.ref, 5, again.store)
    expect(top(again, 5)).toEqual(top(sketch, 5))
    expect(itemsGreatest(empty().store, 0)).toBeNaN()
  })

  it('refuse bytes that are none with a code, or can be used', () => {
    const good = [bytesOf(of(['a', 'b', 'a'])), bytesOf(of(Array.from({ length: 40 }, (_, i) => `text ${i}`)))]
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.array(fc.tuple(fc.nat(1200), fc.nat(255)), { maxLength: 3 }).chain((changes) =>
        fc.constantFrom(...good).map((from) => {
          const copy = from.slice()
          for (const [at, value] of changes) copy[at % copy.length] = value
          return copy
        }),
      ),
    )
    fc.assert(
      fc.property(bytes, (content) => {
        const { store } = empty()
        store.loaded.set(content, 0, content.length)
        try {
          itemsCheck(store.loaded)
        } catch (error) {
          expect(['CHECKPOINT_CORRUPT', 'STATE_INCOMPATIBLE']).toContain((error as { code?: string }).code)
          return
        }
        const sketch = { store, ref: store.put() }
        for (let i = 0; i < 50; i++) add(sketch, `more ${i}`)
        expect(top(sketch, 10).length).toBeGreaterThan(0)
      }),
      { numRuns: 3000 },
    )
    for (const content of good) {
      const { store } = empty()
      store.loaded.set(content, 0, content.length)
      expect(() => itemsCheck(store.loaded)).not.toThrow()
    }
  })
})
