/**
 * Whether a definition makes sense: against the descriptor of its events, and in itself. All mistakes at once.
 *
 * Owns: rules that need more than one field, or the descriptor. Does not own: shape (job/parse.ts), places in the text
 * (its caller maps paths). Paths are those of the job document, not of the definition.
 */
import { nearestName } from '../core/suggest.ts'
import type { Descriptors } from '../event/descriptor.ts'
import type { FieldRef, FieldType } from '../event/schema.ts'
import { parseCel } from './cel.ts'
import { validateDedupe } from './dedupe.ts'
import type { JobDefinition, MetricDefinition, MetricKind } from './definition.ts'
import { EventScope } from './event-scope.ts'
import type { DocumentPath, DocumentProblem, Report } from './parse-reader.ts'
import { pathsFieldProblem } from './person/paths.ts'
import { conditionsOf, isPersonKind } from './person-definition.ts'
import { checkExpression } from './predicate.ts'
import { validateDetectors } from './validate-detector.ts'
import { validateEvent } from './validate-event.ts'
import { validateCurrencies, validateMoney } from './validate-money.ts'
import { validateOutputs } from './validate-output.ts'
import { validatePerson } from './validate-person.ts'
import { validateRatio } from './validate-ratio.ts'
import { validateWindow } from './validate-window.ts'
import { validateWeight } from './weight.ts'

/** Most metrics of a job. */
export const METRICS_MAX = 100
/** Most different `where` expressions of a job (one of them may be none): a bit each in a row's mask. */
export const WHERE_MAX = 31
/** Most dimensions of a metric. */
export const DIMENSIONS_MAX = 8

const numberTypes: ReadonlySet<FieldType> = new Set([
  'int32',
  'sint32',
  'uint32',
  'fixed32',
  'sfixed32',
  'int64',
  'sint64',
  'uint64',
  'fixed64',
  'sfixed64',
  'float',
  'double',
  'property',
])
/** Every mistake of sense in `definition`; none when it can be planned. */
export function validateJob(definition: JobDefinition, descriptors: Descriptors): readonly DocumentProblem[] {
  const problems: DocumentProblem[] = []
  const report = (path: DocumentPath, message: string, offset?: number) => {
    problems.push(offset === undefined ? { path, message } : { path, message, offset })
  }
  validateNames(definition, report)
  const scope = scopeOf(definition, descriptors, report)
  if (definition.metrics.length === 0)
    report(['metrics'], 'a job needs a metric, as metrics: [{ id: events, count: {}, window: { tumbling: 1m } }]')
  if (definition.metrics.length > METRICS_MAX)
    report(['metrics'], `a job has at most ${METRICS_MAX} metrics, not ${definition.metrics.length}`)
  const wheres = new Set(
    definition.metrics
      .slice(0, METRICS_MAX)
      .filter(({ kind }) => kind.kind !== 'ratio')
      .flatMap(conditionsOf)
      .map((all) => JSON.stringify(all)),
  )
  if (wheres.size > WHERE_MAX)
    report(
      ['metrics'],
      `a job has at most ${WHERE_MAX} different "where", steps of funnels included, not ${wheres.size}`,
    )
  // Beyond the limits nothing is looked at: the document may be hostile.
  definition.metrics.slice(0, METRICS_MAX).forEach((metric, i) => {
    const path = ['metrics', i]
    validateRatio(definition, metric, path, report)
    // Its windows and dimensions are those of its metrics, and judged there.
    if (metric.kind.kind === 'ratio') return
    validateWindow(metric, definition.event.key, path, report)
    validatePerson(metric, definition.event.key, path, report)
    validateFields(definition, metric, path, scope, report)
  })
  validateCurrencies(definition, report)
  const { event, dedupe, watermark, metrics } = definition
  validateDedupe(dedupe, watermark.outOfOrdernessMs, metrics.slice(0, METRICS_MAX), scope, report)
  validateWeight(event, metrics.slice(0, METRICS_MAX), scope, report)
  validateDetectors(definition, report)
  validateOutputs(definition, scope, report)
  return problems
}

/**
 * What fields are looked for in; null when nobody can tell. Where a message's name is mistyped and one is near, the rest
 * of the document is judged by that one: the next mistakes should not come only when this one is mended.
 */
function scopeOf(definition: JobDefinition, descriptors: Descriptors, report: Report): EventScope | null {
  const { event } = definition
  const scope = new EventScope(event, descriptors)
  if (validateEvent(event, scope, descriptors, report)) return scope
  const meant = event.types === undefined ? nearestName(event.message, descriptors.messageNames) : undefined
  if (meant === undefined) return null
  const nearest = { ...event, message: meant }
  const nearestScope = new EventScope(nearest, descriptors)
  return validateEvent(nearest, nearestScope, descriptors, report) ? nearestScope : null
}

function validateNames(definition: JobDefinition, report: Report): void {
  if (!/^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/.test(definition.name)) {
    report(['metadata', 'name'], `"${definition.name}" is no DNS label: lower-case letters, digits and "-", at most 63`)
  }
  const id = /^[a-z][a-z0-9_-]{0,62}$/
  const { source } = definition
  if (!id.test(source.id)) report(['sources', 0, 'id'], idMessage(source.id))
  else if (source.id === 'window' || source.id === 'merge')
    report(['sources', 0, 'id'], `"${source.id}" is the id of another operator of every job`)
  const seen = new Map<string, DocumentPath>()
  definition.metrics.forEach((metric, i) => {
    const path = ['metrics', i, 'id']
    if (!/^[a-z][a-z0-9_]{0,62}$/.test(metric.id))
      report(path, `"${metric.id}" must be lower-case snake_case, at most 63 characters`)
    else if (seen.has(metric.id)) report(path, `metric "${metric.id}" is defined twice`)
    seen.set(metric.id, path)
  })
  const sinks = new Set<string>()
  definition.sinks.forEach((sink, i) => {
    const path = ['sinks', i, 'id']
    if (!id.test(sink.id)) report(path, idMessage(sink.id))
    else if (sinks.has(sink.id) || sink.id === source.id) report(path, `id "${sink.id}" is taken`)
    sinks.add(sink.id)
  })
}

