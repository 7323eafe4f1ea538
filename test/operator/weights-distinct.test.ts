/** Exact distincts under events that are taken back: a count a member, here, over the partials edge, and through restores. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hashBytes } from '../../src/core/hash.ts'
import { keyGroupOf, subtaskOf } from '../../src/core/key-groups.ts'
import { keyRoom } from '../../src/event/scan.ts'
import { EventBatch, layOutEventBatch, ROWS_MAX } from '../../src/exchange/event-batch.ts'
import type { BatchMessage } from '../../src/exchange/message.ts'
import { PARTIAL_BATCH_BYTES, PartialOutput } from '../../src/exchange/partial-batch.ts'
import { layOutAccumulators } from '../../src/operator/accumulators.ts'
import { EventAggregator } from '../../src/operator/aggregate-events.ts'
import { SessionAggregator } from '../../src/operator/aggregate-sessions.ts'
import { nextChange } from '../../src/operator/change-numbers.ts'
import { dimensionTexts } from '../../src/operator/group-key.ts'
import { PartialMerger } from '../../src/operator/merge-partials.ts'
import { PartialTable } from '../../src/operator/partial-table.ts'
import { membersOfEvents, membersOfPartials, ResultTable } from '../../src/operator/result-table.ts'
import { SessionTable } from '../../src/operator/session-table.ts'
import { queryTable } from '../../src/operator/view.ts'
import { PagePool } from '../../src/state/page-pool.ts'
import { recordingChannels } from '../exchange/support.ts'
import { accumulator, adopt, KEY_GROUPS, snapshotOf, tablePlan, takeOver } from './support.ts'

const layout = layOutEventBatch(0, 2, false, false, true)
const textAt = (column: number) => column
const nowhere = () => -1

/** Events, and the different keys and texts by the first text. */
const accumulators = [accumulator('count', 0), accumulator('distinct', 0), accumulator('distinct', 0, 1)]
const byGroup = { takesBack: true, retainMs: 1e9 }

interface Event {
  readonly key: string
  readonly group: string
  readonly text: string
  readonly weight: number
}

const bytesOf = (text: string) => new TextEncoder().encode(text)

function fill(events: readonly Event[]): EventBatch {
  const batch = new EventBatch(layout, new ArrayBuffer(layout.byteLength))
  batch.clear()
  let used = batch.bytesUsed
  const put = (text: string): [number, number] => {
    const bytes = bytesOf(text)
    const start = used
    batch.bytes.fill(0, start, start + keyRoom(bytes.length))
    batch.bytes.set(bytes, start)
    used += keyRoom(bytes.length)
    return [start, bytes.length]
  }
  events.forEach(({ key, group, text, weight }, row) => {
    ;[batch.keyStart[row], batch.keyLength[row]] = put(key)
    batch.hash[row] = hashBytes(bytesOf(key), 0, bytesOf(key).length)
    batch.timeMs[row] = 1
    batch.mask[row] = 1
    batch.weight![row] = weight
    ;[group, text].forEach((entry, i) => {
      if (entry === '') {
        batch.texts[i]![row] = 0
        return
      }
      const id = batch.header[2 + i]!++
      ;[batch.entryStart[i]![id], batch.entryLength[i]![id]] = put(entry)
      batch.texts[i]![row] = id
    })
  })
  batch.header[0] = events.length
  batch.header[1] = used
  return batch
}

/** What counts must say, the slow way. */
class Model {
  readonly #events = new Map<string, number>()
  readonly #members = new Map<string, Map<string, number>>()

  apply({ key, group, text, weight }: Event): void {
    this.#events.set(group, (this.#events.get(group) ?? 0) + weight)
    this.#weigh(`${group}|key`, key, weight)
    if (text !== '') this.#weigh(`${group}|text`, text, weight)
  }

  values(): Record<string, number[]> {
    const different = (name: string) => [...(this.#members.get(name)?.values() ?? [])].filter((n) => n > 0).length
    const groups = [...this.#events].map(([group, n]) => [
      group,
      [n, different(`${group}|key`), different(`${group}|text`)],
    ])
    return Object.fromEntries(groups)
  }

  #weigh(name: string, member: string, weight: number): void {
    const counts = this.#members.get(name) ?? new Map<string, number>()
    this.#members.set(name, counts)
    counts.set(member, (counts.get(member) ?? 0) + weight)
  }
}

function valuesOf(tables: readonly ResultTable[]): Record<string, number[]> {
  const found: Record<string, number[]> = {}
  for (const table of tables) {
    table.visitOpen(-Infinity, Infinity, null, (_start, _end, key, _revision, _change, f64, at) => {
      const [group] = dimensionTexts(key, table.plan.dimensions.length)
      found[group!] = Array.from(f64.subarray(at, at + 3))
      return true
    })
  }
  return found
}

