/**
 * How a program's graph is cut into stages, and what runs within one.
 *
 * A stage is a head (the sources together, or a keyed operator) with everything chained to it up to the next keyed operators and
 * sinks. A link is what one stage sends to one input of another; links are numbered over the whole program, the same in
 * every thread. Stateless nodes that several stages reach run in each of them.
 */
import { codeFailure, refuseAsync } from './code-failure.ts'
import {
  isKeyed,
  isStateless,
  type JobProgram,
  type KeyedNode,
  type OutputRef,
  type SinkNode,
  type StatelessNode,
  sourcesOf,
} from './graph.ts'

/** What stage `from` sends to input `input` of stage `to`. */
export interface StageLink {
  readonly from: number
  readonly to: number
  readonly input: number
}

/** The stages of a program; stage 0 is the sources. */
export interface StagePlan {
  /** Node of each stage's head; the first source for stage 0. */
  readonly heads: readonly number[]
  readonly links: readonly StageLink[]
}

/** Takes a record. */
export type Push = (value: unknown, timestampMs: number) => void

/** Where a chain ends. `raw`: the record is an event as it was decoded. */
export interface ChainEnds {
  link(node: KeyedNode, nodeIndex: number, input: number, raw: boolean): Push
  sink(node: SinkNode): Push
}

/** Cuts a program into stages. */
export function planStages(program: JobProgram): StagePlan {
  const heads = program.nodes.flatMap((node, index) => (index === 0 || isKeyed(node) ? [index] : []))
  const links: StageLink[] = []
  heads.forEach((head, from) => {
    const ends: ChainEnds = {
      link: (_node, nodeIndex, input) => {
        const to = heads.indexOf(nodeIndex)
        if (!links.some((link) => link.from === from && link.to === to && link.input === input))
          links.push({ from, to, input })
        return ignore
      },
      sink: () => ignore,
    }
    for (const ref of outputsOf(program, head)) chainOf(program, ref, ends, false)
  })
  return { heads, links }
}

/** The outputs of a stage that somebody reads, by the node that heads it: those of all sources for stage 0. */
export function outputsOf(program: JobProgram, head: number): readonly OutputRef[] {
  const nodes = head === 0 ? sourcesOf(program).map((_, source) => source) : [head]
  return nodes.flatMap((node) => sidesOf(program, node).map((side) => ({ node, side })))
}

function sidesOf(program: JobProgram, node: number): readonly string[] {
  const refs = program.nodes.flatMap((reader) => {
    if (reader.kind === 'source') return []
    return isKeyed(reader) ? reader.inputs.flatMap((input) => input.from) : reader.inputs
  })
  return [...new Set(refs.filter((ref) => ref.node === node).map((ref) => ref.side))]
}

/** What happens to records of output `ref`, up to the ends; `raw` when they are events as they were decoded. */
export function chainOf(program: JobProgram, ref: OutputRef, ends: ChainEnds, raw: boolean): Push {
  const pushes: Push[] = []
  // A stream that was united with itself gives each record as often as it is in it.
  const timesIn = (refs: readonly OutputRef[]): number =>
    refs.filter(({ node, side }) => node === ref.node && side === ref.side).length
  const add = (push: Push, times: number): void => {
    for (let i = 0; i < times; i++) pushes.push(push)
  }
  program.nodes.forEach((node, index) => {
    if (node.kind === 'source') return
    if (isKeyed(node)) {
      node.inputs.forEach((input, i) => {
        const times = timesIn(input.from)
        if (times > 0) add(ends.link(node, index, i, raw), times)
      })
      return
    }
    const times = timesIn(node.inputs)
    if (times === 0) return
    if (!isStateless(node)) add(ends.sink(node), times)
    else add(apply(node, chainOf(program, { node: index, side: '' }, ends, raw && node.kind === 'filter')), times)
  })
  return all(pushes)
}

/** Runs a stateless node. What its code throws names the node, wherever in a chain it is. */
function apply(node: StatelessNode, next: Push): Push {
  const { id, apply: fn } = node
  switch (node.kind) {
    case 'filter':
      return (value, timestampMs) => {
        let keeps: unknown
        try {
          keeps = fn(value)
          refuseAsync(keeps, id, 'the function')
        } catch (thrown) {
          throw codeFailure(id, thrown)
        }
        if (keeps) next(value, timestampMs)
      }
    case 'map':
      return (value, timestampMs) => {
        let made: unknown
        try {
          made = fn(value)
          refuseAsync(made, id, 'the function')
        } catch (thrown) {
          throw codeFailure(id, thrown)
        }
        next(made, timestampMs)
      }
    case 'flatMap':
      return (value, timestampMs) => {
        const items = itemsOf(node, value)
        for (let item = nextOf(id, items); item.done !== true; item = nextOf(id, items)) next(item.value, timestampMs)
      }
  }
}

function itemsOf({ id, apply: fn }: StatelessNode, value: unknown): Iterator<unknown> {
  try {
    const made = fn(value)
    refuseAsync(made, id, 'the function')
    return (made as Iterable<unknown>)[Symbol.iterator]()
  } catch (thrown) {
    throw codeFailure(id, thrown)
  }
}

function nextOf(id: string, items: Iterator<unknown>): IteratorResult<unknown> {
  try {
    return items.next()
  } catch (thrown) {
    throw codeFailure(id, thrown)
  }
}

function all(pushes: readonly Push[]): Push {
  const [first, second] = pushes
  if (first === undefined) return ignore
  if (second === undefined) return first
  return (value, timestampMs) => {
    for (const push of pushes) push(value, timestampMs)
  }
}

function ignore(): void {}
