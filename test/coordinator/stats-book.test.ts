import { describe, expect, it } from 'vitest'
import { StatsBook } from '../../src/coordinator/stats-book.ts'
import type { SubtaskStats } from '../../src/runtime/messages.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { sourceStats } from './support/fake-stats.ts'
import { makePlan } from './support/world.ts'

const deploy = { type: 'deploy', job: 1, attempt: 1, plan: makePlan() } as never
const stats = (over: Partial<SubtaskStats>): SubtaskStats => ({ ...sourceStats(deploy, 0, 0, false), ...over })

describe('StatsBook', () => {
  it('gives the shares of the time between two polls', () => {
    const book = new StatsBook(new ManualClock())
    book.add([stats({ busyMs: 1000, idleMs: 9000 })])
    expect(book.of(1)[0]).toMatchObject({ busyRatio: 0, idleRatio: 0 })
    book.add([stats({ busyMs: 1300, idleMs: 9500, backPressuredMs: 200 })])
    expect(book.of(1)[0]).toMatchObject({ busyRatio: 0.3, idleRatio: 0.5, backPressuredRatio: 0.2 })
    book.add([stats({ busyMs: 1300, idleMs: 9500, backPressuredMs: 200 })])
    expect(book.of(1)[0]).toMatchObject({ busyRatio: 0, idleRatio: 0, backPressuredRatio: 0 })
  })

  it('keeps the newest attempt only, and what it last said after its end', () => {
    const book = new StatsBook(new ManualClock())
    book.add([stats({ attempt: 2, read: 5 })])
    book.add([stats({ attempt: 1, read: 9 })])
    expect(book.of(1).map((reading) => reading.stats.read)).toEqual([5])
    book.add([])
    expect(book.of(1)).toHaveLength(1)
    book.add([stats({ attempt: 3, subtask: 1 })])
    expect(book.of(1).map((reading) => reading.stats.subtask)).toEqual([1])
  })

  it('orders by operator and subtask, whatever thread answered first', () => {
    const book = new StatsBook(new ManualClock())
    book.add([stats({ subtask: 1 }), stats({ operator: 'window', subtask: 1 })])
    book.add([stats({ subtask: 0 }), stats({ operator: 'window', subtask: 0 })])
    expect(book.of(1).map(({ stats: one }) => `${one.operator} ${one.subtask}`)).toEqual([
      'events 0',
      'events 1',
      'window 0',
      'window 1',
    ])
  })

  it('keeps jobs apart and forgets one when told', () => {
    const book = new StatsBook(new ManualClock())
    book.add([stats({}), stats({ job: 2 })])
    book.remove(1)
    expect([book.of(1).length, book.of(2).length]).toEqual([0, 1])
  })
})
