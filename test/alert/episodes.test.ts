/** The life cycle of episodes: examples, and any sequence of windows against the rules said in other words. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Judgement } from '../../src/alert/detector.ts'
import { type Episode, type EpisodeEvent, type EpisodeRules, follow, noEpisodes } from '../../src/alert/episodes.ts'
import { windowAt } from './series.ts'
import { HOUR_MS, START_MS } from './traffic.ts'

/** `A` and `a`: anomalous, up and down; `.` quiet; `-` between; `?` not judged. */
type Mark = 'A' | 'a' | '.' | '-' | '?'

function judgementOf(mark: Mark, hour: number): Judgement {
  const anomalous = mark === 'A' || mark === 'a'
  const { final: _final, ...window } = windowAt(hour, hour)
  return {
    ...window,
    status: mark === '?' ? 'thin' : 'judged',
    expected: 0,
    scale: 1,
    z: 0,
    score: anomalous ? 5 + (hour % 3) : mark === '-' ? 3 : 0,
    side: mark === 'a' ? 'down' : anomalous ? 'up' : 'none',
    anomalous,
    quiet: mark === '.',
    sinceMs: window.startMs,
  }
}

function run(marks: readonly Mark[], rules?: EpisodeRules): EpisodeEvent[][] {
  const state = noEpisodes()
  return marks.map((mark, hour) => follow(state, judgementOf(mark, hour), rules))
}

const types = (events: readonly EpisodeEvent[][]): string =>
  events.map((list) => list.map((e) => e.type[0]).join('') || ' ').join('|')

const hourOf = (ms: number): number => (ms - START_MS) / HOUR_MS

describe('an episode', () => {
  it.each([
    ['..A..', {}, ' | |o|o|c'],
    ['.AA-A..', {}, ' |o|o|o|o|o|c'],
    ['.A.A..', {}, ' |o|o|o|o|c'],
    ['.A?.?.', {}, ' |o| |o| |c'],
    ['.A.A.AA..', { openAfter: 2 }, ' | | | | | |o|o|c'],
    ['.A-A.', { openAfter: 2 }, ' | | | | '],
    ['A...', { closeAfter: 3 }, 'o|o|o|c'],
    ['AAaa..', {}, 'o|o|co|o|o|c'],
    ['Aa.', { openAfter: 2 }, ' | | '],
  ] as const)('%s', (marks, rules, expected) => {
    expect(types(run([...marks] as Mark[], rules))).toBe(expected)
  })

  it('tells when it began, when it could be known, its height and its end', () => {
    const events = run([...'.AAA..'] as Mark[], { openAfter: 2 }).flat()
    const { episode } = events.at(-1)!
    expect({
      since: hourOf(episode.sinceMs),
      opened: hourOf(episode.openedMs),
      last: hourOf(episode.lastMs),
      closed: hourOf(episode.closedMs!),
      windows: episode.anomalousWindows,
      score: episode.score,
      peak: episode.peakValue,
    }).toEqual({ since: 1, opened: 3, last: 4, closed: 6, windows: 3, score: 7, peak: 2 })
  })
})

describe('any sequence of windows', () => {
  const mark = fc.constantFrom<Mark>('A', 'a', '.', '-', '?')
  const rules = fc.record({ openAfter: fc.integer({ min: 1, max: 4 }), closeAfter: fc.integer({ min: 1, max: 4 }) })

  it('opens after so many anomalies of one side in a row, closes after so many quiet windows', () => {
    fc.assert(
      fc.property(fc.array(mark, { maxLength: 60 }), rules, (marks, { openAfter, closeAfter }) => {
        const events = run(marks, { openAfter, closeAfter })
        let open: Episode | undefined
        for (const [hour, list] of events.entries()) {
          // What came before, up to this window, without windows that were not judged.
          const judged = marks.slice(0, hour + 1).filter((m) => m !== '?')
          for (const { type, episode } of list) {
            const side = episode.side === 'up' ? 'A' : 'a'
            if (type === 'opened') {
              expect(open).toBeUndefined()
              expect(judged.slice(-openAfter)).toEqual(Array(openAfter).fill(side))
              expect(hourOf(episode.openedMs)).toBe(hour + 1)
              open = episode
            } else {
              expect(open).toMatchObject({ side: episode.side, sinceMs: episode.sinceMs, openedMs: episode.openedMs })
            }
            if (type === 'closed') {
              const ended =
                judged.slice(-closeAfter).every((m) => m === '.') || judged.at(-1) === (side === 'A' ? 'a' : 'A')
              expect(ended).toBe(true)
              expect(hourOf(episode.closedMs!)).toBe(hour + 1)
              open = undefined
            }
          }
          const run = judged.slice(-openAfter)
          if (
            marks[hour] !== '?' &&
            run.length === openAfter &&
            (run.every((m) => m === 'A') || run.every((m) => m === 'a'))
          )
            expect(open).toBeDefined()
          if (marks[hour] === '.' && judged.length >= closeAfter && judged.slice(-closeAfter).every((m) => m === '.'))
            expect(open).toBeUndefined()
        }
      }),
      { numRuns: 500 },
    )
  })
})
