/**
 * Collects the nodes of a job while its builder runs.
 *
 * Owns: the list of nodes and their ids, and the mistakes made on the way. Untyped: what authors see is
 * program/streams.ts.
 */
import type { Violation } from '../core/errors.ts'
import { deliveryProblem } from '../job/delivery.ts'
import type { OutputRef, ProgramNode, SourceNode } from './graph.ts'
import { idMessage, isId } from './settings.ts'

/** The nodes so far. */
export class GraphBuilder {
  readonly nodes: ProgramNode[] = []
  readonly violations: Violation[] = []
  readonly #ids = new Set<string>()

  /** Adds a node whose id the author gave; returns its main output. */
  add(node: ProgramNode): OutputRef {
    if (!isId(node.id)) this.#report(node.kind, idMessage(node.id))
    else if (this.#ids.has(node.id)) this.#report(node.id, 'another operator has this id: state is found by ids')
    this.#ids.add(node.id)
    const problem = node.kind === 'sink' ? deliveryProblem(node.output.kind, node.delivery ?? 'at-least-once') : ''
    if (problem !== '') this.#report(node.id, problem)
    return { node: this.nodes.push(node) - 1, side: '' }
  }

  /** Adds a node that needs no name: it has no state. */
  addStateless(
    kind: 'filter' | 'map' | 'flatMap',
    inputs: readonly OutputRef[],
    apply: (value: never) => unknown,
  ): OutputRef {
    const id = `${kind}-${this.nodes.length}`
    return { node: this.nodes.push({ kind, id, inputs, apply: apply as (value: unknown) => unknown }) - 1, side: '' }
  }

  /** A source: all of them come before everything else. */
  addSource(node: SourceNode): OutputRef {
    return this.add(node)
  }

  /** Says that something is wrong with the graph. */
  #report(field: string, message: string): void {
    this.violations.push({ field, message, line: 0, column: 0 })
  }
}
