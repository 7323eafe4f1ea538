/**
 * Metrics and their values: domain types (query/api.ts) to wire messages and back. Pure. What is asked of them is in
 * rpc/selection-messages.ts.
 */
import { type Dimension, type MetricValue as MetricValueMessage, ValueStatus } from '../gen/millrace/v1/metric.ts'
import type { MetricDescription } from '../gen/millrace/v1/query.ts'
import type { MetricKind, WindowDefinition } from '../job/definition.ts'
import { type MoneyDefinition, moneyOf, shownMoney } from '../job/money-definition.ts'
import {
  type LifetimeValueKind,
  lifetimeValueMeasures,
  type PathsKind,
  type RetentionKind,
  retentionMeasures,
  type SessionsKind,
  sessionBounces,
  sessionMeasures,
  stickinessIntervals,
} from '../job/person/kinds.ts'
import { type FunnelKind, funnelMeasures } from '../job/person-definition.ts'
import { boundsOf, statedError } from '../job/sketch-limits.ts'
import { describeWindow, windowOffsetMs, windowSizeMs, windowStepMs } from '../job/window-text.ts'
import {
  isAdditive,
  type MetricInfo,
  type MetricResult,
  type MetricValue,
  type ValueStatus as Status,
} from '../query/metric-info.ts'
import { fromTimestamp, toTimestamp } from './instants.ts'

/** A metric's description for the wire. */
export function toDescription(info: MetricInfo): MetricDescription {
  return {
    job: info.job,
    metric: info.metric,
    description: info.description,
    kind: info.kind.kind,
    preset: info.preset ?? '',
    field: 'field' in info.kind ? info.kind.field : '',
    where: info.where,
    dimensions: [...info.dimensions],
    window: describeWindow(info.window),
    windowKind: info.window.kind,
    windowSizeMs: windowSizeMs(info.window),
    windowStepMs: windowStepMs(info.window),
    windowOffsetMs: windowOffsetMs(info.window),
    timezone: info.window.timezone,
    processingTime: info.window.time === 'processing',
    integer: info.integer,
    maxGroups: info.maxGroups ?? 0,
    additive: isAdditive(info),
    error: statedError(info.kind),
    q: info.kind.kind === 'quantile' ? info.kind.q : 0,
    k: info.kind.kind === 'topK' ? info.kind.k : 0,
    sample: 'sample' in info.kind && info.kind.sample,
    bounds: [...boundsOf(info.kind)],
    measure: 'measure' in info.kind ? info.kind.measure : (moneyOf(info.kind)?.measure ?? ''),
    currency: shownMoney(info.kind)?.in ?? '',
    decimals: moneyOf(info.kind)?.decimals ?? 0,
    exactUpTo: 'exactUpTo' in info.kind ? (info.kind.exactUpTo ?? 0) : 0,
    ages: info.kind.kind === 'lifetimeValue' ? info.kind.ages : 0,
    windowUnit: info.window.kind === 'tumbling' ? (info.window.unit ?? '') : '',
    ...toPeriods(info.kind),
    ...toSessions(info.kind),
    steps: info.kind.kind === 'paths' ? info.kind.steps : 0,
    collapse: info.kind.kind === 'paths' && info.kind.collapse,
    ratioOf: info.kind.kind === 'ratio' ? info.kind.of : '',
    ratioTo: info.kind.kind === 'ratio' ? info.kind.to : '',
    ratioScale: info.kind.kind === 'ratio' ? info.kind.scale : 0,
  }
}

/** What retentions and stickinesses have beside their measure. */
function toPeriods(
  kind: MetricKind,
): Pick<MetricDescription, 'periods' | 'retentionMode' | 'cohort' | 'clock' | 'interval'> {
  const none = { periods: 0, retentionMode: '', cohort: '', clock: '', interval: '' }
  if (kind.kind === 'stickiness') return { ...none, interval: kind.interval }
  if (kind.kind !== 'retention') return none
  return { ...none, periods: kind.periods, retentionMode: kind.mode, cohort: kind.cohort, clock: kind.clock }
}

/** What sessions are, and those of paths, beside their measure. */
function toSessions(
  kind: MetricKind,
): Pick<MetricDescription, 'gapMs' | 'maxDurationMs' | 'cutAtMidnight' | 'engagedAfterMs' | 'bounce'> {
  const none = { gapMs: 0, maxDurationMs: 0, cutAtMidnight: false, engagedAfterMs: 0, bounce: '' }
  if (kind.kind === 'paths') return { ...none, gapMs: kind.gapMs, maxDurationMs: kind.maxDurationMs }
  if (kind.kind !== 'sessions') return none
  const { gapMs, maxDurationMs, cutAtMidnight, engagedAfterMs, bounce } = kind
  return { gapMs, maxDurationMs, cutAtMidnight, engagedAfterMs, bounce }
}

