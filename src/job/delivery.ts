/**
 * How results leave a job: once whatever fails, or at once and perhaps again.
 *
 * Pure. Owns: which outputs of a definition go through the outbox, and under which name. `exactly-once` records are part
 * of the checkpoint and are applied after it; `at-least-once` ones are written at once.
 */
import type { Delivery, JobDefinition, RecordOutput, SinkOutput } from './definition.ts'

/** The name of the dead letters among a job's sinks: no id of a sink has upper-case letters. */
export const DEAD_LETTERS_SINK = 'deadLetters'
/** The name of the late events. */
export const LATE_SINK = 'lateEvents'

/** The name of the output of episodes: it is no sink of the data plane's, but no sink may be taken for it. */
export const EPISODES_SINK = 'detectorEpisodes'

/** Under which name a store keeps what a job's output of episodes has told: no job has a dot in its name. */
export function episodeStateName(job: string): string {
  return `${job}.episodes`
}

/**
 * Kinds of output that runtime/worker-ports.ts can apply an outbox to. They are exactly-once unless the job says
 * otherwise; the others are at-least-once, and a job that asks them for more is refused.
 */
export const outboxKinds: ReadonlySet<SinkOutput['kind']> = new Set<SinkOutput['kind']>([
  'kafka',
  'log',
  'redis',
  'postgres',
  'http',
])

/** Kinds that can be written at once. */
const streamKinds: ReadonlySet<SinkOutput['kind']> = new Set<SinkOutput['kind']>(['kafka', 'log', 'discard'])

/** What a job may say. */
export const deliveries = ['exactly-once', 'at-least-once'] as const satisfies readonly Delivery[]

/** The delivery of an output whose job does not say. */
export function defaultDelivery(kind: SinkOutput['kind']): Delivery {
  return outboxKinds.has(kind) ? 'exactly-once' : 'at-least-once'
}

/** What is wrong with the delivery that a job asks of a kind of output; '' for nothing. */
export function deliveryProblem(kind: SinkOutput['kind'], asked: Delivery): string {
  if (!deliveries.includes(asked)) return `${JSON.stringify(asked)} is no delivery: ${deliveries.join(' or ')}`
  if (asked === 'at-least-once' && !streamKinds.has(kind))
    return `${kind} outputs are written by epochs, which are applied once: leave it out`
  if (asked === 'at-least-once' || outboxKinds.has(kind)) return ''
  return `${kind} outputs cannot be exactly-once in this version: say at-least-once, or leave it out`
}

/** A delivery as definitions keep it: absent is at-least-once. */
export function deliveryPart(kind: SinkOutput['kind'], asked: Delivery = defaultDelivery(kind)) {
  return asked === 'exactly-once' ? { delivery: asked } : {}
}

/**
 * What keeps exactly-once outputs from ever having their records, said of `checkpoint.every`; '' for nothing. Input that
 * ends has a checkpoint at its end.
 */
export function neverGiven(definition: Outputs & Pick<JobDefinition, 'checkpoint' | 'source'>): string {
  const ids = outboxSinkIds(definition)
  if (definition.checkpoint.everyMs > 0 || definition.source.bounded || ids.length === 0) return ''
  const sinks = recordSinks(definition)
  const streams = ids.filter((id) => streamKinds.has(sinks.get(id)!.kind))
  const instead = streams.length === 0 ? '' : `, or delivery: at-least-once for ${streams.join(', ')}`
  return `switches checkpoints off, but with delivery: exactly-once what goes to ${ids.join(', ')} leaves with checkpoints only: it never would. Set a period, as 1s${instead}`
}

/** The same job with everything written at once, as test harnesses that read outputs want it. */
export function withoutOutbox(definition: JobDefinition): JobDefinition {
  const side = (output: JobDefinition['late']) => (output === null ? null : { ...output, ...atLeastOnce })
  const { sinks, deadLetters, late } = definition
  return {
    ...definition,
    sinks: sinks.map((sink) => ({ ...sink, ...atLeastOnce })),
    deadLetters: side(deadLetters),
    late: side(late),
  }
}

type Outputs = Pick<JobDefinition, 'sinks' | 'deadLetters' | 'late'>

const atLeastOnce = { delivery: 'at-least-once' } as const

/** Every output of a job that takes records, by its name among the sinks, whatever its delivery. */
export function recordSinks(definition: Outputs): ReadonlyMap<string, RecordOutput> {
  const sinks = new Map<string, RecordOutput>()
  for (const { id, output } of definition.sinks) if (output.kind !== 'discard') sinks.set(id, output)
  if (definition.deadLetters !== null) sinks.set(DEAD_LETTERS_SINK, definition.deadLetters.output)
  if (definition.late !== null) sinks.set(LATE_SINK, definition.late.output)
  return sinks
}

/**
 * Where an output's records are in the end, as a text to compare: two of one text are one place. The addresses of a cluster's
 * brokers are no part of it, nor what may be told differently tomorrow of the same place (times, encodings).
 */
export function placeOf(output: RecordOutput): string {
  switch (output.kind) {
    case 'kafka':
      return JSON.stringify([output.kind, output.topic])
    case 'log':
      return JSON.stringify([output.kind, output.path, output.topic])
    case 'redis':
      return JSON.stringify([output.kind, output.prefix, output.stream])
    case 'postgres':
      return JSON.stringify([output.kind, output.table])
    case 'http':
      return JSON.stringify([output.kind, output.url])
  }
}

/** Names of the outputs that go through the outbox. */
export function outboxSinkIds({ sinks, deadLetters, late }: Outputs): readonly string[] {
  const ids = sinks.flatMap(({ id, delivery }) => (delivery === 'exactly-once' ? [id] : []))
  if (deadLetters?.delivery === 'exactly-once') ids.push(DEAD_LETTERS_SINK)
  if (late?.delivery === 'exactly-once') ids.push(LATE_SINK)
  return ids
}
