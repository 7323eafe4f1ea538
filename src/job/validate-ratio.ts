/** Whether ratios make sense: their metrics, windows that end together, dimensions, and where results go. */
import { didYouMean } from '../core/suggest.ts'
import type { JobDefinition, MetricDefinition, WindowDefinition } from './definition.ts'
import { formatDuration } from './duration.ts'
import type { DocumentPath, Report } from './parse-reader.ts'
import { dimensionsOf } from './person-definition.ts'
import { sharesTable } from './ratio.ts'
import type { RatioKind } from './ratio-kind.ts'
import { describeWindow } from './window-text.ts'

const DAY_MS = 86_400_000

/** Tells every mistake of a ratio. */
export function validateRatio(job: JobDefinition, metric: MetricDefinition, path: DocumentPath, report: Report): void {
  if (metric.kind.kind !== 'ratio') return
  const { kind } = metric
  const at = (key: keyof RatioKind): DocumentPath => [...path, 'ratio', key]
  const [of, to] = (['of', 'to'] as const).map((side) => {
    const found = job.metrics.find(({ id }) => id === kind[side])
    const problem = found === undefined ? missing(job, kind[side]) : sideProblem(found)
    if (problem !== null) report(at(side), problem)
    return problem === null ? found : undefined
  })
  if (of === undefined || to === undefined) return
  if (of === to) report(at('to'), 'is the metric above the line: their ratio is always 1')
  const apart = endsApart(of.window, to.window)
  if (apart !== null)
    report(at('to'), `"${to.id}" (${describeWindow(to.window)}) and "${of.id}" (${describeWindow(of.window)}) ${apart}`)
  const more = dimensionsOf(to).filter((name) => !dimensionsOf(of).includes(name))
  if (more.length > 0)
    report(
      at('to'),
      `"${to.id}" is by ${more.join(', ')}, which "${of.id}" is not: a value of "${of.id}" would have several below it`,
    )
  if (of.retainMs < to.retainMs)
    report(
      at('of'),
      `"${of.id}" is kept for ${formatDuration(of.retainMs)} and "${to.id}" for ${formatDuration(to.retainMs)}: older ` +
        'values would be told as 0. Give both the same retain',
    )
  if (!sharesTable(of, to) && job.sinks.length > 0 && !kind.queriesOnly)
    report(
      at('queriesOnly'),
      `"${of.id}" and "${to.id}" are of different tables, so their ratio is put together when it is asked for, and sinks ` +
        'are not given it: say queriesOnly: true, or give both the same windows, dimensions, lateness, retain and early',
    )
}

function missing(job: JobDefinition, id: string): string {
  const names = job.metrics.filter(({ kind }) => kind.kind !== 'ratio').map((metric) => metric.id)
  return `there is no metric "${id}" in this job${didYouMean(id, names)}`
}

/** What keeps a metric from being a side of a ratio; null for nothing. */
function sideProblem({ id, kind, window, trigger }: MetricDefinition): string | null {
  if (kind.kind === 'ratio') return `"${id}" is a ratio itself: name the metrics that it is of`
  const lists = kind.kind === 'topK' || kind.kind === 'histogram'
  if (lists || ('measure' in kind && ['convertTimes', 'durations'].includes(kind.measure)))
    return `"${id}" is a list (${kind.kind}), and a ratio is of numbers`
  if (window.kind === 'session') return `"${id}" has sessions, which have no end in common with other windows`
  if (trigger !== null) return `"${id}" has a trigger, so its values are of no stretch of time`
  return null
}

/** Why not every window of `of` ends together with one of `to`; null where each does. */
function endsApart(of: WindowDefinition, to: WindowDefinition): string | null {
  if (of.kind === 'global' || to.kind === 'global')
    return of.kind === to.kind ? null : 'do not end together: one is of all time'
  if (of.time !== to.time) return 'count time by different clocks'
  const [above, below] = [endsOf(of), endsOf(to)]
  if (above === null || below === null) return 'do not end together'
  if (of.timezone !== to.timezone) return `end in different time zones, ${of.timezone} and ${to.timezone}`
  const fits =
    below.everyMs === 'month'
      ? above.everyMs === 'month'
      : above.everyMs === 'month'
        ? DAY_MS % below.everyMs === 0 && below.shiftMs % below.everyMs === 0
        : above.everyMs % below.everyMs === 0 && (above.shiftMs - below.shiftMs) % below.everyMs === 0
  return fits ? null : 'do not end together: each window above the line needs one below it that ends when it does'
}

/** When windows end: every so often, from a shift on. */
function endsOf(window: WindowDefinition): { readonly everyMs: number | 'month'; readonly shiftMs: number } | null {
  switch (window.kind) {
    case 'tumbling':
      return { everyMs: window.unit ?? window.sizeMs, shiftMs: window.offsetMs }
    case 'sliding':
      return { everyMs: window.slideMs, shiftMs: window.offsetMs + window.sizeMs }
    case 'cumulate':
      return { everyMs: window.stepMs, shiftMs: window.offsetMs }
    default:
      return null
  }
}
