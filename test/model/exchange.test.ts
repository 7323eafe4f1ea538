/**
 * The exchange under every order of things: at one credit no run gets stuck, whatever checkpoints begin and are aborted,
 * and what comes out is what went in. Planted bugs show that a run would tell.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SeededRandom } from '../../src/core/clock.ts'
import { nameOf, Reference, type Result } from '../operator/reference.ts'
import { NUMBERS } from '../operator/support.ts'
import { type Bug, ExchangeGraph, type GraphOptions, tables } from './exchange-graph.ts'
import { drawSource } from './exchange-source.ts'

interface Drawn {
  readonly seed: number
  readonly sources: number
  readonly windows: number
  readonly merges: number
  readonly events: number
  readonly abortWeight: number
  readonly credits: number
}

const drawn = fc.record({
  seed: fc.nat(),
  sources: fc.integer({ min: 1, max: 3 }),
  windows: fc.integer({ min: 1, max: 3 }),
  merges: fc.integer({ min: 1, max: 3 }),
  events: fc.integer({ min: 0, max: 150 }),
  abortWeight: fc.constantFrom(0, 20, 90),
  credits: fc.constantFrom(1, 1, 1, 2),
})

function optionsOf(
  { seed, sources, windows, merges, events, abortWeight, credits }: Drawn,
  withIdleness: boolean,
  bug: Bug = 'none',
): GraphOptions {
  const random = new SeededRandom(seed)
  return {
    seed,
    windows,
    merges,
    sources: Array.from({ length: sources }, () => drawSource(random, events, withIdleness)),
    credits,
    checkpoints: bug === 'abortLost' ? 1 : 12,
    abortWeight,
    bug,
  }
}

async function run(options: GraphOptions): Promise<ExchangeGraph> {
  const graph = new ExchangeGraph(options)
  await graph.run()
  return graph
}

/** Checkpoints that everybody acknowledged cut exactly: windows had counted what sources had sent. */
function wrongCuts({ acks, nodes }: ExchangeGraph): string[] {
  const wrong: string[] = []
  for (const [id, all] of acks) {
    if (all.size < nodes.length) continue
    const sent = [...all.values()].reduce((sum, ack) => sum + ack.rowsSent, 0)
    const counted = [...all.values()].reduce((sum, ack) => sum + ack.counted, 0)
    if (sent !== counted) wrong.push(`checkpoint ${id}: ${sent} sent, ${counted} counted`)
  }
  return wrong
}

/** The last result of every window and group of a table; revisions must be 1, 2, 3 … */
function lastResults(graph: ExchangeGraph, id: string): Map<string, Result> {
  const last = new Map<string, Result>()
  for (const { table, results } of graph.results) {
    if (table.id !== id) continue
    for (const result of results) {
      const name = nameOf(result)
      expect([name, result.revision]).toEqual([name, (last.get(name)?.revision ?? 0) + 1])
      last.set(name, result)
    }
  }
  return last
}

describe('the exchange at one credit', () => {
  it('never gets stuck, cuts exactly at barriers, and gives exact results once', async () => {
    await fc.assert(
      fc.asyncProperty(drawn, async (what) => {
        const options = optionsOf(what, false)
        const graph = await run(options)
        expect(graph.stuck()).toEqual([])
        expect(wrongCuts(graph)).toEqual([])
        expect(graph.inputs.reduce((sum, { counters }) => sum + counters.late, 0)).toBe(0)
        const rows = options.sources
          .flat()
          .flatMap((step) => (typeof step === 'object' && 'rows' in step ? step.rows : []))
        for (const table of tables) {
          const reference = new Reference(table, NUMBERS)
          reference.apply(rows)
          const last = lastResults(graph, table.id)
          expect(new Map([...last].map(([name, { values }]) => [name, values]))).toEqual(reference.values())
          for (const { revision } of last.values()) expect(revision).toBe(1)
        }
      }),
      { numRuns: 120 },
    )
  }, 60_000)

  // Merge does not hear of idleness: it would go on without a window that still takes events of windows that merge has
  // closed, and their partials would begin those anew.
  it('loses and doubles nothing when sources fall idle and return', async () => {
    await fc.assert(
      fc.asyncProperty(drawn, async (what) => {
        const graph = await run(optionsOf(what, true))
        expect(graph.stuck()).toEqual([])
        expect(wrongCuts(graph)).toEqual([])
        const applied = graph.inputs.reduce((sum, { counters }) => sum + counters.applied, 0)
        for (const { id } of tables) {
          const counted = [...lastResults(graph, id).values()].reduce((sum, { values }) => sum + values[0]!, 0)
          expect([id, counted]).toEqual([id, applied])
        }
      }),
      { numRuns: 120 },
    )
  }, 60_000)

  it.each<[Bug, number]>([
    ['creditHeldWhileAligning', 0],
    ['abortLost', 300],
    ['barrierOvertakes', 0],
  ])('would tell a bug: %s', async (bug, abortWeight) => {
    let told = 0
    for (let seed = 0; seed < 10; seed++) {
      const what = { seed, sources: 2, windows: 2, merges: 2, events: 150, abortWeight, credits: 1 }
      const graph = await run(optionsOf(what, false, bug))
      if (graph.stuck().length + wrongCuts(graph).length > 0) told++
    }
    expect(told).toBeGreaterThan(0)
  })
})