/** A metric's description from the wire. */
export function fromDescription(message: MetricDescription): MetricInfo {
  return {
    job: message.job,
    metric: message.metric,
    description: message.description,
    kind: fromKind(message),
    ...(message.preset === '' ? {} : { preset: message.preset }),
    where: message.where,
    dimensions: message.dimensions,
    window: fromWindow(message),
    integer: message.integer,
    ...(message.maxGroups === 0 ? {} : { maxGroups: message.maxGroups }),
  }
}

function fromWindow(message: MetricDescription): WindowDefinition {
  const { windowSizeMs: sizeMs, windowStepMs: stepMs, windowOffsetMs: offsetMs, timezone } = message
  const time = message.processingTime ? 'processing' : 'event'
  const calendar = { offsetMs, timezone, time } as const
  switch (message.windowKind) {
    case 'sliding':
      return { kind: 'sliding', sizeMs, slideMs: stepMs, ...calendar }
    case 'cumulate':
      return { kind: 'cumulate', sizeMs, stepMs, ...calendar }
    case 'session':
      return { kind: 'session', gapMs: stepMs, timezone, time }
    case 'global':
      return { kind: 'global', timezone, time }
    default:
      return { kind: 'tumbling', sizeMs, ...calendar, ...(message.windowUnit === 'month' ? { unit: 'month' } : {}) }
  }
}

function fromKind(message: MetricDescription): MetricKind {
  const { kind, field, error, q, k, sample, bounds, measure } = message
  switch (kind) {
    case 'sum':
    case 'min':
    case 'max':
    case 'avg':
      return { kind, field, ...fromMoney(message) }
    case 'distinct':
    case 'first':
    case 'last':
      return { kind, field }
    case 'activeUsers':
      return { kind, ...(message.exactUpTo === 0 ? {} : { exactUpTo: message.exactUpTo, error }) }
    case 'approxDistinct':
      return { kind, field, error, ...(message.exactUpTo === 0 ? {} : { exactUpTo: message.exactUpTo }) }
    case 'quantile':
      return { kind, field, q, error, ...fromMoney(message) }
    case 'topK':
      return { kind, field, k }
    case 'variance':
    case 'stddev':
      return { kind, field, sample }
    case 'histogram':
      return { kind, field, bounds }
    case 'funnel':
      return { ...funnelOfUnknown, bucketsMs: bounds, measure: funnelMeasures.find((m) => m === measure) ?? 'persons' }
    case 'lifecycle':
      return { kind, lookbackMs: 0 }
    case 'retention':
      return retentionOf(message)
    case 'ratio':
      return { kind, of: message.ratioOf, to: message.ratioTo, scale: message.ratioScale, queriesOnly: false }
    case 'lifetimeValue':
      return lifetimeValueOf(message)
    case 'sessions':
      return sessionsOf(message)
    case 'paths':
      return pathsOf(message)
    case 'stickiness':
      return { kind, interval: stickinessIntervals.find((interval) => interval === message.interval) ?? 'day' }
    default:
      return { kind: 'count' }
  }
}

/** Of money, a description says what values are, and not what they are made of. */
function fromMoney({ currency, decimals, measure }: MetricDescription): { money?: MoneyDefinition } {
  if (currency === '' && measure !== 'unconverted') return {}
  const unknown = { currency: '', minorUnits: false, refunds: null }
  return { money: { ...unknown, in: currency, decimals, measure: measure === 'unconverted' ? measure : 'amount' } }
}

/** A description says what is measured, and not by which steps. */
const funnelOfUnknown: Omit<FunnelKind, 'bucketsMs' | 'measure'> = {
  ...({ kind: 'funnel', steps: [], withinMs: 0, order: 'sequential', exclude: [] } as const),
  ...({ attribution: 'first', attributionStep: 0 } as const),
}

function retentionOf({ periods, retentionMode, cohort, clock, measure }: MetricDescription): RetentionKind {
  return {
    ...({ kind: 'retention', start: null, return: null, periods, lookbackMs: 0 } as const),
    mode: retentionMode === 'onOrAfter' ? retentionMode : 'on',
    cohort: cohort === 'recurring' ? cohort : 'first',
    clock: clock === 'elapsed' ? clock : 'calendar',
    measure: retentionMeasures.find((known) => known === measure) ?? 'persons',
  }
}