const event = fc.record({
  key: fc.constantFrom('a', 'b', 'c', 'd'),
  group: fc.constantFrom('x', 'y'),
  text: fc.constantFrom('', 'p', 'q', 'r'),
  weight: fc.constantFrom(1, 1, -1),
})
const accepted = new Uint8Array(ROWS_MAX)

describe('exact distincts', () => {
  it('are over the members that were given more often than taken back', () => {
    fc.assert(
      fc.property(fc.array(fc.array(event, { maxLength: 20 }), { maxLength: 6 }), (batches) => {
        const pool = new PagePool()
        const plan = tablePlan([0], accumulators, byGroup)
        const laidOut = layOutAccumulators(plan, nowhere, textAt, pool)
        const table = new ResultTable(plan, 0, laidOut, pool, membersOfEvents, [])
        const aggregator = new EventAggregator(plan, [0], laidOut, table.slices, false)
        const model = new Model()
        for (const events of batches) {
          aggregator.apply(fill(events), -Infinity, accepted, () => undefined)
          for (const one of events) model.apply(one)
        }
        expect(valuesOf([table])).toEqual(model.values())
      }),
    )
  })

  it('come to nothing where all is taken back, in any order', () => {
    fc.assert(
      fc.property(
        fc.array(event, { minLength: 1, maxLength: 30 }),
        fc.array(event, { maxLength: 30 }),
        fc.boolean(),
        (kept, gone, backFirst) => {
          const given = [...kept, ...gone].map((one) => ({ ...one, weight: 1 }))
          const back = gone.map((one) => ({ ...one, weight: -1 }))
          const cluster = new Cluster(1)
          cluster.apply(backFirst ? [...back, ...given] : [...given, ...back])
          const alone = new Cluster(1)
          alone.apply(kept.map((one) => ({ ...one, weight: 1 })))
          const left = Object.entries(cluster.values()).filter(([, [events]]) => events! > 0)
          expect(Object.fromEntries(left)).toEqual(alone.values())
        },
      ),
    )
  })

  it('do so over partials, however events are split, flushed and restored', () => {
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.record({ give: fc.array(event, { maxLength: 12 }) }) },
      { weight: 4, arbitrary: fc.record({ takeBack: fc.array(fc.nat(50), { maxLength: 8 }) }) },
      { weight: 1, arbitrary: fc.record({ restore: fc.integer({ min: 1, max: 3 }) }) },
    )
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3 }), fc.array(step, { maxLength: 25 }), (parallelism, steps) => {
        let cluster = new Cluster(parallelism)
        const model = new Model()
        const there: Event[] = []
        const apply = (events: readonly Event[]) => {
          for (const one of events) model.apply(one)
          cluster.apply(events)
        }
        for (const one of steps) {
          if ('give' in one) {
            const events = one.give.map((given) => ({ ...given, weight: 1 }))
            there.push(...events)
            apply(events)
          } else if ('takeBack' in one) {
            const back = one.takeBack.flatMap((pick) => there.splice(pick % Math.max(1, there.length), 1))
            apply(back.map((given) => ({ ...given, weight: -1 })))
          } else cluster = cluster.restore(one.restore)
        }
        expect(cluster.values()).toEqual(model.values())
      }),
      { numRuns: 300 },
    )
  })

  it('take back over partials what comes only later', () => {
    const cluster = new Cluster(2)
    const one = { key: 'a', group: 'x', text: 'p', weight: 1 }
    cluster.apply([{ ...one, weight: -1 }])
    expect(cluster.values()).toEqual({ x: [-1, 0, 0] })
    const restored = cluster.restore(1)
    restored.apply([one, { ...one, key: 'b' }])
    expect(restored.values()).toEqual({ x: [1, 1, 1] })
  })

  it('leave answers without events, and who follows changes hears of it', () => {
    const cluster = new Cluster(1)
    const [{ table }] = cluster.merges as [(typeof cluster.merges)[0]]
    const metric = {
      id: 'm',
      table: 0,
      predicate: 0,
      events: 0,
      read: { kind: 'value', of: 1 },
      integer: true,
    } as const
    const ask = (since: number) => {
      const query = { metric: 0, fromMs: -Infinity, toMs: Infinity, filter: [], sinceChange: [], rowsMax: 99 }
      const { count, values, events, change } = queryTable(table, metric, query, since, {
        ...{ operator: 'merge', subtask: 0, watermarkMs: 0 },
      })
      nextChange(table)
      return { told: Array.from({ length: count }, (_, i) => [values[i], events[i]]), change }
    }
    const one = { key: 'a', group: 'x', text: 'p', weight: 1 }
    cluster.apply([one])
    const { told, change } = ask(-1)
    expect(told).toEqual([[1, 1]])
    cluster.apply([{ ...one, weight: -1 }])
    expect(ask(-1).told).toEqual([])
    expect(ask(change).told).toEqual([[0, 0]])
    // Taken back before it comes: no answer has fewer than no events.
    cluster.apply([{ ...one, weight: -1 }])
    expect(ask(-1).told).toEqual([])
  })

  it.each([
    ['panes', { window: { kind: 'sliding', sizeMs: 4, slideMs: 2, offsetMs: 0, timezone: 'UTC', time: 'event' } }],
    ['weights of 1 only', { takesBack: false }],
    ['results by count', { trigger: { count: 2, purge: false } }],
  ] as const)('refuse in tables of %s', (_, change) => {
    const pool = new PagePool()
    const plan = tablePlan([0], accumulators, { ...byGroup, ...change })
    const table = new PartialTable(plan, 0, layOutAccumulators(plan, nowhere, textAt, pool), pool)
    const aggregator = new EventAggregator(plan, [0], table.accumulators, table.slices, true)
    const batch = fill([{ key: 'a', group: 'x', text: 'p', weight: 1 }])
    expect(() => aggregator.apply(batch, 0, accepted, () => undefined)).toThrow(/cannot take events back/)
  })

  it('refuse in sessions', () => {
    const pool = new PagePool()
    const window = { kind: 'session', gapMs: 10, timezone: 'UTC', time: 'event' } as const
    const plan = tablePlan([-1], accumulators, { ...byGroup, window })
    const table = new SessionTable(plan, 10, 0, layOutAccumulators(plan, nowhere, textAt, pool), pool, [])
    const batch = fill([{ key: 'a', group: 'x', text: 'p', weight: 1 }])
    const aggregator = new SessionAggregator(table, [-1])
    expect(() => aggregator.apply(batch, 0, accepted, () => undefined)).toThrow(/cannot take events back/)
  })
})

