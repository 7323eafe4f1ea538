/**
 * Evaluates the predicates of a job over a scan batch, a column at a time, into the bits of the rows' masks.
 *
 * Owns: how each `Predicate` runs on columns. Does not own: making predicates out of CEL (job/predicate.ts), evaluating
 * the rest of CEL a row at a time (operator/cel-row.ts), what happens to rows that nobody takes (exchange/).
 *
 * Cost: a number comparison is one loop over a typed array; a text is compared once a dictionary entry and then looked
 * up once a row. Invariant: the result is that of CEL over the event with absent fields at their defaults.
 */
import { invariant } from '../core/errors.ts'
import { hashBytes } from '../core/hash.ts'
import { BATCH_ROWS_MAX } from '../core/limits.ts'
import { DICTIONARY_ENTRIES_MAX, type Dictionary } from '../event/dictionary.ts'
import type { ScanBatch } from '../event/scan.ts'
import type { EventSchema } from '../event/schema.ts'
import { compilePattern } from '../job/pattern.ts'
import type { Predicate } from '../job/plan.ts'
import { compileCelRow } from './cel-row.ts'

/** Most predicates of a job: a bit each, and the sign bit stays free. */
export const PREDICATES_MAX = 31

/** The predicates of a job, ready to run in one thread. */
export interface PredicateFilter {
  /** Sets `batch.mask` of every row (bit i: predicate i takes it); returns how many rows are taken by at least one. */
  evaluate(batch: ScanBatch): number
}

/** Writes 0 or 1 a row into `out`. */
type Evaluator = (batch: ScanBatch, out: Uint8Array) => void

type TextPredicate = Extract<Predicate, { op: 'text' }>

/** Compiles `predicates`, whose columns are those of `schema`. Throws INTERNAL for what the planner never makes. */
export function compilePredicates(predicates: readonly Predicate[], schema: EventSchema): PredicateFilter {
  invariant(predicates.length <= PREDICATES_MAX, `${predicates.length} predicates`)
  const evaluators = predicates.map((p) => (p.op === 'true' ? null : compile(p, schema)))
  const bits = new Uint8Array(BATCH_ROWS_MAX)
  let always = 0
  predicates.forEach((p, i) => {
    if (p.op === 'true') always |= 1 << i
  })
  return {
    evaluate(batch) {
      const rows = batch.rows
      const mask = batch.mask
      mask.fill(always, 0, rows)
      for (let p = 0; p < evaluators.length; p++) {
        const evaluator = evaluators[p]!
        if (evaluator === null) continue
        evaluator(batch, bits)
        for (let i = 0; i < rows; i++) mask[i] = mask[i]! | (bits[i]! << p)
      }
      if (always !== 0) return rows
      let taken = 0
      for (let i = 0; i < rows; i++) if (mask[i] !== 0) taken++
      return taken
    },
  }
}

function compile(predicate: Predicate, schema: EventSchema): Evaluator {
  switch (predicate.op) {
    case 'true':
      return (batch, out) => {
        out.fill(1, 0, batch.rows)
      }
    case 'and':
    case 'or':
      return compileJunction(
        predicate.op === 'and',
        predicate.of.map((p) => compile(p, schema)),
      )
    case 'not': {
      const inner = compile(predicate.of, schema)
      return (batch, out) => {
        inner(batch, out)
        for (let i = 0; i < batch.rows; i++) out[i] = out[i]! ^ 1
      }
    }
    case 'compare':
      return compileCompare(predicate.column, predicate.relation, predicate.value)
    case 'oneOf':
      return compileOneOf(predicate.column, predicate.values)
    case 'text':
      return compileText(predicate)
    case 'cel':
      return compileCelRow(predicate.source, predicate.columns, schema)
  }
}

function compileJunction(and: boolean, parts: readonly Evaluator[]): Evaluator {
  const other = new Uint8Array(BATCH_ROWS_MAX)
  return (batch, out) => {
    const rows = batch.rows
    out.fill(and ? 1 : 0, 0, rows)
    for (const part of parts) {
      part(batch, other)
      if (and) for (let i = 0; i < rows; i++) out[i] = out[i]! & other[i]!
      else for (let i = 0; i < rows; i++) out[i] = out[i]! | other[i]!
    }
  }
}

function compileCompare(column: number, relation: string, value: number): Evaluator {
  // One loop a relation: a switch inside would be paid a row.
  switch (relation) {
    case '==':
      return (batch, out) => {
        const numbers = batch.numbers[column]!
        for (let i = 0; i < batch.rows; i++) out[i] = numbers[i] === value ? 1 : 0
      }
    case '!=':
      return (batch, out) => {
        const numbers = batch.numbers[column]!
        for (let i = 0; i < batch.rows; i++) out[i] = numbers[i] !== value ? 1 : 0
      }
    case '<':
      return (batch, out) => {
        const numbers = batch.numbers[column]!
        for (let i = 0; i < batch.rows; i++) out[i] = numbers[i]! < value ? 1 : 0
      }
    case '<=':
      return (batch, out) => {
        const numbers = batch.numbers[column]!
        for (let i = 0; i < batch.rows; i++) out[i] = numbers[i]! <= value ? 1 : 0
      }
    case '>':
      return (batch, out) => {
        const numbers = batch.numbers[column]!
        for (let i = 0; i < batch.rows; i++) out[i] = numbers[i]! > value ? 1 : 0
      }
    default:
      return (batch, out) => {
        const numbers = batch.numbers[column]!
        for (let i = 0; i < batch.rows; i++) out[i] = numbers[i]! >= value ? 1 : 0
      }
  }
}

