/**
 * The episodes of one series over its histories.
 *
 * Time is divided into histories of one length (watch-plan.ts). A window in history k is judged by a detector that has
 * learned from the beginning of history k - 1 on, under a threshold that history k - 1 has set. So a judgement depends on
 * the windows from there on and on nothing before; known are the episodes since the beginning of history k - 1, whose
 * windows depend on those since k - 2. Whoever has three histories of windows therefore has the same episodes as one who
 * has watched for years: nothing is to be remembered.
 *
 * Owns: the succession of detectors and thresholds, and what is known of episodes. Does not own: which windows there are
 * (watched-groups.ts). States are changed in place; `fork` copies one.
 */
import { type Calibration, calibrate } from './calibrate.ts'
import { Detector, type DetectorState, type Judgement, type Observation, thresholdOf } from './detector.ts'
import { type Episode, type EpisodeRules, type EpisodeState, follow, noEpisodes } from './episodes.ts'
import type { WatchPlan } from './watch-plan.ts'

/** An episode, and how often what it rests on was told: its windows and their corrections. */
export interface KnownEpisode {
  readonly episode: Episode
  readonly revision: number
  /** Under which it began. */
  readonly threshold: number
  /** It was going on when what is known begins. */
  readonly crossing: boolean
}

/** Episodes since some time. */
interface Run {
  state: EpisodeState
  /** Of the one that is pending or open. */
  revision: number
  threshold: number
  crossing: boolean
  /** Nothing has been judged yet. */
  isNew: boolean
  closed: KnownEpisode[]
}

/** A detector that judges. */
interface Judge {
  /** It was a learner before. */
  readonly succeeds: boolean
  readonly detector: Detector
  readonly state: DetectorState
  readonly calibration: Calibration | null
}

/** A detector that learns until it judges, and what its threshold will be set by. */
interface Learner {
  readonly state: DetectorState
  /** Start, end, value and volume of each window; `before` is shared and not changed. Both empty without a budget. */
  readonly before: readonly number[]
  readonly since: number[]
  /** What the last one came to whom it became, for copies that come to the same; shared by all copies. */
  readonly succession: Succession
}

/** A judge, the number of windows' numbers that were settled when it was made, and those behind them. */
interface Succession {
  judge: Judge | null
  settled: number
  rest: readonly number[]
}

/** Memory of one series. */
export interface SeriesState {
  /** Number of the history that the last window was in; null before the first one. */
  history: number | null
  judge: Judge | null
  learner: Learner | null
  /** Since the history before. */
  known: Run
  /** Since this one: what will be known in the next. */
  fresh: Run
  last: Judgement | null
}

/** What may be done for a series: see watched-groups.ts. */
export interface Admission {
  readonly judged: boolean
  readonly learned: boolean
}

/** A series of which nothing was seen. */
export function newSeries(): SeriesState {
  return { history: null, judge: null, learner: null, known: newRun(), fresh: newRun(), last: null }
}

/** Number of the history that a window is in. */
export function historyOf({ history }: WatchPlan, startMs: number): number {
  return Math.floor((startMs - history.fromMs) / history.lengthMs)
}

/** Whether a series has nothing to remember. */
export function isForgotten({ judge, learner, known, fresh }: SeriesState): boolean {
  const none = (run: Run): boolean => run.closed.length === 0 && run.state.episode === null
  return judge === null && learner === null && none(known) && none(fresh)
}

/**
 * Takes the next window. `revision` is how often its value was told; `empty`: the group had no events in it, which begins
 * no series. Returns what it cost, in windows: a threshold costs those of a history.
 */
export function take(
  plan: WatchPlan,
  series: SeriesState,
  window: Observation,
  revision: number,
  empty: boolean,
  admission: Admission,
): number {
  const cost = 1 + goTo(plan, series, historyOf(plan, window.startMs))
  if (series.learner === null && !empty && admission.learned) series.learner = newLearner(plan)
  if (series.learner !== null) learn(plan, series.learner, window)
  if (series.judge === null && !empty && admission.judged)
    series.judge = { succeeds: false, detector: plan.first, state: plan.first.start(), calibration: null }
  if (series.judge === null) {
    series.last = null
    return cost
  }
  const judgement = judge(series.judge.detector, series.judge.state, window)
  series.last = judgement
  followRun(plan.rules, series.known, judgement, revision, series.judge)
  followRun(plan.rules, series.fresh, judgement, revision, series.judge)
  return cost
}

/**
 * What is known of its episodes, by time: the open one last, without `closedMs`. One that went on when what is known begins
 * was known by its true beginning as long as it lasted; it is told from there on only if it lasted until this history.
 */
export function episodesOfSeries(plan: WatchPlan, { known, history }: SeriesState): KnownEpisode[] {
  const { phase, episode } = known.state
  const { revision, threshold, crossing, closed } = known
  const sinceMs = plan.history.fromMs + (history ?? 0) * plan.history.lengthMs
  const told = closed.filter((one) => !one.crossing || one.episode.closedMs! > sinceMs)
  const open = phase === 'open' || phase === 'recovering'
  return open ? [...told, { episode: episode!, revision, threshold, crossing }] : told
}

