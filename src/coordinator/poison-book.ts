/**
 * Records on which a job's code fails again and again.
 *
 * Owns: counting failures by record, and which records the next attempt does not hand to the code. In memory: after a
 * crash of the process a record has to fail as often again. Does not own: what becomes of such a record (the source makes
 * a dead letter of it, counted as one), how often is too often (the job says).
 */
import type { RecordOrigin } from '../core/errors.ts'

/** Records with failures that are remembered; the oldest is forgotten first. */
const RECORDS_MAX = 1000

interface Suspect extends RecordOrigin {
  failures: number
}

/** The suspects of one job. */
export class PoisonBook {
  /** By partition and offset, in the order of their first failure. */
  readonly #suspects = new Map<string, Suspect>()

  /**
   * Notes a failure on a record. True when it has now failed `afterFailures` times: from the next attempt on it is passed
   * over.
   */
  note({ partition, offset }: RecordOrigin, afterFailures: number): boolean {
    const key = `${partition}@${offset}`
    const suspect = this.#suspects.get(key) ?? { partition, offset, failures: 0 }
    suspect.failures++
    this.#suspects.set(key, suspect)
    if (this.#suspects.size > RECORDS_MAX) this.#suspects.delete(this.#suspects.keys().next().value!)
    return suspect.failures === afterFailures
  }

  /** Records that are passed over when they have failed `afterFailures` times. */
  condemned(afterFailures: number): readonly RecordOrigin[] {
    return [...this.#suspects.values()].filter(({ failures }) => failures >= afterFailures)
  }

  /** A checkpoint holds these positions, by partition: what is before them is never read again. */
  passed(positions: Readonly<Record<number, number>>): void {
    for (const [key, { partition, offset }] of this.#suspects) {
      if (offset < (positions[partition] ?? 0)) this.#suspects.delete(key)
    }
  }
}
