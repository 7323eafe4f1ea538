/**
 * Where things lie in the memory of a kernel: what it is told and tells, the columns of the batch that it fills, the
 * texts that it knows, the records that it reads.
 *
 *   state | columns of the batch | tables of texts | keys | window of records
 *
 * Invariant: the memory never grows, so arrays over it stay valid. Pages that nothing touches are not resident.
 */
import { BATCH_ROWS_MAX } from '../core/limits.ts'
import { DICTIONARY_ENTRIES_MAX } from './dictionary.ts'
import type { KernelColumn } from './kernel-plan.ts'
import { TEXT_STRING } from './projection-sources.ts'
import { KEY_TEXT_BYTES } from './projection-text.ts'

/** Where the next record begins, in the window. */
export const STATE_AT = 0
/** Records of the section that are left. */
export const STATE_LEFT = 4
/** Rows of the batch. */
export const STATE_ROWS = 8
/** Offset of the newest row's record, less the section's first. */
export const STATE_OFFSET_DELTA = 12
/** Latest time among the rows, a double. */
export const STATE_MAX_TIME = 16
/** Where numbers are written as text: up to here, from right to left. */
export const SCRATCH_END = 96
const STATE_BYTES = 128

/** Enum values of numbers below this have their names in a kernel. */
export const NAMES_MAX = 128
/** Longest such name. */
export const NAME_BYTES_MAX = 120
/** Bytes of the names of a column: by number, start and length; then the names. */
const NAMES_BYTES = NAMES_MAX * (8 + NAME_BYTES_MAX + 8)

/** Slots of a table of texts: twice its entries. */
export const TEXT_SLOTS = 8192
/** Most texts that a table knows. */
export const TEXT_ENTRIES = 4096
/** Bytes of an entry: start and length of the text, the batch that it is in, its id there. */
export const ENTRY_BYTES = 16
/** Room for the bytes of the texts of a table. */
export const TEXT_ARENA = 512 * 1024

// A table, from its base on.
/** Its entries, the first one unused. */
export const TABLE_COUNT = 0
/** Where the next text goes. */
export const TABLE_ARENA_END = 4
/** Entries of the dictionary that the table is for. */
export const TABLE_IDS = 8
/** By slot: an entry, 0 for none. 16 bits each. */
export const TABLE_SLOTS = 16
/** By id of the dictionary: the address of its entry. */
export const TABLE_BY_ID = TABLE_SLOTS + TEXT_SLOTS * 2
/** The entries. */
export const TABLE_ENTRIES = TABLE_BY_ID + (DICTIONARY_ENTRIES_MAX + 1) * 4
/** The texts. */
export const TABLE_ARENA = (TABLE_ENTRIES + TEXT_ENTRIES * ENTRY_BYTES + 7) & ~7
const TABLE_BYTES = TABLE_ARENA + TEXT_ARENA

/** Longest stretch of records that is read at once, bytes. */
export const WINDOW_BYTES = 1024 * 1024
/** What may be read behind the window, before a length is found to be wrong. */
const WINDOW_SLACK = 2048
const KEYS_BYTES = BATCH_ROWS_MAX * ((KEY_TEXT_BYTES + 7) & ~3)

/** The addresses of everything. */
export interface KernelLayout {
  readonly timeMs: number
  readonly keyHash: number
  readonly keyStart: number
  readonly keyEnd: number
  readonly offset: number
  /** By column: its numbers, or its ids. */
  readonly columns: readonly number[]
  /** By column: its table of texts; -1 for a number column. */
  readonly tables: readonly number[]
  /** By column: the names of an enum, by number; -1 for others. */
  readonly names: readonly number[]
  readonly keys: number
  readonly keysBytes: number
  readonly window: number
  readonly memoryBytes: number
}

/** Lays the memory out. */
export function kernelLayout(columns: readonly KernelColumn[]): KernelLayout {
  let end = STATE_BYTES
  const take = (bytes: number): number => {
    const at = end
    end = (end + bytes + 63) & ~63
    return at
  }
  return {
    timeMs: take(BATCH_ROWS_MAX * 8),
    keyHash: take(BATCH_ROWS_MAX * 4),
    keyStart: take(BATCH_ROWS_MAX * 4),
    keyEnd: take(BATCH_ROWS_MAX * 4),
    offset: take(BATCH_ROWS_MAX * 8),
    columns: columns.map(({ source }) => take(BATCH_ROWS_MAX * (source < TEXT_STRING ? 8 : 2))),
    tables: columns.map(({ source }) => (source < TEXT_STRING ? -1 : take(TABLE_BYTES))),
    names: columns.map(({ names }) => (names === undefined ? -1 : take(NAMES_BYTES))),
    keys: take(KEYS_BYTES),
    keysBytes: KEYS_BYTES,
    window: take(WINDOW_BYTES + WINDOW_SLACK),
    memoryBytes: end,
  }
}
