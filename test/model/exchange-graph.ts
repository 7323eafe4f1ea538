/**
 * Sources, windows and merges with the real gates, channels, outputs and tables, and a scheduler drawn from a seed in
 * place of threads: any message, credit, command or step may come next, as long as each channel keeps its order. A run
 * ends when nothing can happen any more. `stuck` says whether something still should have.
 */
import { ChunkNames } from '../../src/checkpoint/chunk-key.ts'
import { PageWriter } from '../../src/checkpoint/chunk-writer.ts'
import type { SubtaskSnapshot } from '../../src/checkpoint/snapshot.ts'
import { nextBelow, SeededRandom } from '../../src/core/clock.ts'
import { OutputChannels } from '../../src/exchange/channel.ts'
import { InputGate } from '../../src/exchange/input-gate.ts'
import type { Message } from '../../src/exchange/message.ts'
import { PARTIAL_BATCH_BYTES, PartialOutput } from '../../src/exchange/partial-batch.ts'
import type { TablePlan } from '../../src/job/plan.ts'
import { layOutAccumulators } from '../../src/operator/accumulators.ts'
import { PartialTable } from '../../src/operator/partial-table.ts'
import { membersOfEvents, membersOfPartials, ResultTable } from '../../src/operator/result-table.ts'
import { undescribedTables } from '../../src/operator/table-snapshot.ts'
import { EventInput } from '../../src/runtime/event-input.ts'
import { KeyedSubtask } from '../../src/runtime/keyed-subtask.ts'
import { PartialInput } from '../../src/runtime/partial-input.ts'
import { SnapshotWriter } from '../../src/runtime/snapshot-writer.ts'
import type { SubtaskContext } from '../../src/runtime/subtask.ts'
import { PagePool } from '../../src/state/page-pool.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import type { Result } from '../operator/reference.ts'
import { accumulator, NUMBERS, RecordingSink, tablePlan } from '../operator/support.ts'
import { noOutbox } from './exchange-outbox.ts'
import { type Ack, KEY_GROUPS, layout, moveBuffer, type Node, Source, type SourceStep } from './exchange-source.ts'

const textAt = (column: number) => column - NUMBERS

/** By key, by text, and in total; 100 ms of event time a window. */
export const tables: readonly TablePlan[] = [
  tablePlan([-1], [accumulator('count', 0), accumulator('sum', 0, 0)], { id: 'keys' }),
  tablePlan([NUMBERS], [accumulator('count', 0), accumulator('distinct', 0), accumulator('distinct', 0, NUMBERS + 1)], {
    id: 'texts',
  }),
  tablePlan([], [accumulator('count', 0), accumulator('max', 0, 0)], { id: 'total' }),
]

/** Planted bugs, to see that a run finds them. */
export type Bug = 'none' | 'creditHeldWhileAligning' | 'abortLost' | 'barrierOvertakes'

export interface GraphOptions {
  readonly seed: number
  readonly windows: number
  readonly merges: number
  readonly sources: readonly (readonly SourceStep[])[]
  readonly credits: number
  /** Checkpoints that are begun while events flow. */
  readonly checkpoints: number
  /** How readily a checkpoint is aborted while it is under way. */
  readonly abortWeight: number
  readonly bug?: Bug
}

/** One direction between two subtasks: delivered in order, whenever the scheduler likes. */
interface Link {
  readonly queue: (() => void)[]
}

/** A whole graph and its coordinator. */
export class ExchangeGraph {
  readonly acks = new Map<number, Map<string, Ack>>()
  readonly aborted = new Set<number>()
  readonly begun: number[] = []
  readonly inputs: EventInput[] = []
  readonly sinks: { readonly table: TablePlan; readonly sink: RecordingSink }[] = []
  readonly nodes: Node[] = []
  readonly clock = new ManualClock(0)
  readonly #options: GraphOptions
  readonly #random: SeededRandom
  readonly #links: Link[] = []
  /** Commands to each subtask are in order; those to different ones are not. */
  readonly #commands = new Map<Node, Link>()
  readonly #sources: Source[] = []
  #active = 0
  #lastBegun = false
  #failure: unknown = null

