/**
 * What a job in TypeScript is once its builder has run: nodes and what flows between them.
 *
 * Owns: the nodes as a worker thread executes them (with functions), and their description as it is stored and compared
 * (plain data). Does not own: how authors write them (program/define.ts), how they run (program/chain.ts, operators).
 *
 * A node is known by its place in the list, in stored things by its id. Nodes refer to nodes before them only, so there
 * are no circles.
 */
import { invariant } from '../core/errors.ts'
import type {
  CheckpointDefinition,
  Delivery,
  PoisonDefinition,
  SideOutputDefinition,
  SinkDefinition,
  SinkOutput,
  SourceDefinition,
  WatermarkDefinition,
} from '../job/definition.ts'
import { deliveryPart } from '../job/delivery.ts'
import type { RestartDefinition } from '../job/restart-definition.ts'
import type { Key } from './keys.ts'
import type { KeyedOperator, OperatorRuntime } from './operator.ts'

/** Decodes the events of a source: what ts-proto generates for a message, or a protobufjs type, has this form. */
export interface EventType<T> {
  /** The message of these bytes. What it throws makes the record a dead letter. */
  decode(bytes: Uint8Array): T
  /** The bytes of a message; needed by tests that push events, and by sinks. */
  encode?(message: T): { finish(): Uint8Array }
  /** Set while the message is known by name only: the server finds its schema when the job is submitted. */
  readonly registered?: RegisteredMessage
}

/** A message of a schema registry. */
export interface RegisteredMessage {
  readonly subject: string
  /** Full name. */
  readonly message: string
}

/** When an event happened: a Date, epoch ms, or a google.protobuf.Timestamp as a descriptor set gives it. */
export type EventTime = Date | number | { readonly seconds: bigint | number; readonly nanos: number }

/** Output `side` of node `node`; '' is its main output. */
export interface OutputRef {
  readonly node: number
  readonly side: string
}

/** One keyed or broadcast input of a keyed operator. */
export interface KeyedInput {
  readonly from: readonly OutputRef[]
  /** The key of a record; null sends every record to every subtask. */
  readonly keyOf: ((value: unknown) => Key) | null
}

/** The source of a job. */
export interface SourceNode {
  readonly kind: 'source'
  readonly id: string
  readonly type: EventType<unknown>
  readonly timeOf: (event: unknown) => EventTime | undefined
  /** An event later than the wall clock plus this is a dead letter. */
  readonly maxFutureMs: number
}

/** Something done to each record by itself, chained to what comes before. */
export interface StatelessNode {
  readonly kind: 'filter' | 'map' | 'flatMap'
  readonly id: string
  readonly inputs: readonly OutputRef[]
  readonly apply: (value: unknown) => unknown
}

/** An operator with state by key: the head of a stage. */
export interface KeyedNode {
  readonly kind: 'process' | 'window' | 'aggregate' | 'intervalJoin' | 'broadcast' | 'lookup'
  readonly id: string
  readonly inputs: readonly KeyedInput[]
  /** Names and kinds of its parts of state, `name:kind`, in order; state is found by them. */
  readonly slots: readonly string[]
  /** By slot, whether it has a time to live; none of them unless given. */
  readonly expires?: readonly boolean[]
  /** For people: what it does. */
  readonly detail: string
  readonly create: (runtime: OperatorRuntime) => KeyedOperator
}

/** Records that leave the job. */
export interface SinkNode {
  readonly kind: 'sink'
  readonly id: string
  readonly inputs: readonly OutputRef[]
  readonly output: SinkOutput
  /** Absent: at-least-once. */
  readonly delivery?: Delivery
  readonly keyOf: ((value: unknown) => string | Uint8Array | null) | null
  readonly encode: (value: unknown) => Uint8Array
}

/** A node of a job's graph. */
export type ProgramNode = SourceNode | StatelessNode | KeyedNode | SinkNode

/** What a job says of itself beside its graph; every default filled in. */
export interface ProgramSettings {
  readonly name: string
  readonly description: string
  readonly source: SourceDefinition
  readonly maxFutureMs: number
  readonly watermark: WatermarkDefinition
  readonly checkpoint: CheckpointDefinition
  readonly restart?: RestartDefinition
  readonly poison?: PoisonDefinition
  readonly parallelism: number
  readonly keyGroups: number
  readonly stateLimitBytes: number
  readonly deadLetters: SideOutputDefinition | null
}

/** The name under which a job is told from any other object, also when two copies of the package are loaded. */
export const PROGRAM_BRAND = 'millrace.program/1'

/** A job in TypeScript, built: what `defineJob` returns. */
export interface JobProgram {
  readonly brand: typeof PROGRAM_BRAND
  readonly settings: ProgramSettings
  /** The sources come first. */
  readonly nodes: readonly ProgramNode[]
}

/** A node as it is stored, compared and shown. */
export interface NodeDescription {
  readonly id: string
  readonly kind: ProgramNode['kind']
  /** Nodes whose output it takes, by place in the list, with the side; keyed where records go by key. */
  readonly inputs: readonly { readonly from: readonly OutputRef[]; readonly route: 'forward' | 'hash' | 'broadcast' }[]
  readonly slots: readonly string[]
  readonly detail: string
}

/** What a module says that the job in it is: plain data. */
export interface ProgramDescription {
  readonly settings: ProgramSettings
  readonly nodes: readonly NodeDescription[]
  readonly sinks: readonly SinkDefinition[]
  /** Subjects of the schema registry whose latest schemas it needs. */
  readonly subjects: readonly string[]
}

/** True for nodes that head a stage. */
export function isKeyed(node: ProgramNode): node is KeyedNode {
  return node.kind !== 'source' && node.kind !== 'sink' && !isStateless(node)
}

/** True for what is done to each record by itself. */
export function isStateless(node: ProgramNode): node is StatelessNode {
  return node.kind === 'filter' || node.kind === 'map' || node.kind === 'flatMap'
}

/** The sources of a program: its first nodes, so that a source's place among them is its place in the graph. */
export function sourcesOf(program: JobProgram): readonly SourceNode[] {
  const sources = program.nodes.filter((node) => node.kind === 'source')
  invariant(sources.length > 0 && sources.every((source, i) => source === program.nodes[i]), 'sources are not first')
  return sources
}

/** A program as plain data. */
export function describeProgram(program: JobProgram): ProgramDescription {
  return {
    settings: program.settings,
    nodes: program.nodes.map(describeNode),
    subjects: [...new Set(sourcesOf(program).flatMap(({ type }) => type.registered?.subject ?? []))],
    sinks: sinksOf(program.nodes),
  }
}

/** The sinks among nodes. */
export function sinksOf(nodes: readonly ProgramNode[]): readonly SinkDefinition[] {
  return nodes.flatMap((node) =>
    node.kind === 'sink'
      ? [{ id: node.id, output: node.output, ...deliveryPart(node.output.kind, node.delivery) }]
      : [],
  )
}

function describeNode(node: ProgramNode): NodeDescription {
  const { id, kind } = node
  if (node.kind === 'source') {
    const { registered } = node.type
    const detail = registered === undefined ? '' : `${registered.message} of subject ${registered.subject}`
    return { id, kind, inputs: [], slots: [], detail }
  }
  if (isKeyed(node)) {
    const inputs = node.inputs.map(({ from, keyOf }) => ({
      from,
      route: keyOf === null ? ('broadcast' as const) : ('hash' as const),
    }))
    return { id, kind, inputs, slots: node.slots, detail: node.detail }
  }
  return { id, kind, inputs: [{ from: node.inputs, route: 'forward' }], slots: [], detail: '' }
}
