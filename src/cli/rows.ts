/**
 * The rows of a data file: CSV with a header line, columns between blanks under one, JSON one document a line, or one JSON
 * array; `.gz` is unpacked.
 *
 * Reads the file in pieces and hands out rows in batches, so that a file of any size passes through little memory.
 */
import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import { createGunzip } from 'node:zlib'
import { MillraceError } from '../core/errors.ts'
import type { SampleDefinition } from '../job/sample.ts'
import { fileError } from './context.ts'
import { CsvParser } from './csv.ts'

/** One row by column name, with where it is. */
export interface SourceRow {
  /** From 1, in the order of the file, header not counted. */
  readonly number: number
  /** Line of the file on which it begins, from 1. */
  readonly line: number
  readonly cells: Readonly<Record<string, unknown>>
}

/** Forms of a data file. */
export type RowFormat = SampleDefinition['format']

/** Largest JSON array that is read whole. */
const arrayMax = 256 * 1024 * 1024

/** The form of a file by its name; null when the name does not say. */
export function formatOf(file: string): RowFormat | null {
  const name = file.toLowerCase().replace(/\.gz$/, '')
  if (/\.(csv|tsv)$/.test(name)) return 'csv'
  if (name.endsWith('.txt')) return 'text'
  return /\.(json|jsonl|ndjson)$/.test(name) ? 'json' : null
}

/** The rows of a file, in batches of any size. INPUT_INVALID with the line when it is not what it should be. */
export async function* readRows(file: string, format: RowFormat): AsyncGenerator<readonly SourceRow[]> {
  const parser = format === 'json' ? new JsonRows(file) : new NamedRows(file, format)
  const decoder = new StringDecoder('utf8')
  try {
    for await (const chunk of open(file)) {
      const rows = parser.push(decoder.write(chunk as Buffer))
      if (rows.length > 0) yield rows
    }
  } catch (thrown) {
    throw thrown instanceof MillraceError ? thrown : fileError(file, thrown)
  }
  const rows = parser.finish(decoder.end())
  if (rows.length > 0) yield rows
}

function open(file: string): Readable {
  const raw = createReadStream(file)
  if (!file.toLowerCase().endsWith('.gz')) return raw
  const gunzip = createGunzip()
  raw.on('error', (error) => gunzip.destroy(error))
  return raw.pipe(gunzip)
}

/** Rows under a line with the names of their columns. */
class NamedRows {
  readonly #file: string
  readonly #parser: CsvParser | BlankCells
  #header: string[] | null = null
  #rows: SourceRow[] = []
  #number = 0

  constructor(file: string, format: 'csv' | 'text') {
    this.#file = file
    const take = (cells: string[], line: number): void => this.#take(cells, line)
    const separator = /\.tsv(\.gz)?$/i.test(file) ? '\t' : ','
    this.#parser = format === 'csv' ? new CsvParser(file, take, separator) : new BlankCells(take)
  }

  push(text: string): readonly SourceRow[] {
    this.#parser.push(text)
    const rows = this.#rows
    this.#rows = []
    return rows
  }

  finish(text: string): readonly SourceRow[] {
    this.#parser.push(text)
    this.#parser.finish()
    return this.#rows
  }

  #take(cells: string[], line: number): void {
    if (this.#header === null) {
      this.#header = cells.map((cell) => cell.trim())
      const twice = this.#header.find((name, index) => this.#header?.indexOf(name) !== index)
      if (twice !== undefined) {
        throw new MillraceError('INPUT_INVALID', `${this.#file}:${line}: the header names column "${twice}" twice`)
      }
      return
    }
    if (cells.length !== this.#header.length) {
      throw new MillraceError(
        'INPUT_INVALID',
        `${this.#file}:${line}: the row has ${cells.length} cells where the header has ${this.#header.length}`,
      )
    }
    this.#number++
    const row: Record<string, unknown> = Object.create(null) as Record<string, unknown>
    for (const [index, name] of this.#header.entries()) row[name] = cells[index] ?? ''
    this.#rows.push({ number: this.#number, line, cells: row })
  }
}

/** Cells with one or more blanks between; none of them is empty. */
class BlankCells {
  readonly #onRow: (cells: string[], line: number) => void
  #rest = ''
  #line = 0

  constructor(onRow: (cells: string[], line: number) => void) {
    this.#onRow = onRow
  }

  push(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.#take(line)
  }

  finish(): void {
    this.#take(this.#rest)
  }

  #take(text: string): void {
    this.#line++
    const cells = text.replace(/^\ufeff/, '').trim()
    if (cells !== '') this.#onRow(cells.split(/\s+/), this.#line)
  }
}

class JsonRows {
  readonly #file: string
  #rest = ''
  #line = 0
  #number = 0
  #array: boolean | null = null

  constructor(file: string) {
    this.#file = file
  }

  push(text: string): readonly SourceRow[] {
    this.#rest += text
    if (this.#array === null) {
      const start = /[^\s\ufeff]/.exec(this.#rest)
      if (start === null) return []
      this.#array = start[0] === '['
    }
    if (this.#array) {
      if (this.#rest.length > arrayMax) {
        throw new MillraceError('INPUT_INVALID', `${this.#file} is too large for one array; write a document a line`)
      }
      return []
    }
    const lines = this.#rest.split('\n')
    this.#rest = lines.pop() ?? ''
    return lines.flatMap((line) => this.#take(line))
  }

  finish(text: string): readonly SourceRow[] {
    const rows = [...this.push(text)]
    if (this.#array !== true) return [...rows, ...this.#take(this.#rest)]
    const parsed = this.#parse(this.#rest, 1)
    return (parsed as readonly unknown[]).map((value, index) => this.#row(value, 1, index + 1))
  }

  #take(text: string): SourceRow[] {
    this.#line++
    const trimmed = text.replace(/^\ufeff/, '').trim()
    if (trimmed === '') return []
    this.#number++
    return [this.#row(this.#parse(trimmed, this.#line), this.#line, this.#number)]
  }

  #parse(text: string, line: number): unknown {
    try {
      return JSON.parse(text.replace(/^\ufeff/, ''))
    } catch (cause) {
      const reason = MillraceError.from(cause).message
      throw new MillraceError('INPUT_INVALID', `${this.#file}:${line}: this is not JSON (${reason})`, { cause })
    }
  }

  #row(value: unknown, line: number, number: number): SourceRow {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new MillraceError('INPUT_INVALID', `${this.#file}:${line}: row ${number} is not a JSON object`)
    }
    return { number, line, cells: value as Record<string, unknown> }
  }
}
