/**
 * One attempt of a program in one thread: its stages' subtasks, and the channels between them.
 *
 * Owns: loading the module, building subtasks from its graph, delivering messages and credits. The counterpart of
 * runtime/attempt.ts, which does the same for declarative jobs. Subtask i of every stage is in thread `placement[i]`.
 */
import { PageWriter } from '../checkpoint/chunk-writer.ts'
import type { ChunkStore } from '../checkpoint/store.ts'
import { invariant, MillraceError } from '../core/errors.ts'
import { hashBytes } from '../core/hash.ts'
import { keyGroupRangeOf } from '../core/key-groups.ts'
import { MIN_WATERMARK } from '../core/time.ts'
import { OutputChannels } from '../exchange/channel.ts'
import { InputGate } from '../exchange/input-gate.ts'
import type { BatchBuffer, Message } from '../exchange/message.ts'
import { DEAD_LETTERS_SINK } from '../job/delivery.ts'
import { encodeSources } from '../job/source-meta.ts'
import { describeSources } from '../job/state-identity.ts'
import { codeFailure } from '../program/code-failure.ts'
import { describeProgram, type JobProgram, type KeyedNode, type SinkNode, sourcesOf } from '../program/graph.ts'
import { withSchemas } from '../program/message-types.ts'
import type { CurrentRecord } from '../program/operator.ts'
import { type ChainEnds, chainOf, outputsOf, type Push, planStages, type StagePlan } from '../program/stages.ts'
import type { SubtaskWriter } from '../sink/sink.ts'
import { PartitionWatermarks } from '../source/watermark.ts'
import type { AttemptEnvironment } from './attempt-environment.ts'
import type { LinkMessage } from './links.ts'
import type { DeployMessage } from './messages.ts'
import { topicOfInput } from './plan-facts.ts'
import { PROGRAM_BATCH_BYTES, ProgramLink, ProgramOutputs } from './program-outputs.ts'
import { restoreStage } from './program-restore.ts'
import { ProgramSource } from './program-source.ts'
import type { CurrentEvent } from './program-source-parts.ts'
import { ProgramStage } from './program-stage.ts'
import { Restored } from './restored.ts'
import { StageState } from './stage-state.ts'
import type { Subtask } from './subtask.ts'
import { type OutputDefinition, SubtaskOutputs } from './subtask-outputs.ts'

/** Batches in flight a channel. */
const CREDITS = 4

/** The subtasks of one attempt of a program that run in this thread. */
export class ProgramAttempt {
  readonly deploy: DeployMessage
  readonly subtasks: Subtask[] = []
  readonly sources = new Map<number, ProgramSource>()
  /** Keyed stages: by place in the plan of stages, then by subtask. */
  readonly stages = new Map<number, Map<number, ProgramStage>>()
  readonly #environment: AttemptEnvironment
  /** By link, then by sending subtask. */
  readonly #links = new Map<number, Map<number, ProgramLink>>()
  /** By output and subtask: stages that write the same output at once share its writer. */
  readonly #writers = new Map<string, SubtaskWriter>()
  #store: ChunkStore | null = null
  #plan: StagePlan = { heads: [], links: [] }

  constructor(deploy: DeployMessage, environment: AttemptEnvironment) {
    this.deploy = deploy
    this.#environment = environment
  }

