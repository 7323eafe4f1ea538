/**
 * What steers the source subtasks of one attempt while they read: how far they may be ahead of each other, the partitions
 * that are found later, the schemas that they ask for.
 *
 * Owns: that the three begin and end with the attempt. Does not own: their rules (alignment.ts, discovery.ts,
 * schema-desk.ts).
 */
import type { ErrorData, MillraceError } from '../core/errors.ts'
import { MAX_WATERMARK } from '../core/time.ts'
import type { JobPlan } from '../job/plan.ts'
import type { FromWorker, SplitStart } from '../runtime/messages.ts'
import type { SourceEnumerator } from '../source/source.ts'
import { Alignment } from './alignment.ts'
import type { Deployment } from './deployment.ts'
import type { Discovery } from './discovery.ts'
import { openDiscovery } from './job-discovery.ts'
import type { JobPorts } from './job-ports.ts'
import { openSchemaDesk, type SchemaDesk } from './schema-desk.ts'

/** What it is made of. */
export interface SteeringOptions {
  readonly plan: JobPlan
  readonly ports: JobPorts
  readonly deployment: Deployment
  readonly enumerator: SourceEnumerator | undefined
  /** Partitions that the attempt begins with. */
  readonly known: readonly SplitStart[]
  /** The attempt cannot go on; `operator` is the source. */
  readonly onFailed: (error: ErrorData, operator: string) => void
}

/** What source subtasks tell of themselves. */
export type SteeringMessage = Extract<FromWorker, { type: 'sourceFinished' | 'sourceWatermark' | 'schemaWanted' }>

/** Steers the sources of one attempt. */
export class SourceSteering {
  readonly #alignment: Alignment
  readonly #discovery: Discovery | undefined
  readonly #schemas: SchemaDesk | undefined

  constructor({ plan, ports, deployment, enumerator, known, onFailed }: SteeringOptions) {
    const { watermark, source } = plan.definition
    const failed = (error: MillraceError): void => onFailed(error.toData(), source.id)
    this.#alignment = new Alignment(plan.parallelism, watermark.maxDriftMs, ports.scheduler, (maxWatermarkMs) =>
      deployment.broadcast({ type: 'align', maxWatermarkMs }),
    )
    this.#discovery = openDiscovery(plan, ports, enumerator, known, deployment, failed)
    this.#schemas = openSchemaDesk(plan, ports, deployment, failed)
  }

  /** Partition discovery begins. */
  startDiscovery(): void {
    this.#discovery?.start()
  }

  /** It ends. */
  stopDiscovery(): void {
    this.#discovery?.stop()
  }

  /** A source subtask reports. */
  onMessage(message: SteeringMessage): void {
    switch (message.type) {
      case 'sourceFinished':
        // It reports no more, and must not hold the others back for ever.
        this.#alignment.report(message.subtask, MAX_WATERMARK, true)
        return
      case 'sourceWatermark':
        this.#alignment.report(message.subtask, message.watermarkMs, message.idle)
        return
      case 'schemaWanted':
        this.#schemas?.want(message.subtask, message.schemaId)
    }
  }

  /** Everything ends. */
  close(): void {
    this.#discovery?.stop()
    this.#alignment.stop()
    this.#schemas?.close()
  }
}
