/** A job's graph as people see it: made from its plan. Pure. */
import type { OperatorDefinition, SinkOutput, SourceDefinition, SourceInput } from '../job/definition.ts'
import type { JobPlan } from '../job/plan.ts'
import { describeWindow } from '../job/window-text.ts'
import type { GraphEdge, GraphOperator, JobGraph } from './api.ts'

/** Operators and edges of a plan: source, window, merge where some table needs it, and the sinks. */
export function graphOf(plan: JobPlan): JobGraph {
  if (plan.program !== undefined) return programGraph(plan, plan.program.nodes)
  const { definition, parallelism } = plan
  const source: GraphOperator = {
    id: definition.source.id,
    kind: 'source',
    description: describeInput(definition.source.input),
    parallelism,
  }
  const window: GraphOperator = {
    id: 'window',
    kind: 'window',
    description: plan.tables
      .map((table) => `${describeDimensions(table.dimensionNames)}, ${describeWindow(table.window)}`)
      .join('; '),
    parallelism,
  }
  const operators = [source, window]
  const edges: GraphEdge[] = [{ from: source.id, to: 'window', partitioning: `hash(${definition.event.key})` }]
  const merged = plan.tables.some((table) => !table.keyed)
  const results: string[] = []
  if (plan.tables.some((table) => table.keyed)) results.push('window')
  if (merged) {
    operators.push({ id: 'merge', kind: 'merge', description: 'adds up what each thread counted', parallelism })
    edges.push({ from: 'window', to: 'merge', partitioning: 'hash(group)' })
    results.push('merge')
  }
  for (const sink of definition.sinks) {
    operators.push({ id: sink.id, kind: 'sink', description: describeOutput(sink.output), parallelism })
    for (const from of results) edges.push({ from, to: sink.id, partitioning: 'forward' })
  }
  return { operators, edges }
}

/** The operators of a job in TypeScript, and what flows between them. */
function programGraph({ definition, parallelism }: JobPlan, nodes: readonly OperatorDefinition[]): JobGraph {
  const describe = (node: OperatorDefinition): string => {
    if (node.kind === 'source') return describeInput(inputOf(definition.source, node.id))
    const sink = definition.sinks.find(({ id }) => node.kind === 'sink' && id === node.id)
    return sink === undefined ? node.detail : describeOutput(sink.output)
  }
  const operators = nodes.map((node) => ({ id: node.id, kind: node.kind, description: describe(node), parallelism }))
  const edges = nodes.flatMap((node) =>
    node.inputs.flatMap(({ from, route }) =>
      from.map((ref) => ({
        from: nodes[ref.node]!.id,
        to: node.id,
        partitioning: `${route === 'hash' ? 'hash(key)' : route}${ref.side === '' ? '' : `, side ${ref.side}`}`,
      })),
    ),
  )
  return { operators, edges }
}

/** The input of source `id`, which may be one of several. */
function inputOf({ input }: SourceDefinition, id: string): SourceInput {
  return (input.kind === 'several' && input.parts.find((part) => part.id === id)?.input) || input
}

function describeInput(input: SourceInput): string {
  switch (input.kind) {
    case 'kafka':
      return `Kafka topic ${input.topic}, ${input.isolation}`
    case 'log':
      return `log ${input.path}, topic ${input.topic}`
    case 'several':
      return input.parts.map((part) => describeInput(part.input)).join('; ')
    case 'generator':
      return `generated events, seed ${input.seed}, ${input.partitions} partitions`
  }
}

function describeOutput(output: SinkOutput): string {
  switch (output.kind) {
    case 'kafka':
      return `Kafka topic ${output.topic}`
    case 'log':
      return `log ${output.path}, topic ${output.topic}`
    case 'redis':
      return `Redis, ${output.stream === '' ? 'hashes' : `stream ${output.stream}`} under ${output.prefix}`
    case 'postgres':
      return `PostgreSQL table ${output.table}`
    case 'http': {
      // Without what comes after the path: people put keys there.
      const { origin, pathname } = new URL(output.url)
      return `POST to ${origin}${pathname}`
    }
    case 'discard':
      return 'counted and discarded'
  }
}

function describeDimensions(names: readonly string[]): string {
  return names.length === 0 ? 'total' : `by ${names.join(', ')}`
}