function compileOneOf(column: number, values: readonly number[]): Evaluator {
  const set = Float64Array.from(values)
  return (batch, out) => {
    const numbers = batch.numbers[column]!
    for (let i = 0; i < batch.rows; i++) {
      const number = numbers[i]!
      let found = 0
      for (let v = 0; v < set.length && found === 0; v++) if (set[v] === number) found = 1
      out[i] = found
    }
  }
}

function compileText(predicate: TextPredicate): Evaluator {
  const column = predicate.column
  const judge = textJudge(predicate)
  const table = new Uint8Array(DICTIONARY_ENTRIES_MAX)
  return (batch, out) => {
    const dictionary = batch.dictionaries[column]!
    for (let id = 0; id < dictionary.count; id++) table[id] = judge(dictionary, id) ? 1 : 0
    const ids = batch.texts[column]!
    for (let i = 0; i < batch.rows; i++) out[i] = table[ids[i]!]!
  }
}

/** Whether a dictionary entry fulfils the predicate. */
function textJudge(predicate: TextPredicate): (dictionary: Dictionary, id: number) => boolean {
  const values = predicate.values.map((v) => encoder.encode(v))
  const value = values[0] ?? new Uint8Array(0)
  switch (predicate.relation) {
    case 'in':
      return memberJudge(values)
    case '==':
      return memberJudge([value])
    case '!=': {
      const equal = memberJudge([value])
      return (dictionary, id) => !equal(dictionary, id)
    }
    case '<':
      return (dictionary, id) => compareEntry(dictionary, id, value) < 0
    case '<=':
      return (dictionary, id) => compareEntry(dictionary, id, value) <= 0
    case '>':
      return (dictionary, id) => compareEntry(dictionary, id, value) > 0
    case '>=':
      return (dictionary, id) => compareEntry(dictionary, id, value) >= 0
    case 'startsWith':
      return (d, id) => entryLength(d, id) >= value.length && matchesAt(d.bytes, d.starts[id]!, value)
    case 'endsWith':
      return (d, id) =>
        entryLength(d, id) >= value.length && matchesAt(d.bytes, d.starts[id + 1]! - value.length, value)
    case 'contains':
      return (d, id) => {
        const last = d.starts[id + 1]! - value.length
        for (let at = d.starts[id]!; at <= last; at++) if (matchesAt(d.bytes, at, value)) return true
        return false
      }
    case 'matches': {
      const pattern = compilePattern(predicate.values[0]!)
      return (d, id) => pattern.test(d.text(id))
    }
  }
}

/** Membership by hash, confirmed by bytes: the cost does not grow with the list. */
function memberJudge(values: readonly Uint8Array[]): (dictionary: Dictionary, id: number) => boolean {
  const byHash = new Map<number, Uint8Array[]>()
  let empty = false
  for (const value of values) {
    if (value.length === 0) {
      empty = true
      continue
    }
    const hash = hashBytes(value, 0, value.length)
    const same = byHash.get(hash)
    if (same === undefined) byHash.set(hash, [value])
    else same.push(value)
  }
  return (dictionary, id) => {
    if (id === 0) return empty
    const candidates = byHash.get(dictionary.hashes[id]!)
    if (candidates === undefined) return false
    for (const value of candidates) {
      if (entryLength(dictionary, id) === value.length && matchesAt(dictionary.bytes, dictionary.starts[id]!, value))
        return true
    }
    return false
  }
}

function entryLength(dictionary: Dictionary, id: number): number {
  return dictionary.starts[id + 1]! - dictionary.starts[id]!
}

function matchesAt(bytes: Uint8Array, at: number, value: Uint8Array): boolean {
  for (let i = 0; i < value.length; i++) if (bytes[at + i] !== value[i]) return false
  return true
}

/** Order by bytes, which for UTF-8 is the order by code points that CEL asks for. */
function compareEntry(dictionary: Dictionary, id: number, value: Uint8Array): number {
  const bytes = dictionary.bytes
  const start = dictionary.starts[id]!
  const length = entryLength(dictionary, id)
  const shared = Math.min(length, value.length)
  for (let i = 0; i < shared; i++) {
    const difference = bytes[start + i]! - value[i]!
    if (difference !== 0) return difference
  }
  return length - value.length
}

const encoder = new TextEncoder()
