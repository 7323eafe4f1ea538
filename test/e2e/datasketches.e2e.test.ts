/** Sketches beside Apache DataSketches: as good as theirs where both estimate, and never at odds where both give bounds. */
import { describe, expect, it } from 'vitest'
import { hashBytes64, lanes } from '../../src/core/hash64.ts'
import { hllError } from '../../src/job/sketch-limits.ts'
import { ddAdd, ddQuantile } from '../../src/state/sketch/dd-sketch.ts'
import { itemsAdd, itemsMerge, itemsTop } from '../../src/state/sketch/frequent-items.ts'
import { hllAdd, hllEstimate, hllMerge } from '../../src/state/sketch/hll.ts'
import { empty, mergeWith, randomOf, type Sketch } from '../state/sketch/support.ts'
import { sketchTool } from '../support/datasketches/datasketches.ts'

const QUANTILES = [0.01, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99]
const TIMEOUT_MS = 300_000

function hllOf(p: number, seed: string, from: number, n: number, step: number): Sketch {
  const sketch = empty()
  for (let i = from; i < n; i += step) {
    const bytes = Buffer.from(`${seed}/${i}`)
    hashBytes64(bytes, 0, bytes.length)
    sketch.ref = hllAdd(sketch.store, sketch.ref, p, lanes[0]!, lanes[1]!)
  }
  return sketch
}

const rootMeanSquare = (errors: readonly number[]) => Math.sqrt(errors.reduce((a, b) => a + b * b, 0) / errors.length)

describe('beside Apache DataSketches', () => {
  it(
    'distinct counts are as near, at every precision and size, and unions too',
    async () => {
      const cases = [10, 12, 14].flatMap((p) => [1000, 5000, 20_000, 60_000].map((n) => ({ p, n })))
      const seeds = Array.from({ length: 24 }, (_, i) => `seed${i}`)
      const script = cases.flatMap(({ p, n }) => seeds.map((seed) => `hll ${p} ${seed} ${n}\n`)).join('')
      const lines = (await sketchTool(script)).split('\n')
      cases.forEach(({ p, n }, c) => {
        const theirs: number[] = []
        const ours: number[] = []
        seeds.forEach((seed, s) => {
          const [whole, union] = lines[c * seeds.length + s]!.split(' ').map(Number)
          expect(union).toBeCloseTo(whole!, 3)
          theirs.push(whole! / n - 1)
          const sketch = hllOf(p, seed, 0, n, 1)
          const halves = mergeWith(hllOf(p, seed, 0, n, 2), hllOf(p, seed, 1, n, 2), (store, ref) =>
            hllMerge(store, ref, p),
          )
          const estimate = hllEstimate(sketch.store, sketch.ref)
          expect(hllEstimate(halves.store, halves.ref)).toBe(estimate)
          expect(Math.abs(estimate / n - 1)).toBeLessThan(5 * hllError(p))
          ours.push(estimate / n - 1)
        })
        // 24 runs know a standard deviation to about 15 %: half as much again is beyond chance.
        expect(rootMeanSquare(ours), `p ${p}, n ${n}`).toBeLessThan(
          1.5 * Math.max(rootMeanSquare(theirs), hllError(p) / 1.3),
        )
      })
    },
    TIMEOUT_MS,
  )

  it(
    'quantiles are within the relative error of what KLL says for certain',
    async () => {
      const error = 0.01
      const runs = Array.from({ length: 12 }, (_, seed) => {
        const random = randomOf(seed)
        const draw = [
          () => random() * 1000,
          () => -Math.log(1 - random()) * 40,
          () => (1 - random()) ** -1.5,
          () => random() - 0.5,
        ]
        return Array.from({ length: 20_000 }, draw[seed % draw.length]!)
      })
      const lines = (
        await sketchTool(runs.map((run) => `quantiles ${run.length}\n${run.join('\n')}\n`).join(''))
      ).split('\n')
      runs.forEach((values, run) => {
        const sketch = empty()
        for (const value of values) sketch.ref = ddAdd(sketch.store, sketch.ref, error, value, 1)
        const limits = lines[run]!.trim().split(' ').map(Number)
        QUANTILES.forEach((q, i) => {
          const found = ddQuantile(sketch.store, sketch.ref, q)
          const [lower, upper] = [limits[2 * i]!, limits[2 * i + 1]!]
          expect(found, `run ${run}, q ${q}`).toBeGreaterThanOrEqual(lower - Math.abs(lower) * error - 1e-9)
          expect(found, `run ${run}, q ${q}`).toBeLessThanOrEqual(upper + Math.abs(upper) * error + 1e-9)
        })
      })
    },
    TIMEOUT_MS,
  )

  it(
    'the bounds of frequent texts never contradict, and the same texts lead',
    async () => {
      const runs = Array.from({ length: 8 }, (_, seed) => {
        const random = randomOf(seed + 100)
        return Array.from({ length: 40_000 }, () => `v${Math.floor(30_000 ** random())}`)
      })
      const blocks = (
        await sketchTool(runs.map((run) => `frequent ${run.length}\n${run.join('\n')}\n`).join(''))
      ).split('\n\n')
      runs.forEach((texts, run) => {
        const parts = [0, 1, 2].map((part) => {
          const sketch = empty()
          texts.forEach((text, i) => {
            const bytes = Buffer.from(text)
            if (i % 3 === part) sketch.ref = itemsAdd(sketch.store, sketch.ref, bytes, 0, bytes.length, 1)
          })
          return sketch
        })
        const sketch = parts.reduce((into, part) => mergeWith(into, part, itemsMerge))
        const ours = itemsTop(sketch.store, sketch.ref, 100).map(({ text, count, error }) => ({
          text: Buffer.from(text).toString(),
          lower: count - error,
          upper: count,
        }))
        const theirs = new Map(
          blocks[run]!.split('\n').map((line) => {
            const [text, lower, upper] = line.split('\t')
            return [text!, { lower: Number(lower), upper: Number(upper) }] as const
          }),
        )
        for (const { text, lower, upper } of ours) {
          const other = theirs.get(text)
          if (other === undefined) continue
          expect(lower, text).toBeLessThanOrEqual(other.upper)
          expect(upper, text).toBeGreaterThanOrEqual(other.lower)
        }
        const leading = [...theirs.keys()].slice(0, 5)
        expect(ours.slice(0, 5).map(({ text }) => text)).toEqual(leading)
      })
    },
    TIMEOUT_MS,
  )
})
