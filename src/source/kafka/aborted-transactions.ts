/**
 * Which batches of a partition belong to aborted transactions.
 *
 * Kafka's rule: a Fetch response lists the aborted transactions that reach into the range it answers, as (producer,
 * first offset). From that offset on, the producer's transactional batches do not count, until its abort marker, which
 * may come in this response or in a later one. Pure; one object a partition.
 *
 * Invariants
 * 1. A list is complete for its range: it names again each transaction that a former list named and whose marker was
 *    not fetched yet (clients in Java keep nothing between fetches and rely on that). So a list replaces what is open,
 *    which makes repeated entries harmless and forgets a transaction whose marker compaction has taken since a restore.
 * 2. Without a list (null), what is open stays open until its marker.
 * 3. Only control batches end a transaction; what user records contain never does.
 */
import type { AbortedTransaction } from './fetch-protocol.ts'

const byFirstOffset = (a: AbortedTransaction, b: AbortedTransaction): number => a.firstOffset - b.firstOffset

/** The aborted transactions of one partition, as far as they matter to what comes next. */
export class AbortedTransactions {
  /** Producers inside an aborted transaction at this point, with the transaction's first offset. */
  readonly #open = new Map<bigint, number>()
  /** Transactions listed and not begun yet, ascending; those before #next have begun. */
  #listed: readonly AbortedTransaction[] = []
  #next = 0

  /** Begins the batches of a Fetch response with the list that came with it. Call it in offset order. */
  beginRange(aborted: readonly AbortedTransaction[] | null): void {
    if (aborted === null) return
    this.#open.clear()
    this.#listed = aborted.length > 1 ? [...aborted].sort(byFirstOffset) : aborted
    this.#next = 0
  }

  /** False while no batch can be dropped: saves looking at producers. */
  get active(): boolean {
    return this.#open.size > 0 || this.#next < this.#listed.length
  }

  /** Whether a transactional data batch of `producerId` that ends at `lastOffset` is to be dropped. */
  drops(producerId: bigint, lastOffset: number): boolean {
    this.#advance(lastOffset)
    return this.#open.has(producerId)
  }

  /** Takes note of a transaction marker, abort or commit, at `offset`: the producer's transaction is over. */
  endTransaction(producerId: bigint, offset: number): void {
    this.#advance(offset)
    this.#open.delete(producerId)
  }

  /** What is open, as text for a checkpoint: `producer:firstOffset,…`; '' for nothing. */
  toState(): string {
    let state = ''
    for (const [producerId, firstOffset] of this.#open)
      state += `${state === '' ? '' : ','}${producerId}:${firstOffset}`
    return state
  }

  /** Takes up what `toState` gave. Text that is not of that form is ignored: the next list says it all again. */
  restore(state: string): void {
    this.#open.clear()
    this.#listed = []
    this.#next = 0
    for (const [, producerId, firstOffset] of state.matchAll(/(-?\d+):(\d+)/g)) {
      this.#open.set(BigInt(producerId!), Number(firstOffset))
    }
  }

  #advance(lastOffset: number): void {
    const listed = this.#listed
    while (this.#next < listed.length && listed[this.#next]!.firstOffset <= lastOffset) {
      const { producerId, firstOffset } = listed[this.#next]!
      this.#open.set(producerId, firstOffset)
      this.#next++
    }
  }
}
