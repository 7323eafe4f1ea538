/** What the sinks of a job under test were given: values as the job made them, and as bytes. */
import type { SinkOutput } from '../job/definition.ts'
import type { JobProgram } from '../program/graph.ts'
import { ValueReader } from '../program/value-reader.ts'
import { ValueWriter } from '../program/value-writer.ts'
import type { RecordWriter } from '../sink/sink.ts'

/** One record that a sink was given. */
export interface OutputRecord<V> {
  readonly value: V
  readonly bytes: Uint8Array
  readonly key: Uint8Array | null
  readonly timestampMs: number
}

/** Path of outputs that stand for the sinks of a job: no path of the job's own. */
const WATCHED = '\0watched'

/** Collects what sinks are given. */
export class HarnessOutputs {
  readonly #records = new Map<string, OutputRecord<unknown>[]>()
  #value: unknown

  /** The same job, with sinks that tell what they encode, each with an output of its own: also what is discarded. */
  watch(job: JobProgram): JobProgram {
    const nodes = job.nodes.map((node) => {
      if (node.kind !== 'sink') return node
      const encode = (value: unknown): Uint8Array => {
        this.#value = copyOf(value)
        return node.encode(value)
      }
      return { ...node, encode, output: { kind: 'log', path: WATCHED, topic: node.id } as const }
    })
    return { ...job, nodes }
  }

  /** A writer into memory. Dead letters are under `deadLetters`. */
  open(output: SinkOutput): RecordWriter {
    const id = output.kind === 'log' && output.path === WATCHED ? output.topic : 'deadLetters'
    return {
      bufferedBytes: 0,
      write: (key, value, timestampMs) => {
        const bytes = value.slice()
        const record = {
          value: id === 'deadLetters' ? bytes : this.#value,
          bytes,
          key: key?.slice() ?? null,
          timestampMs,
        }
        const records = this.#records.get(id) ?? []
        records.push(record)
        this.#records.set(id, records)
      },
      flush: async () => {},
      close: async () => {},
    }
  }

  /** What sink `id` was given. */
  of(id: string): OutputRecord<unknown>[] {
    return [...(this.#records.get(id) ?? [])]
  }

  /** Forgets everything. */
  clear(): void {
    this.#records.clear()
  }
}

const writer = new ValueWriter()

/** A value as it is now: state that was emitted goes on changing. What is no plain data stays the object that it is. */
function copyOf(value: unknown): unknown {
  writer.reset()
  try {
    writer.write(value)
  } catch {
    return value
  }
  const reader = new ValueReader()
  reader.reset(writer.bytes, 0, writer.length)
  return reader.read()
}