  /** Loads the module and builds this thread's subtasks, with the state of the checkpoint. */
  async open(): Promise<void> {
    const { placement, plan } = this.deploy
    const { ports, thread } = this.#environment
    invariant(plan.program !== undefined && ports.loadProgram !== undefined, 'a program needs a module and a loader')
    const { descriptorSet } = plan.program
    const program = withSchemas(await ports.loadProgram(plan.program.file), descriptorSet)
    checkUnchanged(program, plan.program.nodes, plan.program.file)
    this.#plan = planStages(program)
    this.#store = ports.openChunkStore(this.deploy.chunkStore)
    for (let index = 0; index < placement.length; index++) {
      if (placement[index] !== thread) continue
      for (let stage = 1; stage < this.#plan.heads.length; stage++) {
        const built = await this.#buildStage(program, stage, index)
        const subtasks = this.stages.get(stage) ?? new Map<number, ProgramStage>()
        this.stages.set(stage, subtasks.set(index, built))
      }
      this.sources.set(index, this.#buildSource(program, index))
    }
    // What is furthest along is worked off before more is let in. Operators refer to those before them only.
    for (const stage of [...this.stages.keys()].sort((a, b) => b - a))
      this.subtasks.push(...this.stages.get(stage)!.values())
    this.subtasks.push(...this.sources.values())
  }

  /** A message or a credit arrived from another thread. */
  deliver({ edge, from, to, message, credit }: LinkMessage): void {
    if (credit !== null) this.#credit(edge, from, to, credit)
    else if (message !== null) this.#receive(edge, from, to, message)
  }

  /** Gives everything back. */
  async close(): Promise<void> {
    await Promise.allSettled([...this.sources.values()].map((source) => source.close()))
    await Promise.allSettled([...this.#writers.values()].map((writer) => writer.close()))
    await this.#store?.close()
  }

  #credit(link: number, from: number, to: number, buffer: BatchBuffer): void {
    this.#links.get(link)?.get(from)?.channels.onCredit(to, buffer)
    const stage = this.#plan.links[link]?.from ?? 0
    const sender: Subtask | undefined = stage === 0 ? this.sources.get(from) : this.stages.get(stage)?.get(from)
    sender?.credit(to, buffer)
  }

  #receive(link: number, from: number, to: number, message: Message): void {
    const stage = this.#plan.links[link]!.to
    this.stages
      .get(stage)
      ?.get(to)
      ?.receive(this.#inputLinks(stage).indexOf(link) * this.#parallelism + from, message)
  }

  get #parallelism(): number {
    return this.deploy.placement.length
  }

  /** Links into a stage, in order: the gate has a channel a link and sender. */
  #inputLinks(stage: number): number[] {
    return this.#plan.links.flatMap((link, number) => (link.to === stage ? [number] : []))
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
    } else if (credit !== null) this.#credit(edge, from, to, credit)
    else this.#receive(edge, from, to, message!)
  }

  /** What leaves stage `stage` of subtask `index`: the outputs, and the push of each side (or source) that somebody reads. */
  #buildOutputs(
    program: JobProgram,
    stage: number,
    index: number,
    written: SubtaskOutputs,
    current: CurrentEvent | CurrentRecord,
  ) {
    const outputs = new ProgramOutputs()
    const head = this.#plan.heads[stage]!
    const byLink = new Map<number, ProgramLink>()
    const endsOf = (source: number): ChainEnds => ({
      link: (node, nodeIndex, input, raw) => {
        const to = this.#plan.heads.indexOf(nodeIndex)
        const number = this.#plan.links.findIndex((l) => l.from === stage && l.to === to && l.input === input)
        const link = byLink.get(number) ?? this.#openLink(number, index, node, input, outputs, current)
        byLink.set(number, link)
        if (!raw || !('bytes' in current)) return (value, timestampMs) => link.write(value, timestampMs, null, 0)
        return (value, timestampMs) => link.write(value, timestampMs, current.bytes, source)
      },
      sink: (node) => this.#openSink(node, index, written, outputs),
    })
    const pushes = new Map<string, Push>()
    for (const ref of outputsOf(program, head)) {
      const name = stage === 0 ? program.nodes[ref.node]!.id : ref.side
      pushes.set(name, chainOf(program, ref, endsOf(ref.node), stage === 0))
    }
    return { outputs, pushes }
  }

  #openLink(
    number: number,
    from: number,
    node: KeyedNode,
    input: number,
    outputs: ProgramOutputs,
    current: CurrentRecord,
  ): ProgramLink {
    const { placement, plan } = this.deploy
    const channels = new OutputChannels(placement.length, CREDITS, PROGRAM_BATCH_BYTES, (to, message) =>
      this.#post(number, from, to, placement[to]!, message, null),
    )
    const link = new ProgramLink(node, input, plan.keyGroups, channels, current)
    outputs.links.push(link)
    const senders = this.#links.get(number) ?? new Map<number, ProgramLink>()
    this.#links.set(number, senders.set(from, link))
    return link
  }

  #openSink(node: SinkNode, index: number, written: SubtaskOutputs, outputs: ProgramOutputs): Push {
    const { output, delivery } = this.deploy.plan.definition.sinks.find((sink) => sink.id === node.id) ?? node
    if (output.kind === 'discard') {
      return (value) => {
        outputs.results++
        try {
          const bytes = node.encode(value)
          outputs.checksum = (outputs.checksum + hashBytes(bytes, 0, bytes.length)) >>> 0
        } catch (thrown) {
          throw codeFailure(node.id, thrown)
        }
      }
    }
    const writer = this.#openWriter(node.id, delivery === undefined ? { output } : { output, delivery }, index, written)
    outputs.addSink(writer)
    return (value, timestampMs) => {
      outputs.results++
      try {
        writer.write(keyBytesOf(node, value), node.encode(value), timestampMs)
      } catch (thrown) {
        throw codeFailure(node.id, thrown)
      }
    }
  }

  #openWriter(sink: string, definition: OutputDefinition, index: number, written: SubtaskOutputs): SubtaskWriter {
    // Barriers pass stages at different times: what goes by the outbox is each stage's own.
    if (definition.delivery === 'exactly-once') return written.open(sink, definition, '')
    const key = `${sink} ${index}`
    const owner = `${this.deploy.plan.jobName}/program/${sink === DEAD_LETTERS_SINK ? '' : sink}/${index}`
    const writer = this.#writers.get(key) ?? written.open(sink, definition, owner)
    this.#writers.set(key, writer)
    return writer
  }

  #outputsOf(operator: string, index: number): SubtaskOutputs {
    return new SubtaskOutputs(this.deploy, this.#environment, this.#store!, operator, index)
  }

  #restored(operator: string): Restored {
    return new Restored(this.deploy.restore ?? [], operator, this.#parallelism)
  }

  #buildSource(program: JobProgram, index: number): ProgramSource {
    const { definition, jobName } = this.deploy.plan
    const { watermark, source, deadLetters } = definition
    const { ports } = this.#environment
    const context = this.#environment.contextOf(source.id, index)
    const current: CurrentEvent = { partition: 0, offset: -1, bytes: new Uint8Array(0) }
    const written = this.#outputsOf(source.id, index)
    const { outputs, pushes } = this.#buildOutputs(program, 0, index, written, current)
    const restored = this.#restored(source.id)
    const dead = deadLetters === null ? null : this.#openWriter(DEAD_LETTERS_SINK, deadLetters, index, written)
    return new ProgramSource(
      {
        operator: source.id,
        sources: sourcesOf(program).map((node, i) => ({
          node,
          push: pushes.get(node.id) ?? (() => {}),
          topic: topicOfInput(source.input.kind === 'several' ? source.input.parts[i]!.input : source.input),
        })),
        index,
        parallelism: this.#parallelism,
        job: jobName,
        maxDriftMs: watermark.maxDriftMs,
        bounded: source.bounded,
        reader: ports.openReader(this.deploy.plan),
        watermarks: new PartitionWatermarks(
          watermark.outOfOrdernessMs,
          watermark.idlenessMs,
          restored.own(index)?.watermarkMs ?? MIN_WATERMARK,
        ),
        outputs,
        current,
        deadLetters: dead,
        poison: this.deploy.poison,
        outbox: written.outbox,
        meta: encodeSources(describeSources(source)),
        counters: restored.counters(index),
        onFinished: () => this.#environment.sourceFinished(index),
        onWatermark: (watermarkMs, idle) => this.#environment.sourceWatermark(index, watermarkMs, idle),
      },
      this.deploy.splits[index] ?? [],
      context,
    )
  }

  async #buildStage(program: JobProgram, stage: number, index: number): Promise<ProgramStage> {
    const { plan, placement } = this.deploy
    const parallelism = this.#parallelism
    const node = program.nodes[this.#plan.heads[stage]!] as KeyedNode
    const context = this.#environment.contextOf(node.id, index)
    const range = keyGroupRangeOf(index, plan.keyGroups, parallelism)
    const state = new StageState(node, range)
    const written = this.#outputsOf(node.id, index)
    const writer = new PageWriter({ store: this.#store!, names: written.names })
    const restored = this.#restored(node.id)
    const kept = await restoreStage(node, state, restored.snapshots, index, parallelism, range, this.#store!)
    for (const snapshot of kept) writer.adopt(snapshot.pages.chunks)
    const links = this.#inputLinks(stage)
    const gate = new InputGate(links.length * parallelism, restored.watermarkMs(index), 0)
    const current: CurrentRecord = { partition: 0, offset: -1 }
    const { outputs, pushes } = this.#buildOutputs(program, stage, index, written, current)
    return new ProgramStage(
      {
        node,
        index,
        parallelism,
        state,
        gate,
        inputOf: links.flatMap((link) => new Array<number>(parallelism).fill(this.#plan.links[link]!.input)),
        eventTypes: sourcesOf(program).map((node) => node.type),
        outputs,
        current,
        pushes,
        writer,
        outbox: written.outbox,
        stateLimitBytes: Math.floor(plan.definition.stateLimitBytes / parallelism),
        counters: restored.counters(index),
        returnCredit: (channel, buffer) => {
          const from = channel % parallelism
          this.#post(links[Math.floor(channel / parallelism)]!, from, index, placement[from]!, null, buffer)
        },
      },
      context,
    )
  }
}

const encoder = new TextEncoder()

/** The key of a sink's record. JOB_CODE_FAILED for what is neither text nor bytes. */
function keyBytesOf({ id, keyOf }: SinkNode, value: unknown): Uint8Array | null {
  const key: unknown = keyOf?.(value) ?? null
  if (key === null || key instanceof Uint8Array) return key
  if (typeof key === 'string') return encoder.encode(key)
  throw new MillraceError(
    'JOB_CODE_FAILED',
    `the key of a record for sink ${id} is ${typeof key === 'object' ? 'an' : 'a'} ${typeof key}: give a text or bytes`,
  )
}

/** What the module says now must be what the job was submitted with: threads must agree on what is sent where. */
function checkUnchanged(program: JobProgram, submitted: unknown, file: string): void {
  if (JSON.stringify(describeProgram(program).nodes) === JSON.stringify(submitted)) return
  throw new MillraceError(
    'JOB_INVALID',
    `the operators in ${file} are not those that the job was submitted with: stop the job and submit it again`,
  )
}