/** A table by group, whose keys are on so many subtasks, and its groups on as many others. */
class Cluster {
  readonly parallelism: number
  readonly plan = tablePlan([0], accumulators, byGroup)
  readonly windows
  readonly merges
  readonly #partials
  readonly #output: PartialOutput

  constructor(parallelism: number) {
    const { plan } = this
    this.parallelism = parallelism
    this.windows = Array.from({ length: parallelism }, () => {
      const pool = new PagePool()
      const table = new PartialTable(plan, 0, layOutAccumulators(plan, nowhere, textAt, pool), pool)
      return { table, aggregator: new EventAggregator(plan, [0], table.accumulators, table.slices, true) }
    })
    this.merges = Array.from({ length: parallelism }, () => {
      const pool = new PagePool()
      const laidOut = layOutAccumulators(plan, nowhere, nowhere, pool)
      const table = new ResultTable(plan, 0, laidOut, pool, membersOfPartials, [])
      return { table, merger: new PartialMerger([table], parallelism) }
    })
    this.#partials = recordingChannels(parallelism, 1, PARTIAL_BATCH_BYTES)
    this.#output = new PartialOutput(this.#partials.channels, KEY_GROUPS)
  }

  /** Each event to the subtask of its key, and what they gain to the merges. */
  apply(events: readonly Event[]): void {
    this.windows.forEach(({ table, aggregator }, i) => {
      const mine = events.filter(({ key }) => {
        const hash = hashBytes(bytesOf(key), 0, bytesOf(key).length)
        return subtaskOf(keyGroupOf(hash, KEY_GROUPS), KEY_GROUPS, this.parallelism) === i
      })
      aggregator.change = table.change
      aggregator.apply(fill(mine), -Infinity, accepted, () => undefined)
      while (!table.flush(this.#output) || !this.#output.flush()) this.#deliver()
      this.#deliver()
      nextChange(table)
    })
  }

  values(): Record<string, number[]> {
    return valuesOf(this.merges.map(({ table }) => table))
  }

  restore(parallelism: number): Cluster {
    const next = new Cluster(parallelism)
    for (const side of ['windows', 'merges'] as const) {
      const snapshots = this[side].map(({ table }) => snapshotOf([table]))
      next[side].forEach(({ table }, i) => {
        if (parallelism === this.parallelism) adopt(table, snapshots[i]!)
        else for (const snapshot of snapshots) takeOver(table, snapshot, i, parallelism)
        if ('markAllSent' in table) table.markAllSent()
      })
    }
    return next
  }

  #deliver(): void {
    for (const { receiver, message } of this.#partials.sent.splice(0)) {
      const { buffer, byteLength } = message as BatchMessage
      this.merges[receiver]!.merger.apply(buffer, byteLength)
      this.#partials.channels.onCredit(receiver, buffer)
    }
  }
}
