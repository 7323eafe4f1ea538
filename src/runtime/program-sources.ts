/** The sources of a program that one subtask reads as one: what each is, and when its events happened. */
import { refuseAsync } from '../program/code-failure.ts'
import type { SourceNode } from '../program/graph.ts'
import type { Push } from '../program/stages.ts'

/** One of a program's sources; its place among them is that of its partitions (source/several-sources.ts). */
export interface ReadSource {
  readonly node: SourceNode
  readonly topic: string
  readonly push: Push
}

/** When an event happened, whole epoch ms; NaN where it does not say. */
export function timeOf(node: SourceNode, event: unknown): number {
  refuseAsync(event, node.id, 'decode')
  const time = node.timeOf(event)
  if (time === undefined || time === null) return Number.NaN
  // Windows end with a millisecond: what lies between two of them would be in none that is open.
  if (typeof time === 'number' || time instanceof Date) return Math.floor(Number(time))
  refuseAsync(time, node.id, 'time')
  return Math.floor(Number(time.seconds) * 1000 + Math.floor(time.nanos / 1e6))
}
