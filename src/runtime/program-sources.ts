/**
 * The sources of a program that one subtask reads as one: what each is, when its events happened, and that a checkpoint is
 * of the same ones.
 */
import type { SubtaskSnapshot } from '../checkpoint/snapshot.ts'
import { MillraceError } from '../core/errors.ts'
import { refuseAsync } from '../program/code-failure.ts'
import { type JobProgram, type SourceNode, sourcesOf } from '../program/graph.ts'
import type { Push } from '../program/stages.ts'

/** One of a program's sources; its place among them is that of its partitions (source/several-sources.ts). */
export interface ReadSource {
  readonly node: SourceNode
  readonly topic: string
  readonly push: Push
}

/** The sources as a snapshot keeps them. */
export function encodeSources(sources: readonly ReadSource[]): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(sources.map(({ node }) => node.id)))
}

/** Throws STATE_INCOMPATIBLE when the sources are in another order than in a checkpoint: positions go by their places. */
export function checkSources(program: JobProgram, snapshots: readonly SubtaskSnapshot[]): void {
  const now = sourcesOf(program).map(({ id }) => id)
  for (const { meta } of snapshots) {
    const before = meta.length === 0 ? [] : (JSON.parse(new TextDecoder().decode(meta)) as readonly string[])
    if (before.every((id, i) => now[i] === id)) continue
    throw new MillraceError(
      'STATE_INCOMPATIBLE',
      `the sources were ${before.join(', ')} when the checkpoint was made and are ${now.join(', ')} now: keep their order, ` +
        'and add new ones at the end',
    )
  }
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