function idMessage(id: string): string {
  return `"${id}" must be lower-case letters, digits, "-" and "_", at most 63, and begin with a letter`
}

function validateFields(
  definition: JobDefinition,
  metric: MetricDefinition,
  path: DocumentPath,
  scope: EventScope | null,
  report: Report,
): void {
  for (const { at, text } of expressionsOf(metric, path)) {
    if (scope === null) {
      // What is wrong whatever the event is.
      const parsed = parseCel(text)
      if ('problem' in parsed) report(at, parsed.problem.message, parsed.problem.at)
    } else {
      const checked = checkExpression(text, scope)
      if ('problems' in checked) for (const p of checked.problems) report(at, p.message, p.at)
    }
  }
  if (scope === null) return
  if (metric.by.length > DIMENSIONS_MAX)
    report([...path, 'by'], `a metric has at most ${DIMENSIONS_MAX} dimensions, not ${metric.by.length}`)
  metric.by.slice(0, DIMENSIONS_MAX).forEach((dimension, i) => {
    const at = [...path, 'by', i]
    const resolved = scope.resolve(dimension)
    if (!resolved.ok) report(at, resolved.problem)
    else if (resolved.field.type === 'timestamp')
      report(at, `"${dimension}" is a time: windows divide time, not dimensions`)
    else if (resolved.field.type === 'bytes' && dimension !== definition.event.key)
      report(at, `"${dimension}" is bytes: a dimension is a text, a number, a boolean or an enum`)
    else if (metric.by.indexOf(dimension) < i) report(at, `dimension "${dimension}" is named twice`)
  })
  const { kind } = metric
  if (kind.kind === 'paths') {
    const wrong = pathsFieldProblem(scope.resolve(kind.field))
    if (wrong !== null) report([...path, 'paths', 'of'], wrong)
  }
  if (kind.kind === 'lifetimeValue')
    validateMoney('of', kind.field, kind.money, definition, scope, [...path, kind.kind], report)
  if (kind.kind === 'count' || kind.kind === 'activeUsers' || kind.kind === 'ratio' || isPersonKind(kind)) return
  // Persons: the event's key.
  if (kind.kind === 'approxDistinct' && kind.field === '') return
  const at = [...path, kind.kind, 'field']
  if ('money' in kind && kind.money !== undefined) {
    validateMoney('field', kind.field, kind.money, definition, scope, [...path, kind.kind], report)
    return
  }
  const resolved = scope.resolve(kind.field)
  if (!resolved.ok) report(at, resolved.problem)
  else {
    const wrong = fieldProblem(kind.kind, resolved.field)
    if (wrong !== null) report(at, wrong)
  }
}

/** Every CEL expression of a metric, with its place. */
function expressionsOf(
  { where, kind }: MetricDefinition,
  path: DocumentPath,
): readonly { readonly at: DocumentPath; readonly text: string }[] {
  const own = where === null ? [] : [{ at: [...path, 'where'], text: where }]
  if (kind.kind === 'retention') {
    const of = (name: 'start' | 'return') => {
      const text = kind[name]
      return text === null ? [] : [{ at: [...path, 'retention', name], text }]
    }
    return [...own, ...of('start'), ...of('return')]
  }
  if (kind.kind === 'lifetimeValue') {
    const texts = { cohort: kind.cohort, revenue: kind.revenue, refunds: kind.money.refunds }
    const of = Object.entries(texts).flatMap(([name, text]) =>
      text === null ? [] : [{ at: [...path, 'lifetimeValue', name], text }],
    )
    return [...own, ...of]
  }
  if (kind.kind === 'sessions') {
    const of = (['views', 'interactions'] as const).flatMap((name) => {
      const text = kind[name]
      return text === null ? [] : [{ at: [...path, 'sessions', name], text }]
    })
    return [...own, ...of]
  }
  if ('money' in kind && kind.money != null && kind.money.refunds !== null)
    return [...own, { at: [...path, kind.kind, 'refunds'], text: kind.money.refunds }]
  if (kind.kind !== 'funnel') return own
  const listed = (list: 'steps' | 'exclude') =>
    kind[list].map((one, i) => ({ at: [...path, 'funnel', list, i, 'where'], text: one.where }))
  return [...own, ...listed('steps'), ...listed('exclude')]
}

/** Kinds that take texts, or numbers, booleans and enums as texts. */
const textKinds: ReadonlySet<MetricKind['kind']> = new Set(['distinct', 'approxDistinct', 'topK'])
/** Kinds whose value may be an instant. */
const instantKinds: ReadonlySet<MetricKind['kind']> = new Set(['min', 'max', 'first', 'last'])

function fieldProblem(kind: MetricKind['kind'], field: FieldRef): string | null {
  const name = `"${field.path}" is ${field.type}`
  if (kind === 'first' || kind === 'last') {
    return field.type === 'bytes' ? `${kind} takes a text or a number; ${name}` : null
  }
  if (textKinds.has(kind)) {
    return field.type === 'bytes' && kind === 'topK' ? `${kind} takes what can be shown as a text; ${name}` : null
  }
  if (numberTypes.has(field.type) || (instantKinds.has(kind) && field.type === 'timestamp')) return null
  return `${kind} takes a number; ${name}${field.type === 'string' ? '; for its different values use distinct' : ''}`
}
