/**
 * The two incidents of the sample shop, found from the shares of ordinary steps alone: of carts that come to shipping,
 * of shippings that come to payment, of payments that become purchases. The names of the events that tell of the
 * incidents are read by the last test only, to see that the episodes are about them. Thresholds come from the days
 * before 9 April.
 *
 * The file is thin: a share is joined over windows until it has ten tries.
 */
import { describe, expect, it } from 'vitest'
import { type Calibration, calibrate } from '../../src/alert/calibrate.ts'
import type { Observation } from '../../src/alert/detector.ts'
import type { DetectorSpec } from '../../src/alert/detector-spec.ts'
import type { Episode } from '../../src/alert/episodes.ts'
import { replay } from '../../src/alert/monitor.ts'
import { readEcom } from '../support/ecom.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const FROM_MS = Date.UTC(2024, 0, 1)
const TO_MS = Date.UTC(2024, 6, 1)
const HISTORY_TO_MS = Date.UTC(2024, 3, 9)
const MIN_VOLUME = 10
const budget = { episodes: 1, perMs: 365 * DAY_MS }

const steps = [
  ['cart', 'shipping_details'],
  ['shipping_details', 'payment_details'],
  ['payment_details', 'purchase'],
] as const
type Step = (typeof steps)[number]

const ofStep: DetectorSpec = {
  kind: 'cusum',
  noise: 'binomial',
  direction: 'down',
  minVolume: MIN_VOLUME,
  pool: true,
  // For histories that are too thin to set one.
  threshold: 5,
  baseline: { kind: 'ewma', halfLife: Number.POSITIVE_INFINITY, warmUp: 5 },
}

const rows = readEcom()

/** Events of the second step by events of the first, window by window. */
function shares([from, to]: Step, sizeMs: number, platform?: string): Observation[] {
  const windows = (TO_MS - FROM_MS) / sizeMs
  const tries = new Float64Array(windows)
  const successes = new Float64Array(windows)
  for (const row of rows) {
    if (platform !== undefined && row.platform !== platform) continue
    const window = Math.floor((row.timestampMs - FROM_MS) / sizeMs)
    if (row.event === from) tries[window]!++
    if (row.event === to) successes[window]!++
  }
  return Array.from(tries, (volume, i) => ({
    startMs: FROM_MS + i * sizeMs,
    endMs: FROM_MS + (i + 1) * sizeMs,
    value: successes[i]! / volume,
    volume,
    final: true,
  }))
}

function judge(windows: readonly Observation[]): { calibration: Calibration; episodes: Episode[] } {
  const history = windows.filter((w) => w.endMs <= HISTORY_TO_MS)
  const calibration = calibrate(ofStep, history, budget)
  return { calibration, episodes: replay(calibration.spec, windows) }
}

const day = (ms: number): string => new Date(ms).toISOString().slice(0, 10)

function told({ sinceMs, openedMs, lastMs, closedMs }: Episode): Record<string, string> {
  return { since: day(sinceMs), opened: day(openedMs), last: day(lastMs), closed: closedMs ? day(closedMs) : 'open' }
}

describe('the incidents of the sample shop', () => {
  it.each([
    [
      'by the day',
      DAY_MS,
      { since: '2024-04-09', opened: '2024-04-15', last: '2024-05-05', closed: '2024-05-10' },
      { since: '2024-05-19', opened: '2024-05-21', last: '2024-06-09', closed: '2024-06-13' },
    ],
    [
      'by the hour',
      HOUR_MS,
      { since: '2024-04-09', opened: '2024-04-19', last: '2024-05-04', closed: '2024-05-07' },
      { since: '2024-05-18', opened: '2024-05-20', last: '2024-06-09', closed: '2024-06-12' },
    ],
  ] as const)('are the only episodes of half a year, %s', (_, sizeMs, checkoutBug, paymentIncident) => {
    const found = steps.map((step) => judge(shares(step, sizeMs)))
    for (const { calibration } of found) {
      expect(calibration.verdict).toBe('calibrated')
      expect(calibration.falseAlarms).toBe(0)
    }
    expect(found.map(({ episodes }) => episodes.map(told))).toEqual([[], [checkoutBug], [paymentIncident]])
  })

  it('are what the two telling events tell of', () => {
    const times = (event: string): number[] => rows.filter((r) => r.event === event).map((r) => r.timestampMs)
    const [, [bug] = [], [incident] = []] = steps.map((step) => judge(shares(step, DAY_MS)).episodes)
    for (const [episode, event] of [
      [bug!, 'checkout_bug'],
      [incident!, 'payment_error'],
    ] as const) {
      const first = Math.min(...times(event))
      const last = Math.max(...times(event))
      expect(episode.sinceMs).toBeLessThan(first)
      expect(first - episode.sinceMs).toBeLessThan(5 * DAY_MS)
      expect(episode.openedMs - first).toBeLessThan(3 * DAY_MS)
      expect(Math.abs(episode.lastMs - last)).toBeLessThan(5 * DAY_MS)
    }
  })
})

describe('where the sample shop is too thin for a share', () => {
  const enough = (windows: readonly Observation[]): string =>
    `${windows.filter((w) => w.volume >= MIN_VOLUME).length} of ${windows.length}`

  it('no hour has ten tries of any step, and few days', () => {
    const table = steps.map((step) => [enough(shares(step, HOUR_MS)), enough(shares(step, DAY_MS))])
    expect(table).toEqual([
      ['0 of 4368', '56 of 182'],
      ['0 of 4368', '40 of 182'],
      ['0 of 4368', '16 of 182'],
    ])
  })

  it('of one platform the weeks before the incidents are too few to set a threshold', () => {
    const verdicts = ['mobile', 'desktop', 'tablet'].map((platform) =>
      steps.map((step) => {
        const { verdict, judgedWindows } = judge(shares(step, DAY_MS, platform)).calibration
        return `${verdict} ${judgedWindows}`
      }),
    )
    expect(verdicts).toEqual([
      ['tooThin 2', 'tooThin 0', 'tooThin 0'],
      ['calibrated 8', 'tooThin 6', 'tooThin 3'],
      ['tooThin 0', 'tooThin 0', 'tooThin 0'],
    ])
  })

  it('what its history can promise is far from the budget, and said', () => {
    const { calibration } = judge(shares(steps[1], DAY_MS))
    expect(calibration.ratePerPeriodMax).toBeGreaterThan(10 * budget.episodes)
  })
})
