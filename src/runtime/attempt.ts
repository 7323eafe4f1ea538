/**
 * One attempt of one job in one thread: its subtasks, and the channels between them.
 *
 * Owns: building subtasks from the plan, delivering messages and credits to them, finding them for the loop. Does not
 * own: when they are stepped (worker-loop), or what they do.
 */
import { PageWriter } from '../checkpoint/chunk-writer.ts'
import type { ChunkStore } from '../checkpoint/store.ts'
import { MIN_WATERMARK } from '../core/time.ts'
import { openDecoder } from '../event/event-decoder.ts'
import { openKernel } from '../event/kernel.ts'
import { ScanBatch } from '../event/scan.ts'
import { EventWeights } from '../event/weights.ts'
import { allocateShared, OutputChannels } from '../exchange/channel.ts'
import { Combiner, type CombinerPlan } from '../exchange/combiner.ts'
import { type EventBatchLayout, layOutEventBatch } from '../exchange/event-batch.ts'
import { InputGate } from '../exchange/input-gate.ts'
import { type ExchangedColumns, KeyedOutput } from '../exchange/keyed-output.ts'
import type { BatchBuffer, Message } from '../exchange/message.ts'
import { PARTIAL_BATCH_BYTES, PartialOutput } from '../exchange/partial-batch.ts'
import type { SideOutputDefinition } from '../job/definition.ts'
import { DEAD_LETTERS_SINK, LATE_SINK } from '../job/delivery.ts'
import type { JobPlan } from '../job/plan.ts'
import { encodeSources } from '../job/source-meta.ts'
import { describeEvent, describeSources, describeState } from '../job/state-identity.ts'
import { layOutAccumulators } from '../operator/accumulators.ts'
import { openMoney } from '../operator/convert-money.ts'
import type { Deduplicator } from '../operator/deduplicate.ts'
import { compilePredicates } from '../operator/filter.ts'
import type { FiringTable } from '../operator/firing-table.ts'
import { PartialTable } from '../operator/partial-table.ts'
import type { ResultSink } from '../operator/result-sink.ts'
import type { SnapshotTable } from '../operator/table-snapshot.ts'
import type { SubtaskWriter } from '../sink/sink.ts'
import { PartitionWatermarks } from '../source/watermark.ts'
import { PagePool } from '../state/page-pool.ts'
import type { AttemptEnvironment } from './attempt-environment.ts'
import { buildDeduplicator, buildEventInput } from './build-input.ts'
import { buildSinks } from './build-sinks.ts'
import { buildMergeTable, buildWindowTable } from './build-tables.ts'
import type { BatchInput } from './keyed-parts.ts'
import { KeyedSubtask } from './keyed-subtask.ts'
import { EVENTS_EDGE, type LinkMessage, PARTIALS_EDGE } from './links.ts'
import type { DeployMessage } from './messages.ts'
import { PartialInput } from './partial-input.ts'
import { exchangedColumns, topicOf } from './plan-facts.ts'
import { combinerPlan } from './pre-aggregation.ts'
import { restoreIds, restoreTables } from './restore.ts'
import { Restored } from './restored.ts'
import { SnapshotWriter } from './snapshot-writer.ts'
import { SourceSubtask } from './source-subtask.ts'
import type { Subtask, SubtaskContext } from './subtask.ts'
import { SubtaskOutputs } from './subtask-outputs.ts'

/** Batches in flight a channel of the events edge. */
const EVENT_CREDITS = 8
/** Batches in flight a channel of the partials edge. */
const PARTIAL_CREDITS = 4

/** The subtasks of one attempt that run in this thread. */
export class Attempt {
  readonly deploy: DeployMessage
  readonly subtasks: Subtask[] = []
  readonly sources = new Map<number, SourceSubtask>()
  readonly #windows = new Map<number, KeyedSubtask>()
  readonly #merges = new Map<number, KeyedSubtask>()
  readonly #environment: AttemptEnvironment
  readonly #plan: JobPlan
  readonly #columns: ExchangedColumns
  readonly #layout: EventBatchLayout
  /** Sinks and writers, which are open before the subtask that closes them is there. Closing twice does nothing. */
  readonly #opened: { close(): Promise<void> }[] = []
  readonly #combine: CombinerPlan | null
  #store: ChunkStore | null = null