  constructor(options: GraphOptions) {
    this.#options = options
    this.#random = new SeededRandom(options.seed)
    const merges = Array.from({ length: options.merges }, (_, i) => this.#merge(i))
    const windows = Array.from({ length: options.windows }, (_, i) => this.#window(i, merges))
    options.sources.forEach((steps, i) => {
      const source: Source = new Source(
        `source ${i}`,
        steps,
        this.#channels(i, windows, layout.byteLength),
        (id, ack) => this.#ack(id, ack),
      )
      this.#sources.push(source)
    })
    for (const window of windows) window.senders = this.#sources
    for (const merge of merges) merge.senders = windows
    this.nodes.push(...this.#sources, ...windows, ...merges)
  }

  /** Runs until nothing can happen any more. */
  async run(): Promise<void> {
    for (let quiet = 0; quiet < 3; ) {
      if (this.#turn()) {
        quiet = 0
        continue
      }
      // Nothing moves but what awaits: a snapshot's pages, and with its acknowledgement the next checkpoint.
      await new Promise<void>((resolve) => void setImmediate(resolve))
      if (this.#failure !== null) throw this.#failure
      quiet = this.#beginLast() ? 0 : quiet + 1
    }
  }

  /** Why the run should not have ended; empty when all is done. */
  stuck(): string[] {
    const why: string[] = []
    for (const source of this.#sources) if (!source.finished) why.push(`${source.name} has not sent everything`)
    for (const id of this.begun) {
      if (this.aborted.has(id)) continue
      const missing = this.nodes.filter(({ name }) => this.acks.get(id)?.has(name) !== true)
      if (missing.length > 0)
        why.push(`checkpoint ${id} was not acknowledged by ${missing.map(({ name }) => name).join(', ')}`)
    }
    const sent = this.#sources.reduce((sum, source) => sum + source.rowsSent, 0)
    const counted = this.inputs.reduce((sum, { counters }) => sum + counters.applied + counters.late, 0)
    if (counted !== sent) why.push(`of ${sent} rows ${counted} have arrived`)
    return why
  }

  get results(): readonly { readonly table: TablePlan; readonly results: readonly Result[] }[] {
    return this.sinks.map(({ table, sink }) => ({ table, results: sink.results }))
  }

  /** Lets the scheduler choose until no choice moves anything. */
  #turn(): boolean {
    let moved = false
    for (;;) {
      this.clock.advance(nextBelow(this.#random, 8))
      const full = this.#links.filter(({ queue }) => queue.length > 0)
      const drawn = nextBelow(this.#random, full.length + this.nodes.length)
      let worked = true
      if (drawn < full.length) full[drawn]!.queue.shift()!()
      else worked = this.nodes[drawn - full.length]!.step() === 'worked'
      this.#coordinate()
      if (worked) moved = true
      else if (this.#links.every(({ queue }) => queue.length === 0)) {
        if (!this.nodes.some((node) => node.step() === 'worked')) return moved
        moved = true
      }
    }
  }

  #coordinate(): void {
    const { checkpoints, abortWeight } = this.#options
    if (this.#active === 0) {
      if (this.begun.length < checkpoints && nextBelow(this.#random, 30) === 0) this.#begin()
    } else if (!this.#lastBegun && nextBelow(this.#random, 3000) < abortWeight) this.#abort()
  }

  /** When nothing moves, and nobody waits for a checkpoint: one more, which nobody aborts. */
  #beginLast(): boolean {
    if (this.#lastBegun || this.#active !== 0) return false
    this.#lastBegun = true
    if (this.#options.bug !== 'abortLost') this.#begin()
    return true
  }

  #begin(): void {
    const id = this.begun.length + 1
    this.#active = id
    this.begun.push(id)
    this.acks.set(id, new Map())
    for (const source of this.#sources) this.#command(source, () => source.inject(id))
  }

  #abort(): void {
    const id = this.#active
    this.#active = 0
    this.aborted.add(id)
    // A barrier that one source has sent and another never will is what an abort must reach receivers for.
    const told = this.#options.bug === 'abortLost' ? this.#sources : this.nodes
    for (const node of told) this.#command(node, () => node.abort(id))
  }

  #command(node: Node, run: () => void): void {
    const link = this.#commands.get(node) ?? this.#link()
    this.#commands.set(node, link)
    link.queue.push(run)
  }

  #ack(id: number, ack: Ack): void {
    const acks = this.acks.get(id)!
    if (acks.has(ack.name)) throw new Error(`${ack.name} acknowledged checkpoint ${id} twice`)
    acks.set(ack.name, ack)
    if (acks.size === this.nodes.length && this.#active === id) this.#active = 0
  }

  /** Channels from subtask `from` to each receiver. A batch is moved, as between threads: who keeps a view sees nothing. */
  #channels(
    from: number,
    receivers: readonly { receive(channel: number, message: Message): void }[],
    bytes: number,
  ): OutputChannels {
    const links = receivers.map(() => this.#link())
    return new OutputChannels(receivers.length, this.#options.credits, bytes, (to, message) => {
      const moved = message.kind === 'batch' ? { ...message, buffer: moveBuffer(message.buffer) } : message
      const queue = links[to]!.queue
      const deliver = () => receivers[to]!.receive(from, moved)
      if (message.kind === 'barrier' && this.#options.bug === 'barrierOvertakes') queue.unshift(deliver)
      else queue.push(deliver)
    })
  }

  #link(): Link {
    const link: Link = { queue: [] }
    this.#links.push(link)
    return link
  }

  #context(name: string, input: EventInput | null): SubtaskContext {
    const ignore = () => undefined
    return {
      clock: this.clock,
      wake: ignore,
      wakeAfter: () => ignore,
      ack: (id, snapshot: SubtaskSnapshot) => {
        const counted = input === null ? 0 : snapshot.counters.applied! + snapshot.counters.late!
        this.#ack(id, { name, rowsSent: 0, counted })
      },
      decline: (id, error) => this.#fail(new Error(`${name} declined checkpoint ${id}: ${error.message}`)),
      fail: (error) => this.#fail(error),
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= error
  }

  #snapshots(operator: string, index: number, built: readonly (ResultTable | PartialTable)[]): SnapshotWriter {
    const store = { putChunk: async () => undefined }
    const writer = new PageWriter({ store, names: new ChunkNames('model', operator, index) })
    return new SnapshotWriter(operator, index, this.#options.windows, built, undescribedTables, writer)
  }

  #window(index: number, merges: readonly Node[]): Node & { senders: readonly Node[] } {
    const name = `window ${index}`
    const pool = new PagePool()
    const built = tables.map((table, i) => {
      const accumulators = layOutAccumulators(table, (column) => column, textAt)
      if (!table.keyed) return new PartialTable(table, i, accumulators, pool)
      const sink = new RecordingSink(() => result)
      const result: ResultTable = new ResultTable(table, i, accumulators, pool, membersOfEvents, [sink])
      this.sinks.push({ table, sink })
      return result
    })
    const dimensions = tables.map((table) => table.dimensions.map((column) => (column < 0 ? -1 : textAt(column))))
    const input = new EventInput(layout, built, dimensions, [], null, { job: 'model', topic: 'events' }, {})
    this.inputs.push(input)
    const channels = this.#channels(index, merges, PARTIAL_BATCH_BYTES)
    const results = built.filter((table) => table instanceof ResultTable)
    const partials = built.filter((table) => table instanceof PartialTable)
    const output = new PartialOutput(channels, KEY_GROUPS)
    return this.#keyed(name, 'window', index, this.#options.sources.length, input, {
      results,
      partials,
      channels,
      output,
      pool,
      built,
    })
  }

  #merge(index: number): Node & { senders: readonly Node[] } {
    const pool = new PagePool()
    const built = tables.map((table, i) => {
      if (table.keyed) return null
      const sink = new RecordingSink(() => result)
      const result: ResultTable = new ResultTable(
        table,
        i,
        layOutAccumulators(table, Number, Number),
        pool,
        membersOfPartials,
        [sink],
      )
      this.sinks.push({ table, sink })
      return result
    })
    const results = built.filter((table) => table !== null)
    const rest = { results, partials: [], channels: null, output: null, pool, built: results }
    const senders = this.#options.windows
    return this.#keyed(`merge ${index}`, 'merge', index, senders, new PartialInput(built, senders), rest)
  }

  #keyed(
    name: string,
    operator: 'window' | 'merge',
    index: number,
    senders: number,
    input: EventInput | PartialInput,
    rest: {
      readonly results: readonly ResultTable[]
      readonly partials: readonly PartialTable[]
      readonly channels: OutputChannels | null
      readonly output: PartialOutput | null
      readonly pool: PagePool
      readonly built: readonly (ResultTable | PartialTable)[]
    },
  ): Node & { senders: readonly Node[] } {
    const credits = Array.from({ length: senders }, () => this.#link())
    const aligning = new Set<number>()
    const subtask = new KeyedSubtask(
      {
        ...rest,
        operator,
        index,
        input,
        gate: new InputGate(senders, -Infinity, 0),
        metrics: [],
        sinks: [],
        stateBytes: () => 0,
        stateLimitBytes: Number.POSITIVE_INFINITY,
        snapshots: this.#snapshots(operator, index, rest.built),
        outbox: noOutbox(),
        returnCredit: (channel, buffer) => {
          if (this.#options.bug === 'creditHeldWhileAligning' && aligning.size > 0) return
          const mine = moveBuffer(buffer)
          credits[channel]!.queue.push(() => node.senders[channel]!.credit(index, mine))
        },
      },
      this.#context(name, input instanceof EventInput ? input : null),
    )
    const node: Node & { senders: readonly Node[] } = {
      name,
      senders: [],
      step: () => subtask.step(),
      abort: (id) => subtask.checkpointAborted(id),
      receive: (channel, message) => {
        if (message.kind === 'barrier') {
          aligning.add(channel)
          if (aligning.size === senders) aligning.clear()
        }
        subtask.receive(channel, message)
      },
      credit: (receiver, buffer) => subtask.credit(receiver, buffer),
    }
    return node
  }
}