function lifetimeValueOf(message: MetricDescription): LifetimeValueKind {
  const money = { currency: '', in: message.currency, minorUnits: false, decimals: message.decimals, refunds: null }
  return {
    ...({ kind: 'lifetimeValue', field: message.field, cohort: null, revenue: null, lookbackMs: 0 } as const),
    money: { ...money, measure: 'amount' },
    ages: message.ages,
    measure: lifetimeValueMeasures.find((known) => known === message.measure) ?? 'value',
  }
}

function pathsOf({ field, gapMs, maxDurationMs, steps, collapse }: MetricDescription): PathsKind {
  return { kind: 'paths', field, gapMs, maxDurationMs, steps, collapse }
}

function sessionsOf(message: MetricDescription): SessionsKind {
  const { gapMs, maxDurationMs, cutAtMidnight, engagedAfterMs, bounce, bounds, measure } = message
  return {
    ...({ kind: 'sessions', views: null, interactions: null, bucketsMs: bounds } as const),
    ...{ gapMs, maxDurationMs, cutAtMidnight, engagedAfterMs },
    bounce: sessionBounces.find((known) => known === bounce) ?? 'ga4',
    measure: sessionMeasures.find((known) => known === measure) ?? 'count',
  }
}

/** How settled values are, for the wire. */
export const statusToWire = {
  provisional: ValueStatus.VALUE_STATUS_PROVISIONAL,
  final: ValueStatus.VALUE_STATUS_FINAL,
  corrected: ValueStatus.VALUE_STATUS_CORRECTED,
} as const satisfies Record<Status, ValueStatus>

/** The values of a result for the wire. `only` picks some of them. */
export function toValues(result: MetricResult, only: readonly MetricValue[] = result.values): MetricValueMessage[] {
  return only.map((value) => ({
    retraction: false,
    job: result.info.job,
    metric: result.info.metric,
    dimensions: result.dimensions.map((name, index) => ({ name, value: value.dimensions[index] ?? '' })),
    windowStart: toTimestamp(value.windowStartMs),
    windowEnd: toTimestamp(value.windowEndMs),
    ...(Number.isNaN(value.value)
      ? {}
      : {
          value:
            result.info.integer && Number.isSafeInteger(value.value)
              ? { $case: 'intValue' as const, value: value.value }
              : { $case: 'doubleValue' as const, value: value.value },
        }),
    items: value.detail?.items.map((item) => ({ ...item })) ?? [],
    ...(value.detail?.text == null ? {} : { text: value.detail.text }),
    ...(value.detail?.error === undefined ? {} : { error: value.detail.error }),
    status: statusToWire[value.status],
    revision: value.revision,
    watermark: toTimestamp(value.watermarkMs),
    lateCount: value.lateCount,
    eventCount: value.eventCount,
    attempt: value.attempt,
    immature: value.immature === true,
    otherGroups: value.otherGroups ?? 0,
  }))
}

function fromDetail({ items, text, error }: MetricValueMessage): Pick<MetricValue, 'detail'> {
  if (items.length === 0 && text === undefined && error === undefined) return {}
  return { detail: { items, text: text ?? null, ...(error === undefined ? {} : { error }) } }
}

/** One value from the wire. */
export function fromValue(message: MetricValueMessage): MetricValue {
  return {
    dimensions: message.dimensions.map((dimension: Dimension) => dimension.value),
    // The end of the global window is the last instant itself, which in a watermark stands for the end of time.
    windowStartMs: message.windowStart?.getTime() ?? Number.NaN,
    windowEndMs: message.windowEnd?.getTime() ?? Number.NaN,
    value: message.value?.value ?? Number.NaN,
    ...fromDetail(message),
    status: fromStatus(message.status),
    revision: message.revision,
    watermarkMs: fromTimestamp(message.watermark),
    lateCount: message.lateCount,
    eventCount: message.eventCount,
    attempt: message.attempt,
    ...(message.immature ? { immature: true } : {}),
    ...(message.otherGroups === 0 ? {} : { otherGroups: message.otherGroups }),
  }
}

/** How settled a value is. */
export function fromStatus(status: ValueStatus): Status {
  if (status === ValueStatus.VALUE_STATUS_FINAL) return 'final'
  if (status === ValueStatus.VALUE_STATUS_CORRECTED) return 'corrected'
  return 'provisional'
}