  constructor(deploy: DeployMessage, environment: AttemptEnvironment) {
    this.deploy = deploy
    this.#environment = environment
    this.#plan = deploy.plan
    this.#columns = exchangedColumns(deploy.plan)
    const { numbers, texts } = this.#columns
    this.#combine = combinerPlan(deploy.plan)
    const origins = deploy.plan.definition.late !== null
    const { weight, dedupe } = deploy.plan
    const [counts, weights, ids] = [this.#combine !== null, weight !== undefined, dedupe !== undefined]
    this.#layout = layOutEventBatch(numbers.length, texts.length, origins, counts, weights, ids)
  }

  /** Builds this thread's subtasks, with the state of the checkpoint. */
  async open(): Promise<void> {
    const { placement } = this.deploy
    this.#store = this.#environment.ports.openChunkStore(this.deploy.chunkStore)
    for (let index = 0; index < placement.length; index++) {
      if (placement[index] !== this.#environment.thread) continue
      const merge = await this.#buildMerge(index)
      if (merge !== null) this.#merges.set(index, merge)
      this.#windows.set(index, await this.#buildWindow(index))
      this.sources.set(index, this.#buildSource(index))
    }
    // Downstream first: what is furthest along is worked off before more is let in.
    this.subtasks.push(...this.#merges.values(), ...this.#windows.values(), ...this.sources.values())
  }

  /** A message or a credit arrived from another thread. */
  deliver({ edge, from, to, message, credit }: LinkMessage): void {
    if (credit !== null) this.#sender(edge, from)?.credit(to, credit)
    else if (message !== null) this.#receiver(edge, to)?.receive(from, message)
  }

  /** Gives everything back. */
  async close(): Promise<void> {
    // What was built, whether or not `open` came to its end.
    const built = [...this.#merges.values(), ...this.#windows.values(), ...this.sources.values()]
    await Promise.allSettled(built.map((subtask) => subtask.close()))
    await Promise.allSettled(this.#opened.map((opened) => opened.close()))
    await this.#store?.close()
  }

  #sender(edge: number, index: number): Subtask | undefined {
    return edge === EVENTS_EDGE ? this.sources.get(index) : this.#windows.get(index)
  }

  #receiver(edge: number, index: number): Subtask | undefined {
    return edge === EVENTS_EDGE ? this.#windows.get(index) : this.#merges.get(index)
  }

  #post(
    edge: number,
    from: number,
    to: number,
    thread: number,
    message: Message | null,
    credit: BatchBuffer | null,
  ): void {
    const { job, attempt } = this.deploy
    if (thread !== this.#environment.thread) {
      this.#environment.send(thread, { job, attempt, edge, from, to, message, credit })
    } else if (credit !== null) {
      this.#sender(edge, from)!.credit(to, credit)
    } else {
      this.#receiver(edge, to)!.receive(from, message!)
    }
  }

  #channels(edge: number, from: number, credits: number, bufferBytes: number): OutputChannels {
    const { placement } = this.deploy
    return new OutputChannels(
      placement.length,
      credits,
      bufferBytes,
      (to, message) => this.#post(edge, from, to, placement[to]!, message, null),
      allocateShared,
    )
  }

  #returnCredit(edge: number, to: number): (from: number, buffer: BatchBuffer) => void {
    const { placement } = this.deploy
    return (from, buffer) => this.#post(edge, from, to, placement[from]!, null, buffer)
  }

  #stateBytes(): number {
    let bytes = 0
    for (const subtask of [...this.#windows.values(), ...this.#merges.values()]) bytes += subtask.stateBytes
    return bytes
  }

  #restored(operator: string): Restored {
    return new Restored(this.deploy.restore ?? [], operator, this.deploy.placement.length)
  }

  #buildSource(index: number): SourceSubtask {
    const { definition, schema, predicates, keyGroups, jobName, money, weight } = this.#plan
    const { source, event, watermark } = definition
    const { ports } = this.#environment
    const channels = this.#channels(EVENTS_EDGE, index, EVENT_CREDITS, this.#layout.byteLength)
    const outputs = this.#outputs(source.id, index)
    const restored = this.#restored(source.id)
    const kernel = openKernel(schema)
    const scan = new ScanBatch(schema.columns, kernel?.place, money?.length)
    return new SourceSubtask(
      {
        operator: source.id,
        index,
        parallelism: this.deploy.placement.length,
        job: jobName,
        topic: topicOf(this.#plan),
        maxFutureMs: event.maxFutureMs,
        maxDriftMs: watermark.maxDriftMs,
        bounded: source.bounded,
        reader: ports.openReader(this.#plan),
        decoder: openDecoder(schema, (id) => this.#environment.schemaWanted(index, id)),
        ...{ kernel, scan, channels },
        weights: weight === undefined ? null : new EventWeights(scan.numbers[weight]!, schema.columns[weight]!),
        predicates: compilePredicates(predicates, schema),
        money: openMoney(money, scan),
        combiner: this.#combine === null ? null : new Combiner(this.#combine),
        watermarks: new PartitionWatermarks(
          watermark.outOfOrdernessMs,
          watermark.idlenessMs,
          restored.own(index)?.watermarkMs ?? MIN_WATERMARK,
        ),
        output: new KeyedOutput(this.#layout, this.#columns, channels, keyGroups),
        origins: this.#layout.origins,
        deadLetters: this.#sideOutput(DEAD_LETTERS_SINK, definition.deadLetters, index, source.id, outputs),
        outbox: outputs.outbox,
        meta: encodeSources(describeSources(source)),
        counters: restored.counters(index),
        onFinished: () => this.#environment.sourceFinished(index),
        onWatermark: (watermarkMs, idle) => this.#environment.sourceWatermark(index, watermarkMs, idle),
      },
      this.deploy.splits[index] ?? [],
      this.#environment.contextOf(source.id, index),
    )
  }

  #outputs(operator: string, index: number): SubtaskOutputs {
    return new SubtaskOutputs(this.deploy, this.#environment, this.#store!, operator, index)
  }

  #sinks(operator: 'window' | 'merge', index: number, outputs: SubtaskOutputs): ResultSink[] {
    const sinks = buildSinks(this.#plan, this.deploy.attempt, operator, index, outputs)
    this.#opened.push(...sinks)
    return sinks
  }

  #sideOutput(
    sink: string,
    output: SideOutputDefinition | null,
    index: number,
    operator: string,
    outputs: SubtaskOutputs,
  ): SubtaskWriter | null {
    if (output === null) return null
    const writer = outputs.open(sink, output, `${this.#plan.jobName}/${operator}//${index}`)
    this.#opened.push(writer)
    return writer
  }

  async #buildWindow(index: number): Promise<KeyedSubtask> {
    const { tables, definition, keyGroups } = this.#plan
    const context = this.#environment.contextOf('window', index)
    const keyed = tables.some((table) => table.keyed)
    const outputs = this.#outputs('window', index)
    const sinks = keyed ? this.#sinks('window', index, outputs) : []
    const numberAt = (column: number): number => this.#columns.numbers.indexOf(column)
    const textAt = (column: number): number => this.#columns.texts.indexOf(column)
    const pool = new PagePool()
    const built = tables.map((table, i) => {
      const accumulators = layOutAccumulators(table, numberAt, textAt, pool)
      return buildWindowTable(table, i, accumulators, pool, sinks, numberAt)
    })
    const results = built.filter((table) => 'history' in table)
    const partials = built.filter((table) => table instanceof PartialTable)
    const late = this.#sideOutput(LATE_SINK, definition.late, index, 'window', outputs)
    const counters = this.#restored('window').counters(index)
    const dedupe = buildDeduplicator(this.#plan, this.#columns, this.deploy.placement.length, counters)
    const input = buildEventInput(this.#plan, this.#layout, this.#columns, built, late, counters, dedupe)
    const channels =
      partials.length > 0 ? this.#channels(PARTIALS_EDGE, index, PARTIAL_CREDITS, PARTIAL_BATCH_BYTES) : null
    const output = channels === null ? null : new PartialOutput(channels, keyGroups)
    return this.#keyed('window', index, EVENTS_EDGE, input, built, {
      ...{ pool, dedupe, results, partials, sinks, channels, output, outputs, context },
    })
  }

  async #buildMerge(index: number): Promise<KeyedSubtask | null> {
    const { tables } = this.#plan
    if (tables.every((table) => table.keyed)) return null
    const context = this.#environment.contextOf('merge', index)
    const outputs = this.#outputs('merge', index)
    const sinks = this.#sinks('merge', index, outputs)
    const pool = new PagePool()
    const built = tables.map((table, i) => buildMergeTable(table, i, pool, sinks))
    const results = built.filter((table) => table !== null)
    const input = new PartialInput(built, this.deploy.placement.length)
    return this.#keyed('merge', index, PARTIALS_EDGE, input, results, {
      ...{ pool, dedupe: null, results, partials: [], sinks, channels: null, output: null, outputs, context },
    })
  }

  async #keyed(
    operator: 'window' | 'merge',
    index: number,
    edge: number,
    input: BatchInput,
    tables: readonly SnapshotTable[],
    rest: {
      pool: PagePool
      dedupe: Deduplicator | null
      results: readonly FiringTable[]
      partials: readonly PartialTable[]
      sinks: readonly ResultSink[]
      channels: OutputChannels | null
      output: PartialOutput | null
      outputs: SubtaskOutputs
      context: SubtaskContext
    },
  ): Promise<KeyedSubtask> {
    const { keyGroups, definition, metrics } = this.#plan
    const parallelism = this.deploy.placement.length
    const store = this.#store!
    const writer = new PageWriter({ store, names: rest.outputs.names })
    const { snapshots } = this.#restored(operator)
    const { tables: sources } = this.deploy
    const kept = await restoreTables(tables, sources, snapshots, index, parallelism, keyGroups, store)
    if (rest.dedupe !== null)
      await restoreIds(rest.dedupe, describeEvent(this.#plan), snapshots, index, parallelism, keyGroups, store)
    for (const snapshot of kept) writer.adopt(snapshot.pages.chunks)
    const local = this.deploy.placement.filter((thread) => thread === this.#environment.thread).length
    const parts = {
      operator,
      index,
      gate: new InputGate(parallelism, this.#restored(operator).watermarkMs(index), 0),
      input,
      results: rest.results,
      partials: rest.partials,
      channels: rest.channels,
      output: rest.output,
      metrics,
      sinks: rest.sinks,
      pool: rest.pool,
      stateBytes: () => this.#stateBytes(),
      stateLimitBytes: Math.floor((definition.stateLimitBytes * local) / parallelism),
      outbox: rest.outputs.outbox,
      snapshots: new SnapshotWriter(
        operator,
        index,
        parallelism,
        tables,
        describeState(this.#plan),
        writer,
        rest.dedupe,
      ),
      returnCredit: this.#returnCredit(edge, index),
    }
    return new KeyedSubtask(parts, rest.context)
  }
}