/** A copy that goes on by itself. */
export function fork({ judge, learner, known, fresh, ...rest }: SeriesState): SeriesState {
  return {
    ...rest,
    judge: judge === null ? null : { ...judge, state: structuredClone(judge.state) },
    learner: learner === null ? null : forkLearner(learner),
    known: forkRun(known),
    fresh: forkRun(fresh),
  }
}

/** Without the band, which costs more than the judgement. */
function judge(detector: Detector, state: DetectorState, window: Observation): Judgement {
  const standing = detector.standardise(state, window)
  return { ...standing, ...detector.decide(state.cusum, standing) }
}

function goTo(plan: WatchPlan, series: SeriesState, history: number): number {
  let cost = 0
  series.history ??= history
  // After two nothing is left of a series that has not gone on.
  for (let steps = 0; series.history < history && steps < 3; steps++) {
    series.history++
    cost += (series.learner?.since.length ?? 0) / 4
    series.judge = series.learner === null ? null : succeed(plan, series.learner)
    series.learner = null
    series.known = series.fresh
    series.fresh = newRun()
  }
  series.history = history
  return cost
}

function learn({ first, budget, excluded }: WatchPlan, { state, since }: Learner, seen: Observation): void {
  const isExcluded = excluded.some(({ fromMs, toMs }) => seen.startMs < toMs && seen.endMs > fromMs)
  const window = isExcluded ? { ...seen, value: Number.NaN, volume: 0 } : seen
  judge(first, state, window)
  if (budget !== null) since.push(window.startMs, window.endMs, window.value, window.volume)
}

function newLearner({ first }: WatchPlan): Learner {
  return { state: first.start(), before: [], since: [], succession: { judge: null, settled: 0, rest: [] } }
}

/** The learner as the judge of the next history. */
function succeed(plan: WatchPlan, learner: Learner): Judge {
  const { succession, before, since, state } = learner
  if (plan.budget === null) return { succeeds: true, detector: plan.first, state, calibration: null }
  const { judge, settled, rest } = succession
  const now = numbersOf(learner, settled)
  if (judge !== null && now.length === rest.length && now.every((number, i) => Object.is(number, rest[i])))
    return { ...judge, state: structuredClone(judge.state) }
  const made = calibrated(plan, learner)
  succession.settled = before.length === 0 ? since.length : before.length
  succession.rest = numbersOf(learner, succession.settled)
  succession.judge = { ...made, state: structuredClone(made.state) }
  return made
}

/** Numbers of the windows of a learner, from the one at `from` on. */
function numbersOf({ before, since }: Learner, from: number): number[] {
  return from < before.length ? [...before.slice(from), ...since] : since.slice(from - before.length)
}

function calibrated({ first, budget, rules }: WatchPlan, learner: Learner): Judge {
  const numbers = numbersOf(learner, 0)
  const windows: Observation[] = []
  for (let at = 0; at < numbers.length; at += 4) {
    const [startMs, endMs, value, volume] = numbers.slice(at, at + 4) as [number, number, number, number]
    windows.push({ startMs, endMs, value, volume, final: true })
  }
  const { state } = learner
  const calibration = calibrate(first.spec, windows, budget!, { rules })
  // Of nothing there is no middle around which bounds could be laid.
  if (first.spec.kind === 'threshold' && calibration.verdict === 'tooThin')
    return { succeeds: true, detector: first, state, calibration: { ...calibration, spec: first.spec } }
  const detector = new Detector(calibration.spec)
  if (first.spec.kind !== 'cusum') return { succeeds: true, detector, state, calibration }
  // A sum is held at the threshold, so it is another one under another.
  const summed = detector.start()
  for (const window of windows) judge(detector, summed, window)
  return { succeeds: true, detector, state: summed, calibration }
}

function newRun(): Run {
  return { state: noEpisodes(), revision: 0, threshold: 0, crossing: false, isNew: true, closed: [] }
}

function followRun(
  rules: EpisodeRules,
  run: Run,
  judgement: Judgement,
  revision: number,
  { detector, succeeds }: Judge,
): void {
  const before = run.state.episode
  if (before !== null) run.revision += revision
  for (const { type, episode } of follow(run.state, judgement, rules)) {
    const { revision: told, threshold, crossing } = run
    if (type === 'closed') run.closed.push({ episode, revision: told, threshold, crossing })
  }
  const { episode } = run.state
  if (episode === null || before === null || before.side !== episode.side) {
    run.revision = episode === null ? 0 : revision
    run.threshold = thresholdOf(detector.spec)
    run.crossing = episode !== null && run.isNew && succeeds
  }
  if (judgement.status === 'judged') run.isNew = false
}

function forkLearner({ state, before, since, succession }: Learner): Learner {
  const numbers = before.length === 0 ? since : [...before, ...since]
  return { state: structuredClone(state), before: numbers, since: [], succession }
}

function forkRun({ state, closed, ...rest }: Run): Run {
  return { ...rest, state: { ...state }, closed: [...closed] }
}
