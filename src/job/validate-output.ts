/** Whether the outputs of a definition make sense: names, formats, what may be retracted. Paths as in job/validate.ts. */
import type { JobDefinition, MetricDefinition, RecordOutput, SinkDefinition, SinkOutput } from './definition.ts'
import { neverGiven } from './delivery.ts'
import type { EventScope } from './event-scope.ts'
import type { DocumentPath, Report } from './parse-reader.ts'

/** The table in which PostgreSQL sinks keep how far they are. */
const RESERVED_TABLE = 'millrace_outbox'

/** Notes every mistake in sinks, dead letters and late events; `scope` is null when fields cannot be looked up. */
export function validateOutputs(definition: JobDefinition, scope: EventScope | null, report: Report): void {
  const { source } = definition
  const outputs: [DocumentPath, SinkOutput][] = definition.sinks.map((sink, i) => [['sinks', i], sink.output])
  for (const side of ['deadLetters', 'late'] as const) {
    const output = definition[side]?.output
    if (output !== undefined) outputs.push([[side], output])
  }
  const { episodes } = definition
  if (episodes !== undefined) {
    outputs.push([['episodes'], episodes])
    if (definition.detectors === undefined)
      report(['episodes'], 'needs detectors: there is nothing that would find any')
  }
  for (const [path, output] of outputs) {
    if (output.kind === 'discard') continue
    validateOutput(output, [...path, output.kind], report)
    if (readsWhatItWrites(source.input, output))
      report([...path, output.kind, 'topic'], 'is the topic that the job reads: its results would come back as events')
  }
  const never = neverGiven(definition)
  if (never !== '') report(['checkpoint', 'every'], never)
  definition.sinks.forEach((sink, i) => {
    validateForm(sink, ['sinks', i], report)
    if (sink.corrections === 'retract') validateRetractions(definition, ['sinks', i, 'corrections'], scope, report)
  })
  if (source.input.kind === 'kafka' && !isTopic(source.input.topic)) {
    report(['sources', 0, 'kafka', 'topic'], topicMessage(source.input.topic))
  }
}

function validateOutput(output: RecordOutput, path: DocumentPath, report: Report): void {
  switch (output.kind) {
    case 'kafka':
      if (!isTopic(output.topic)) report([...path, 'topic'], topicMessage(output.topic))
      return
    case 'log':
      return
    case 'redis':
      if (!/^[A-Za-z0-9._:-]{1,64}$/.test(output.prefix))
        report(
          [...path, 'prefix'],
          `"${output.prefix}" is no prefix of keys: 1 to 64 letters, digits, ".", "_", ":" and "-"`,
        )
      if (output.stream !== '' && !/^[A-Za-z][A-Za-z0-9_-]{0,62}$/.test(output.stream))
        report(
          [...path, 'stream'],
          `"${output.stream}" is no name of a stream: letters, digits, "_" and "-", at most 63`,
        )
      if (output.stream !== '' && output.ttlMs > 0) report([...path, 'ttl'], 'is for rows; a stream has none')
      return
    case 'postgres': {
      const name = /^([A-Za-z_][A-Za-z0-9_]{0,62}\.)?([A-Za-z_][A-Za-z0-9_]{0,62})$/.exec(output.table)
      if (name === null)
        report([...path, 'table'], `"${output.table}" is no name of a table: write name or schema.name`)
      else if (name[2] === RESERVED_TABLE)
        report([...path, 'table'], `"${output.table}" is where sinks keep how far they are`)
      return
    }
    case 'http': {
      const problem = urlProblem(output.url)
      if (problem !== null) report([...path, 'url'], problem)
      return
    }
  }
}

function urlProblem(text: string): string | null {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) return 'must be an http:// or https:// URL'
  if (url.username !== '' || url.password !== '')
    return 'holds a user or a password: definitions are shown to whoever may look. The server sends a token, if it has one for the host'
  return url.hash === '' ? null : 'has a fragment, which no server gets'
}

function validateForm({ output, format, corrections }: SinkDefinition, path: DocumentPath, report: Report): void {
  const { kind } = output
  if (format !== undefined && kind !== 'kafka' && kind !== 'log') {
    const form = kind === 'http' || (kind === 'redis' && output.stream !== '') ? 'JSON' : 'rows'
    if (kind !== 'discard') report([...path, 'format'], `is for kafka and log; ${kind} always takes ${form}`)
  }
  if (corrections === 'retract' && (kind === 'postgres' || (kind === 'redis' && output.stream === '')))
    report([...path, 'corrections'], `a row of ${kind} is replaced by its correction: leave it at upsert`)
}

/** What keeps the value that was given out last from being known. */
function validateRetractions(
  definition: JobDefinition,
  path: DocumentPath,
  scope: EventScope | null,
  report: Report,
): void {
  for (const metric of definition.metrics) {
    const why = unretractable(metric, scope)
    if (why !== null) report(path, `retract is not possible with metric "${metric.id}": ${why}. Use upsert`)
  }
}

function unretractable(
  { kind, window, earlyMs, trigger, allowedLatenessMs }: MetricDefinition,
  scope: EventScope | null,
): string | null {
  if (earlyMs > 0) return 'of its early results the last one is not kept'
  if (window.kind === 'global' && trigger?.purge !== true) return 'of a running value the last one is not kept'
  if (window.kind === 'session' && allowedLatenessMs > 0) return 'late events merge its sessions'
  if (kind.kind === 'approxDistinct' || kind.kind === 'quantile' || kind.kind === 'topK')
    return `${kind.kind} is a sketch, of which the state before a late event is not kept`
  if ('exactUpTo' in kind)
    return `${kind.kind} with exactUpTo is a sketch, of which the state before a late event is not kept`
  if (kind.kind === 'first' || kind.kind === 'last') {
    const resolved = scope?.resolve(kind.field)
    const isText =
      resolved?.ok === true && ['string', 'bytes', 'bool', 'enum', 'property'].includes(resolved.field.type)
    if (isText) return `the ${kind.kind} of a text is not kept from before a late event`
  }
  return null
}

function isTopic(name: string): boolean {
  return /^[A-Za-z0-9._-]{1,249}$/.test(name)
}

function topicMessage(topic: string): string {
  return `"${topic}" is no topic name: letters, digits, ".", "_" and "-", at most 249`
}

function readsWhatItWrites(input: JobDefinition['source']['input'], output: SinkOutput): boolean {
  if (input.kind === 'kafka' && output.kind === 'kafka') {
    return (
      input.topic === output.topic &&
      (input.brokers === output.brokers || input.brokers === '' || output.brokers === '')
    )
  }
  return input.kind === 'log' && output.kind === 'log' && input.topic === output.topic && input.path === output.path
}
