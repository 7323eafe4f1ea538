/**
 * What is told of a transaction that hung in a broker and was ended. Without an import: it crosses threads, and is part of
 * what job authors' types are made of.
 */

/** A transaction that hung in a partition, and how it was ended. */
export interface EndedTransaction {
  readonly topic: string
  readonly partition: number
  readonly producerId: bigint
  /** Its first offset there. */
  readonly offset: number
  readonly end: 'commit' | 'abort'
}
