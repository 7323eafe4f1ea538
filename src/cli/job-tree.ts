/**
 * A job's graph as a tree: each operator below the one that feeds it, with its subtasks and where their time goes.
 *
 * Pure. An operator that several others feed stands below the first, and is named again below the others. Shares of an
 * operator are the means of its subtasks, its watermark the least of those that hold others back.
 */
import type * as wire from '../gen/millrace/v1/control.ts'
import { fromTimestamp } from '../rpc/instants.ts'
import { formatBytes, formatNumber, formatWatermark, printable } from './format.ts'
import type { Output } from './output.ts'
import type { TableColumn } from './table.ts'

/** Share of its time above which a subtask is what the job waits for, or waits itself. */
const MUCH = 0.5

const titles = ['IN', 'OUT', 'BUSY', 'BLOCKED', 'IDLE', 'STATE', 'PENDING'] as const

const columns: readonly TableColumn[] = [
  { title: 'OPERATOR' },
  ...titles.map((title): TableColumn => ({ title, align: 'right' })),
  { title: 'WATERMARK' },
  { title: 'DOES' },
]

/** The lines of the tree, a header first; none for a graph without operators. */
export function treeLines(
  output: Output,
  graph: wire.JobGraph,
  subtasks: readonly wire.SubtaskStatus[],
): readonly string[] {
  const rows: string[][] = []
  const shown = new Set<string>()
  const fed = new Set(graph.edges.map((edge) => edge.to))
  const show = (operator: wire.JobOperator, title: string, indent: string) => {
    if (shown.has(operator.id)) {
      rows.push([`${title} (above)`])
      return
    }
    shown.add(operator.id)
    const own = subtasks.filter((subtask) => subtask.operator === operator.id)
    rows.push([title, ...cells(operator, own), printable(operator.description)])
    const edges = graph.edges.filter((edge) => edge.from === operator.id)
    const next = edges.flatMap((edge) => {
      const to = graph.operators.find((candidate) => candidate.id === edge.to)
      return to === undefined ? [] : [{ to, title: `${edge.partitioning} → ${to.id}` }]
    })
    // One subtask says no more than its operator does.
    const parts = own.length > 1 ? own : []
    const last = parts.length + next.length - 1
    const branch = (at: number) => (at === last ? '└─ ' : '├─ ')
    parts.forEach((subtask, at) => {
      rows.push([`${indent}${branch(at)}${subtask.operator}[${subtask.subtask}]`, ...cells(operator, [subtask])])
    })
    next.forEach((edge, index) => {
      const at = parts.length + index
      show(edge.to, `${indent}${branch(at)}${edge.title}`, indent + (at === last ? '   ' : '│  '))
    })
  }
  for (const operator of graph.operators) if (!fed.has(operator.id)) show(operator, operator.id, '')
  return rows.length === 0 ? [] : output.tableLines(columns, rows)
}

/** The cells of an operator, or of one subtask; empty ones where nothing is known, as of sinks. */
function cells(operator: wire.JobOperator, subtasks: readonly wire.SubtaskStatus[]): string[] {
  if (subtasks.length === 0) return [...titles.map(() => ''), '']
  const sum = (of: (subtask: wire.SubtaskStatus) => number) => subtasks.reduce((all, subtask) => all + of(subtask), 0)
  const share = (of: (subtask: wire.SubtaskStatus) => number) => `${Math.round((sum(of) / subtasks.length) * 100)} %`
  const pending = subtasks.some((subtask) => subtask.pendingRecords < 0) ? -1 : sum((subtask) => subtask.pendingRecords)
  return [
    formatNumber(sum((subtask) => subtask.recordsIn)),
    formatNumber(sum((subtask) => subtask.recordsOut)),
    share((subtask) => subtask.busyRatio),
    share((subtask) => subtask.backPressuredRatio),
    share((subtask) => subtask.idleRatio),
    formatBytes(sum((subtask) => subtask.stateBytes)),
    // Only a source knows how much there is to come.
    operator.kind !== 'source' ? '' : pending < 0 ? '-' : formatNumber(pending),
    watermarkCell(subtasks),
  ]
}

function watermarkCell(subtasks: readonly wire.SubtaskStatus[]): string {
  const active = subtasks.filter((subtask) => !subtask.idle)
  const counted = active.length === 0 ? subtasks : active
  const least = Math.min(...counted.map((subtask) => fromTimestamp(subtask.watermark)))
  const finished = subtasks.every((subtask) => subtask.finished)
  return `${formatWatermark(least)}${finished ? ' finished' : active.length === 0 ? ' idle' : ''}`
}

/** Which subtask the others wait for, as a sentence; null when nobody waits. */
export function bottleneck(graph: wire.JobGraph, subtasks: readonly wire.SubtaskStatus[]): string | null {
  const worst = (operator: string, of: (subtask: wire.SubtaskStatus) => number) => {
    const own = subtasks.filter((subtask) => subtask.operator === operator)
    return own.sort((a, b) => of(b) - of(a))[0] ?? null
  }
  const blocked = (operator: string) => worst(operator, (subtask) => subtask.backPressuredRatio)
  for (const { id: from } of graph.operators) {
    const waiting = blocked(from)
    if (waiting === null || waiting.backPressuredRatio < MUCH) continue
    for (const to of reached(graph, subtasks, from)) {
      if ((blocked(to)?.backPressuredRatio ?? 0) >= MUCH) continue
      const busy = worst(to, (subtask) => subtask.busyRatio)
      if (busy === null || busy.busyRatio < MUCH) continue
      const share = (ratio: number) => `${Math.round(ratio * 100)} %`
      return (
        `${from} is blocked ${share(waiting.backPressuredRatio)} of the time: it waits for ` +
        `${busy.operator}[${busy.subtask}], which is busy ${share(busy.busyRatio)}`
      )
    }
  }
  return null
}

/** The operators that an output comes to, beyond those that run within its own and have no subtasks, as filters and maps. */
function reached(graph: wire.JobGraph, subtasks: readonly wire.SubtaskStatus[], from: string): readonly string[] {
  const known = new Set(subtasks.map((subtask) => subtask.operator))
  const seen = new Set([from])
  const through = [from]
  for (const at of through) {
    for (const edge of graph.edges) {
      if (edge.from !== at || seen.has(edge.to)) continue
      seen.add(edge.to)
      if (!known.has(edge.to)) through.push(edge.to)
    }
  }
  return [...seen].filter((id) => known.has(id) && id !== from)
}
