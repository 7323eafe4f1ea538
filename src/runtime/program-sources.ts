/** The sources of a program that one subtask reads as one: what each is, and that a checkpoint is of the same ones. */
import type { SubtaskSnapshot } from '../checkpoint/snapshot.ts'
import { MillraceError } from '../core/errors.ts'
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
