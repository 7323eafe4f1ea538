/** The study of detectors: 100 incidents in made-up traffic, each detector calibrated on the weeks before. */
import { calibrate } from '../../src/alert/calibrate.ts'
import type { BaselineSpec, DetectorSpec } from '../../src/alert/detector-spec.ts'
import { replay } from '../../src/alert/monitor.ts'
import { median } from '../../src/alert/spread.ts'
import { HOUR_MS, incidentIn, type Shape, START_MS, type Trouble, traffic, WEEK_HOURS } from './traffic.ts'

export const shapes: readonly Shape[] = [
  { name: 'day and week', noise: 'poisson', mean: 300 },
  { name: 'trend', noise: 'poisson', mean: 200, growth: 0.05 },
  { name: 'low volume', noise: 'poisson', mean: 6 },
  { name: 'spikes', noise: 'poisson', mean: 100, spikes: 2 },
  { name: 'share', noise: 'binomial', mean: 60, share: 0.3 },
]

export const troubles: readonly Trouble[] = [
  { name: 'outage', factor: 0.05, hours: 4 },
  { name: 'half', factor: 0.5, hours: 12 },
  { name: 'double', factor: 2, hours: 12 },
  { name: 'slow leak', factor: 0.8, hours: 72 },
]

export const HISTORY_WEEKS = 8
export const TEST_WEEKS = 3
const WEEKS = HISTORY_WEEKS + TEST_WEEKS
const SERIES_A_SHAPE = 20
/** A false alarm in four weeks. */
export const budget = { episodes: 1, perMs: 4 * WEEK_HOURS * HOUR_MS }

const week: BaselineSpec = { kind: 'seasonalMedian', season: { period: 'week' }, levelHalfLife: WEEK_HOURS }

/** The detectors by name; thresholds are calibrated. */
export function detectorsFor({ noise }: Shape): ReadonlyMap<string, DetectorSpec> {
  const common = { noise, direction: 'both', minVolume: 5, threshold: 1 } as const
  return new Map<string, DetectorSpec>([
    ['threshold', { ...common, kind: 'threshold', lower: 0 }],
    ['ewma', { ...common, kind: 'ewma' }],
    ['seasonalMedian', { ...common, ...week }],
    ['holtWinters', { ...common, kind: 'holtWinters', season: { period: 'week' } }],
    ['cusum', { ...common, kind: 'cusum', baseline: noise === 'binomial' ? { kind: 'ewma', halfLife: 336 } : week }],
  ])
}

/** What came of one detector on one shape. */
export interface StudyRow {
  readonly detector: string
  readonly shape: string
  readonly incidents: number
  readonly found: number
  /** Hours from the incident's beginning to the end of the window that opened the episode, of those found. */
  readonly delays: number[]
  /** Episodes of the test weeks that are of no incident. */
  readonly falseAlarms: number
}

/** All rows: by detector, then shape. */
export function study(): StudyRow[] {
  const rows = shapes.flatMap(studyShape)
  const names = [...detectorsFor(shapes[0]!).keys()]
  return names.flatMap((name) => rows.filter((row) => row.detector === name))
}

function studyShape(shape: Shape, ofShape: number): StudyRow[] {
  const rows = new Map<string, { found: number; delays: number[]; falseAlarms: number }>()
  for (let series = 0; series < SERIES_A_SHAPE; series++) {
    const seed = 1000 * ofShape + series + 1
    const trouble = troubles[series % troubles.length]!
    const incident = incidentIn(trouble, (HISTORY_WEEKS + 1) * WEEK_HOURS, WEEKS * WEEK_HOURS - 24, seed)
    const windows = traffic(shape, WEEKS, seed, incident)
    const history = windows.slice(0, HISTORY_WEEKS * WEEK_HOURS)
    const testFromMs = history.at(-1)!.endMs
    const fromMs = START_MS + incident.fromHour * HOUR_MS
    const toMs = fromMs + incident.hours * HOUR_MS
    for (const [name, spec] of detectorsFor(shape)) {
      const rules = name === 'cusum' ? {} : { openAfter: 2 }
      const { spec: calibrated } = calibrate(spec, history, budget, { rules })
      const episodes = replay(calibrated, windows, rules).filter((e) => e.openedMs > testFromMs)
      const row = rows.get(name) ?? { found: 0, delays: [], falseAlarms: 0 }
      rows.set(name, row)
      const first = episodes.find((e) => e.openedMs > fromMs && e.openedMs <= toMs)
      if (first !== undefined) {
        row.found++
        row.delays.push((first.openedMs - fromMs) / HOUR_MS)
      }
      // What opens in the day after an incident is its echo: traffic has come back.
      row.falseAlarms += episodes.filter((e) => e.openedMs <= fromMs || e.openedMs > toMs + 24 * HOUR_MS).length
    }
  }
  return [...rows].map(([detector, row]) => ({ detector, shape: shape.name, incidents: SERIES_A_SHAPE, ...row }))
}

/** The rows as a table of Markdown, and what each detector comes to over all traffic. */
export function tableOf(rows: readonly StudyRow[]): string {
  const names = [...new Set(rows.map((row) => row.detector))]
  const totals = names.map((detector) => {
    const own = rows.filter((row) => row.detector === detector)
    const sum = (of: (row: StudyRow) => number): number => own.reduce((all, row) => all + of(row), 0)
    return {
      detector,
      shape: 'all',
      incidents: sum((row) => row.incidents),
      found: sum((row) => row.found),
      delays: own.flatMap((row) => row.delays),
      falseAlarms: sum((row) => row.falseAlarms),
    }
  })
  const lines = [...rows, ...totals].map(({ detector, shape, incidents, found, delays, falseAlarms }) => {
    const delay = delays.length === 0 ? '' : String(median([...delays]))
    return `| \`${detector}\` | ${shape} | ${found} of ${incidents} | ${delay} | ${falseAlarms} |`
  })
  return ['| Detector | Traffic | Found | Delay, h | False alarms |', '|---|---|---|---|---|', ...lines].join('\n')
}
