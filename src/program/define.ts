/**
 * `defineJob`: runs a job's builder once and checks what came of it.
 */

import { MillraceError } from '../core/errors.ts'
import {
  describeProgram,
  type EventTime,
  type EventType,
  type JobProgram,
  PROGRAM_BRAND,
  type ProgramDescription,
} from './graph.ts'
import { GraphBuilder } from './graph-builder.ts'
import type { SideOutput } from './process-operator.ts'
import { completeSettings, type JobSettings, jobInvalid, type SourceSpec } from './settings.ts'
import { Stream } from './streams.ts'

/** A source with the type of its events. */
export interface TypedSource<T> extends SourceSpec {
  /** Decodes events: a message that ts-proto generated, a protobufjs type, or anything with `decode`. */
  readonly event: EventType<T>
  /** When an event happened: a Date, epoch ms or a Timestamp. An event without a time is a dead letter. */
  readonly time: (event: T) => EventTime | undefined
}

/** A job: settings, a source, and what is done with its events. */
export interface JobSpec<T> extends JobSettings {
  readonly source: TypedSource<T>
  /** Called once with the stream of events; what it builds is the job. */
  readonly build: (events: Stream<T>) => void
}

/** Makes a job of its definition. Export it as the module's default. JOB_INVALID with all that is wrong. */
export function defineJob<T>(spec: JobSpec<T>): JobProgram {
  const settings = completeSettings(spec, spec.source)
  const builder = new GraphBuilder()
  const { event, time } = spec.source
  const ref = builder.addSource({
    kind: 'source',
    id: settings.source.id,
    type: event as EventType<unknown>,
    timeOf: time as (value: unknown) => EventTime | undefined,
  })
  spec.build(new Stream<T>(builder, [ref]))
  const violations = [...builder.violations]
  if (!builder.nodes.some((node) => node.kind === 'sink'))
    violations.push({ field: 'build', message: 'nothing leaves the job: end a stream with sinkTo', line: 0, column: 0 })
  if (violations.length > 0) throw jobInvalid(settings.name, violations)
  return { brand: PROGRAM_BRAND, settings, nodes: builder.nodes }
}

/** Names a side output. Send to it with `emitTo`, read it with `side`. */
export function sideOutput<T>(id: string): SideOutput<T> {
  return { id }
}

/** The job that a module exports by default. JOB_INVALID, naming the module, when it is none. */
export function programOf(exported: unknown, file: string): JobProgram {
  const candidate = exported as { readonly brand?: unknown } | null | undefined
  if (typeof candidate === 'object' && candidate !== null && candidate.brand === PROGRAM_BRAND)
    return candidate as JobProgram
  throw new MillraceError(
    'JOB_INVALID',
    `${file} is no job: write "export default defineJob({ … })" with the defineJob of millrace`,
  )
}

/** What a job is, as plain data. */
export function describeJob(program: JobProgram): ProgramDescription {
  return describeProgram(program)
}
