/** Fills in what a job definition leaves to its server: the brokers of sources and sinks that name none. */
import { MillraceError } from '../core/errors.ts'
import type { JobDefinition, SideOutputDefinition, SinkOutput, SourceDefinition, SourceInput } from './definition.ts'

/**
 * The definition with brokers everywhere. Throws JOB_INVALID where a job needs brokers and the server has none, and,
 * where the server's brokers are `secured`, for a job that names others: the server's credentials are not for them.
 */
export function withServerDefaults(definition: JobDefinition, brokers: string, secured = false): JobDefinition {
  const fill = <T extends { readonly kind: string }>(part: T, what: string): T => {
    if (part.kind !== 'kafka') return part
    const own = (part as unknown as { readonly brokers: string }).brokers
    if (own !== '' && secured && !brokersWithin(own, brokers)) {
      throw new MillraceError(
        'JOB_INVALID',
        `${what} of job ${definition.name} names brokers that are not among MILLRACE_BROKERS of this server: ` +
          'its TLS and SASL settings are for those alone. Leave kafka.brokers out',
      )
    }
    if (own !== '') return part
    if (brokers !== '') return { ...part, brokers }
    throw new MillraceError(
      'JOB_INVALID',
      `${what} of job ${definition.name} is on Kafka, but neither it nor this server says which brokers: ` +
        'set kafka.brokers in the job, or MILLRACE_BROKERS for the server',
    )
  }
  const side = (output: SideOutputDefinition | null, what: string): SideOutputDefinition | null =>
    output === null ? null : { ...output, output: fill(output.output, what) }
  const inputOf = ({ id, input }: SourceDefinition): SourceInput => {
    if (input.kind !== 'several') return fill(input, `source ${id}`)
    return { ...input, parts: input.parts.map((part) => ({ ...part, input: fill(part.input, `source ${part.id}`) })) }
  }
  return {
    ...definition,
    source: { ...definition.source, input: inputOf(definition.source) },
    sinks: definition.sinks.map((sink) => ({ ...sink, output: fill(sink.output, `sink ${sink.id}`) })),
    deadLetters: side(definition.deadLetters, 'deadLetters'),
    late: side(definition.late, 'late'),
    ...(definition.episodes === undefined ? {} : { episodes: fill(definition.episodes, 'episodes') }),
  }
}

/** JOB_INVALID for a job with a sink of a kind that this server has nothing for. */
export function checkSinkServers(
  { name, sinks, deadLetters, late }: JobDefinition,
  has: { readonly redis?: unknown; readonly postgres?: unknown },
): void {
  const outputs: [string, SinkOutput | undefined][] = [
    ...sinks.map(({ id, output }): [string, SinkOutput] => [`sink ${id}`, output]),
    ['deadLetters', deadLetters?.output],
    ['late', late?.output],
  ]
  for (const [what, output] of outputs) {
    if ((output?.kind !== 'redis' && output?.kind !== 'postgres') || has[output.kind] !== undefined) continue
    throw new MillraceError(
      'JOB_INVALID',
      `${what} of job ${name} is ${output.kind}, but this server has none: set MILLRACE_SINK_${output.kind.toUpperCase()} for it`,
    )
  }
}

/** Whether every broker of `brokers` is one of `known`; both `host:port,host:port`. */
export function brokersWithin(brokers: string, known: string): boolean {
  const names = new Set(known.split(',').map((broker) => broker.trim()))
  return brokers.split(',').every((broker) => names.has(broker.trim()))
}
