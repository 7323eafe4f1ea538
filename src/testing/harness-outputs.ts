/** What the sinks of a job under test were given: values as the job made them, and as bytes. */
import type { SinkOutput } from '../job/definition.ts'
import type { JobProgram } from '../program/graph.ts'
import type { RecordWriter } from '../sink/sink.ts'

/** One record that a sink was given. */
export interface OutputRecord<V> {
  readonly value: V
  readonly bytes: Uint8Array
  readonly key: Uint8Array | null
  readonly timestampMs: number
}

/** Collects what sinks are given. */
export class HarnessOutputs {
  readonly #records = new Map<string, OutputRecord<unknown>[]>()
  /** Sink ids by what they write to. */
  readonly #ids = new Map<string, string>()
  #value: unknown

  /** The same job, with sinks that tell what they encode. */
  watch(job: JobProgram): JobProgram {
    const nodes = job.nodes.map((node) => {
      if (node.kind !== 'sink') return node
      this.#ids.set(JSON.stringify(node.output), node.id)
      const encode = (value: unknown): Uint8Array => {
        this.#value = value
        return node.encode(value)
      }
      return { ...node, encode }
    })
    return { ...job, nodes }
  }

  /** A writer into memory. Dead letters are under `deadLetters`. */
  open(output: SinkOutput): RecordWriter {
    const id = this.#ids.get(JSON.stringify(output)) ?? 'deadLetters'
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
        this.#records.set(id, [...this.of(id), record])
      },
      flush: async () => {},
      close: async () => {},
    }
  }

  /** What sink `id` was given. */
  of(id: string): OutputRecord<unknown>[] {
    return this.#records.get(id) ?? []
  }

  /** Forgets everything. */
  clear(): void {
    this.#records.clear()
  }
}
