/** The outputs of episodes of all jobs of a server: which there are, as jobs come, change and go. */
import type { DetectedJob, EpisodeResult } from './api.ts'
import { EpisodeOutput, type EpisodeOutputPorts, type KnownEpisodes } from './episode-output.ts'

/** What a job has that detectors know: `result`, and the least watermark by detector. */
export type RecordsOf = (job: DetectedJob, watermarksMs: ReadonlyMap<string, number>) => KnownEpisodes['recordOf']

interface JobOutput {
  readonly jobId: string
  readonly madeOf: string
  readonly output: EpisodeOutput
}

/** Tells the topics of jobs of their episodes. */
export class EpisodeOutputs {
  readonly #ports: EpisodeOutputPorts
  readonly #recordsOf: RecordsOf
  readonly #outputs = new Map<string, JobOutput>()
  readonly #closing = new Set<Promise<void>>()

  constructor(ports: EpisodeOutputPorts, recordsOf: RecordsOf) {
    this.#ports = ports
    this.#recordsOf = recordsOf
  }

  /** Takes what detectors know of a job that has an output. Never waits. */
  offer(job: DetectedJob, result: EpisodeResult, watermarksMs: ReadonlyMap<string, number>, ended: boolean): void {
    const { jobId, definition } = job
    const { name, episodes } = definition
    if (episodes === undefined) {
      this.#drop(name)
      return
    }
    const madeOf = JSON.stringify(episodes)
    let known = this.#outputs.get(name)
    if (known?.jobId !== jobId || known.madeOf !== madeOf) {
      this.#drop(name)
      known = { jobId, madeOf, output: new EpisodeOutput(this.#ports, { job: name, jobId, output: episodes }) }
      this.#outputs.set(name, known)
    }
    known.output.offer({ result, ended, recordOf: this.#recordsOf(job, watermarksMs) })
  }

  /** Jobs that are not named are gone. */
  keep(names: ReadonlySet<string>): void {
    for (const name of this.#outputs.keys()) if (!names.has(name)) this.#drop(name)
  }

  /** Resolves when all that was offered has been tried. */
  async settled(): Promise<void> {
    await Promise.all([...this.#closing, ...Array.from(this.#outputs.values(), ({ output }) => output.settled())])
  }

  async close(): Promise<void> {
    this.keep(new Set())
    await Promise.all(this.#closing)
  }

  #drop(name: string): void {
    const known = this.#outputs.get(name)
    if (known === undefined) return
    this.#outputs.delete(name)
    const closing = known.output.close().finally(() => this.#closing.delete(closing))
    this.#closing.add(closing)
  }
}
