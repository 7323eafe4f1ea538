/** Work that is dear, one after the other. */
import { MillraceError } from '../core/errors.ts'

/** Runs one piece of work at a time. */
export class OneByOne {
  readonly #most: number
  #waiting = 0
  #last: Promise<unknown> = Promise.resolve()

  /** `most`: how many may be there, the one at work included. */
  constructor(most: number) {
    this.#most = most
  }

  /** Runs `work` when all before it have ended. UNAVAILABLE where too many are there. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#waiting >= this.#most)
      throw new MillraceError('UNAVAILABLE', `${this.#most} others ask for the same already: try again later`)
    this.#waiting++
    const own = this.#last.then(work)
    this.#last = own.catch(() => undefined)
    try {
      return await own
    } finally {
      this.#waiting--
    }
  }
}
