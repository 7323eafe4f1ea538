/**
 * `defineJob`: runs a job's builder once and checks what came of it.
 */

import { MillraceError, type Violation } from '../core/errors.ts'
import { neverGiven } from '../job/delivery.ts'
import { isPromise } from './code-failure.ts'
import {
  describeProgram,
  type EventTime,
  type EventType,
  type JobProgram,
  PROGRAM_BRAND,
  type ProgramDescription,
  sinksOf,
} from './graph.ts'
import { GraphBuilder } from './graph-builder.ts'
import type { SideOutput } from './process-operator.ts'
import { completeSettings, type JobSettings, jobInvalid, maxFutureOf, type SourceSpec } from './settings.ts'
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

/** A job over several sources: each gives a stream of its own, by its name. */
export interface SeveralSourcesSpec<S> extends JobSettings {
  /** By id: lower-case letters, digits, "-" and "_". Keep their order, and add new ones at the end. */
  readonly sources: { readonly [K in keyof S]: TypedSource<S[K]> }
  /** Called once with the streams of events; what it builds is the job. */
  readonly build: (streams: { readonly [K in keyof S]: Stream<S[K]> }) => void
}

/** Makes a job of its definition. Export it as the module's default. JOB_INVALID with all that is wrong. */
export function defineJob<T>(spec: JobSpec<T>): JobProgram
/** Makes a job over several sources. JOB_INVALID with all that is wrong. */
export function defineJob<S extends object>(spec: SeveralSourcesSpec<S>): JobProgram
export function defineJob(spec: JobSpec<unknown> | SeveralSourcesSpec<Record<string, unknown>>): JobProgram {
  if (!('sources' in spec)) return build(spec, [spec.source], ([events]) => spec.build(events!))
  const names = Object.keys(spec.sources)
  if (names.length === 0) throw jobInvalid(spec.name, [violation('sources', 'a job has a source at least')])
  const sources = names.map((id) => ({ ...spec.sources[id]!, id }))
  return build(spec, sources, (streams) =>
    spec.build(Object.fromEntries(names.map((name, i) => [name, streams[i]!] as const))),
  )
}

function build(
  spec: JobSettings,
  sources: readonly TypedSource<unknown>[],
  run: (streams: readonly Stream<unknown>[]) => unknown,
): JobProgram {
  const settings = completeSettings(spec, sources)
  const builder = new GraphBuilder()
  const refs = sources.map((source) =>
    builder.addSource({
      kind: 'source',
      id: source.id ?? settings.source.id,
      type: source.event,
      timeOf: source.time as (value: unknown) => EventTime | undefined,
      maxFutureMs: maxFutureOf(source),
    }),
  )
  const built = run(refs.map((ref) => new Stream<unknown>(builder, [ref])))
  const violations = [...builder.violations]
  if (isPromise(built))
    violations.push(violation('build', 'it is async: what it builds after an await is not in the job'))
  if (!builder.nodes.some((node) => node.kind === 'sink'))
    violations.push(violation('build', 'nothing leaves the job: end a stream with sinkTo'))
  const never = neverGiven({ ...settings, sinks: sinksOf(builder.nodes), late: null })
  if (never !== '') violations.push(violation('checkpoint.every', never))
  if (violations.length > 0) throw jobInvalid(settings.name, violations)
  return { brand: PROGRAM_BRAND, settings, nodes: builder.nodes }
}

function violation(field: string, message: string): Violation {
  return { field, message, line: 0, column: 0 }
}

/** Names a side output. Send to it with `emitTo`, read it with `side`. JOB_INVALID without a name: that is the main one. */
export function sideOutput<T>(id: string): SideOutput<T> {
  if (id === '') throw new MillraceError('JOB_INVALID', 'a side output has a name that is not empty')
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
