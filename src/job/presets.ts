/**
 * What the market's products mean by a metric, as defaults: `preset: ga4` and so on. What an author writes wins.
 *
 * Owns: one table, by product and kind of metric. Each entry says what that product does by default, and only that: a
 * product without an entry for a kind has no definition here, and asking for it is a mistake. docs/metrics.md names the
 * sources. Plain data; reading it is each kind's own (job/parse-metric.ts and its neighbours).
 */
import type { SlidingWindow, TumblingWindow } from './definition.ts'
import type { MappingReader } from './parse-reader.ts'
import type { SessionBounce } from './person/kinds.ts'
import { type PresetName, presetNames } from './preset-names.ts'

/** What active users are counted over. `now`: current users, of the last minutes. */
export type ActiveSpan = 'now' | 'day' | 'week' | 'month'

/** All of them. */
export const activeSpans: readonly ActiveSpan[] = ['now', 'day', 'week', 'month']

/** A window without its zone, which is the author's. */
export type PresetWindow =
  | Omit<TumblingWindow, 'timezone' | 'time' | 'kind'>
  | Omit<SlidingWindow, 'timezone' | 'time' | 'kind'>

/** What a product calls a session, and a bounce. Where it has no greatest duration, that of this system stays. */
export interface PresetSessions {
  readonly gapMs: number
  readonly maxDurationMs?: number
  readonly cutAtMidnight?: boolean
  readonly bounce: SessionBounce
}

/** What a product's definitions fill in, by kind of metric. */
export interface Preset {
  readonly activeUsers?: Readonly<Partial<Record<ActiveSpan, PresetWindow>>>
  readonly funnel?: { readonly withinMs: number }
  readonly sessions?: PresetSessions
}

const MINUTE = 60_000
const DAY = 86_400_000

/** Calendar periods as windows: day 0 was a Thursday, and weeks begin on Monday. */
export const calendarPeriods = {
  day: { sizeMs: DAY, offsetMs: 0 },
  week: { sizeMs: 7 * DAY, offsetMs: 4 * DAY },
  month: { sizeMs: 31 * DAY, offsetMs: 0, unit: 'month' },
} as const

function rolling(days: number): PresetWindow {
  return { sizeMs: days * DAY, slideMs: DAY, offsetMs: 0 }
}

function lastMinutes(minutes: number): PresetWindow {
  return { sizeMs: minutes * MINUTE, slideMs: MINUTE, offsetMs: 0 }
}

/** The table. */
export const presets: Readonly<Record<PresetName, Preset>> = {
  /** Rolling 7 and 28 days; realtime is the last 30 minutes. Google Analytics 4 help: active users, realtime, sessions. */
  ga4: {
    activeUsers: { now: lastMinutes(30), day: calendarPeriods.day, week: rolling(7), month: rolling(28) },
    sessions: { gapMs: 30 * MINUTE, bounce: 'ga4' },
  },
  /** Trailing 7 and 30 days, evaluated by day; two weeks to convert; sessions of a day at most. PostHog docs: trends, funnels, sessions. */
  posthog: {
    activeUsers: { day: calendarPeriods.day, week: rolling(7), month: rolling(30) },
    funnel: { withinMs: 14 * DAY },
    sessions: { gapMs: 30 * MINUTE, maxDurationMs: DAY, bounce: 'posthog' },
  },
  /** The calendar of the project's zone; monthly tracked users by calendar month. Amplitude docs: active users, MTU. */
  amplitude: { activeUsers: { day: calendarPeriods.day, month: calendarPeriods.month } },
  /** Current visitors loaded a page in the last 5 minutes. Plausible docs: metrics. */
  plausible: { activeUsers: { now: lastMinutes(5) }, sessions: { gapMs: 30 * MINUTE, bounce: 'plausible' } },
  /** A visit ends with its day. Matomo FAQ: how a visit is defined; matomo-org/matomo#7014. */
  matomo: { sessions: { gapMs: 30 * MINUTE, cutAtMidnight: true, bounce: 'matomo' } },
}

/** Defaults of a job that its metrics fall back to. */
export interface JobWideDefaults {
  /** IANA zone of windows that name none. */
  readonly timezone: string
  readonly preset: PresetName | null
}

/** A preset as a metric has it: named by itself, or by the job. */
export interface ChosenPreset {
  readonly name: PresetName
  /** The metric names it: then it must say something of its kind. */
  readonly own: boolean
}

/** Reads `preset` of a job or a metric; null for none. */
export function readPreset(reader: MappingReader): PresetName | null {
  const value = reader.raw('preset')
  if (value === undefined || value === '') return null
  const known = reader.problems.length
  const name = reader.choice('preset', presetNames, 'ga4')
  return reader.problems.length > known ? null : name
}

/** What the chosen preset says of a kind, if anything. */
export function presetFor<K extends keyof Preset>(
  chosen: ChosenPreset | null,
  kind: K,
): NonNullable<Preset[K]> | undefined {
  return chosen === null ? undefined : (presets[chosen.name][kind] as NonNullable<Preset[K]> | undefined)
}

/** The presets that say something of a kind. */
export function presetsOf(kind: string): readonly PresetName[] {
  return presetNames.filter((name) => presets[name][kind as keyof Preset] !== undefined)
}
