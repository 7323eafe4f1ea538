/**
 * The slow lane of `where`: what columns cannot express, evaluated a row at a time by the CEL runtime.
 *
 * Owns: turning the columns of a row into CEL values. Does not own: parsing and type-checking what people write
 * (job/cel.ts). The source it is given was printed by job/predicate.ts; in it, variable `c3` is the third of `columns`
 * counted from 0.
 *
 * The runtime orders texts by UTF-16 units where CEL says code points: two columns compared by < differ from the columns'
 * own order only between U+E000..U+FFFF and what lies beyond.
 *
 * An expression that fails for a row (a division by zero, an overflow) does not take the row. This is the one place that
 * allocates per row, and only jobs pay it whose expression needs it.
 */
import { type CelInput, celEnv, celUint, parse, plan } from '@bufbuild/cel'
import { timestampFromMs } from '@bufbuild/protobuf/wkt'
import { DICTIONARY_ENTRIES_MAX } from '../event/dictionary.ts'
import type { ScanBatch } from '../event/scan.ts'
import type { Column, EventSchema } from '../event/schema.ts'
import { compilePattern, type Pattern } from '../job/pattern.ts'

type Reader = (batch: ScanBatch, row: number) => CelInput

/** Compiles `source` to a function that writes 0 or 1 a row. Throws what the CEL parser throws. */
export function compileCelRow(
  source: string,
  columns: readonly number[],
  schema: EventSchema,
): (batch: ScanBatch, out: Uint8Array) => void {
  const evaluate = plan(celEnv({ re2: { compile: remembered() } }), parse(source)) as (
    bindings: Record<string, CelInput>,
  ) => unknown
  const readers = columns.map((index) => readerOf(schema.columns[index]!, index))
  const names = columns.map((_, i) => `c${i}`)
  const texts = columns.map((): (string | undefined)[] => new Array(DICTIONARY_ENTRIES_MAX))
  return (batch, out) => {
    for (const cache of texts) cache.fill(undefined)
    for (let row = 0; row < batch.rows; row++) {
      const bindings: Record<string, CelInput> = {}
      for (let i = 0; i < columns.length; i++) {
        const index = columns[i]!
        if (schema.columns[index]!.encoding === 'text') {
          const id = batch.texts[index]![row]!
          bindings[names[i]!] = texts[i]![id] ??= batch.dictionaries[index]!.text(id)
        } else {
          bindings[names[i]!] = readers[i]!(batch, row)
        }
      }
      out[row] = evaluate(bindings) === true ? 1 : 0
    }
  }
}

/** Patterns are literals of the source: each is compiled once, not once a row. */
function remembered(): (pattern: string) => Pattern {
  const patterns = new Map<string, Pattern>()
  return (text) => {
    let pattern = patterns.get(text)
    if (pattern === undefined) patterns.set(text, (pattern = compilePattern(text)))
    return pattern
  }
}

function readerOf(column: Column, index: number): Reader {
  switch (column.field.type) {
    case 'bool':
      return (batch, row) => batch.numbers[index]![row] !== 0
    case 'uint32':
    case 'fixed32':
    case 'uint64':
    case 'fixed64':
      return (batch, row) => celUint(BigInt(batch.numbers[index]![row]!))
    case 'float':
    case 'double':
    case 'property':
      return (batch, row) => batch.numbers[index]![row]!
    case 'timestamp':
      return (batch, row) => timestampFromMs(batch.numbers[index]![row]!)
    default:
      return (batch, row) => BigInt(batch.numbers[index]![row]!)
  }
}
