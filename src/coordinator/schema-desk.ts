/**
 * Schemas of writers for the running attempt of one job: worker threads ask by id, the registry is asked once.
 *
 * Owns: fitting a registered schema to what the job reads, repeating a request that failed, giving up. Does not own: the
 * registry and its cache (event/schema-registry.ts), what a worker does meanwhile (it waits at that record).
 */
import type { Scheduler } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import { loadDescriptors } from '../event/descriptor.ts'
import type { EventTypeLayout, WriterSchema } from '../event/schema.ts'
import { layOutWriter } from '../event/writer-layout.ts'
import type { JobPlan } from '../job/plan.ts'
import type { Deployment } from './deployment.ts'
import type { CoordinatorLog } from './log.ts'

/** Descriptor sets of schema ids; null where there is no such id. */
export interface WriterSchemas {
  byId(id: number): Promise<Uint8Array | null>
}

/** What a desk is made of. */
export interface SchemaDeskOptions {
  readonly job: string
  /** The types that the job reads, by its own schema. */
  readonly types: readonly EventTypeLayout[]
  readonly schemas: WriterSchemas | undefined
  readonly scheduler: Scheduler
  readonly log: CoordinatorLog
  /** Answers a subtask. */
  readonly onSchema: (subtask: number, id: number, writer: WriterSchema) => void
  /** The registry stayed away: the attempt cannot go on. */
  readonly onFailed: (error: MillraceError) => void
}

/** The desk of an attempt whose values are framed; undefined for another. */
export function openSchemaDesk(
  plan: JobPlan,
  ports: Pick<SchemaDeskOptions, 'scheduler' | 'log'> & { readonly schemas?: WriterSchemas },
  deployment: Deployment,
  onFailed: (error: MillraceError) => void,
): SchemaDesk | undefined {
  const { format } = plan.schema
  if (format?.framing !== 'registry') return undefined
  return new SchemaDesk({
    ...{ job: plan.jobName, types: format.types, schemas: ports.schemas },
    ...{ scheduler: ports.scheduler, log: ports.log },
    onSchema: (subtask, schemaId, writer) => deployment.sendTo(subtask, { type: 'schema', subtask, schemaId, writer }),
    onFailed,
  })
}

/** Lines about schemas that an attempt writes to the log at most. */
const TOLD_MAX = 1000

/** Pauses before a request is repeated; after the last, the attempt fails and the job's own restarts take over. */
const retryMs = [500, 1000, 2000, 4000]

/** Answers for one attempt. */
export class SchemaDesk {
  readonly #options: SchemaDeskOptions
  readonly #known = new Map<number, Promise<WriterSchema>>()
  /** Unknown ids are asked for again and again; a line in the log is enough. */
  readonly #told = new Set<string>()
  #closed = false

  constructor(options: SchemaDeskOptions) {
    this.#options = options
  }

  /** A subtask has met schema `id`. */
  want(subtask: number, id: number): void {
    let writer = this.#known.get(id)
    if (writer === undefined) {
      writer = this.#fetch(id)
      this.#known.set(id, writer)
      // The registry remembers; here, only who asks at the same time shares an answer.
      const forget = (): boolean => this.#known.delete(id)
      writer.then(forget, forget)
    }
    writer.then(
      (schema) => {
        if (!this.#closed) this.#options.onSchema(subtask, id, schema)
      },
      (thrown: unknown) => {
        if (!this.#closed) this.#options.onFailed(MillraceError.from(thrown))
      },
    )
  }

  /** Nothing is answered any more. */
  close(): void {
    this.#closed = true
  }

  async #fetch(id: number): Promise<WriterSchema> {
    const { job, schemas, scheduler, log, types } = this.#options
    if (schemas === undefined) {
      throw new MillraceError('CONFIG_INVALID', `job ${job} needs a schema registry: set MILLRACE_SCHEMA_REGISTRY`)
    }
    for (let attempt = 0; ; attempt++) {
      try {
        const bytes = await schemas.byId(id)
        const writer: WriterSchema =
          bytes === null
            ? { ok: false, reason: 'schema_unknown', detail: 'the schema registry does not know it' }
            : layOutWriter(types, loadDescriptors(bytes))
        this.#tell(id, writer)
        return writer
      } catch (thrown) {
        const error = MillraceError.from(thrown)
        if (error.code === 'DESCRIPTOR_INVALID') {
          const writer: WriterSchema = { ok: false, reason: 'schema_incompatible', detail: error.message }
          this.#tell(id, writer)
          return writer
        }
        const pauseMs = retryMs[attempt]
        if (pauseMs === undefined || this.#closed) throw error
        log('warn', `job ${job}: schema ${id} is waited for: ${error.message}`, { job, code: error.code })
        await new Promise<void>((resolve) => scheduler.after(pauseMs, resolve))
      }
    }
  }

  #tell(id: number, writer: WriterSchema): void {
    const { job, log } = this.#options
    const line = `${id} ${writer.ok}`
    if (this.#told.has(line) || this.#told.size >= TOLD_MAX) return
    this.#told.add(line)
    if (writer.ok) log('info', `job ${job}: schema ${id} is read`, { job })
    else log('warn', `job ${job}: events of schema ${id} are dead letters: ${writer.detail}`, { job })
  }
}
