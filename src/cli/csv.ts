/**
 * CSV by RFC 4180, in pieces: quoted cells with line ends and doubled quotes, CRLF or LF, a byte-order mark.
 *
 * Pure. A row is handed out as soon as it is complete. Blank lines are skipped. A quote inside an unquoted cell is a
 * character like any other, as spreadsheets write it.
 */
import { MillraceError } from '../core/errors.ts'

/** Longest cell, in characters: beyond it a quote has most likely not been closed. */
const cellMax = 1_000_000

/** Takes text in pieces and hands out rows of cells. */
export class CsvParser {
  readonly #name: string
  readonly #separator: string
  readonly #onRow: (cells: string[], line: number) => void
  #cells: string[] = []
  #cell = ''
  #quoted = false
  /** The cell began with a quote that has been closed. */
  #closed = false
  #line = 1
  #rowLine = 1
  #first = true
  #carriage = false

  /** `name` is the file's, for messages. */
  constructor(name: string, onRow: (cells: string[], line: number) => void, separator = ',') {
    this.#name = name
    this.#onRow = onRow
    this.#separator = separator
  }

  /** Takes the next piece of text. INPUT_INVALID when a cell does not end. */
  push(text: string): void {
    let at = 0
    if (this.#first && text.length > 0) {
      this.#first = false
      if (text.charCodeAt(0) === 0xfeff) at = 1
    }
    for (; at < text.length; at++) this.#take(text[at] ?? '')
  }

  /** Hands out the last row. INPUT_INVALID when a quote is open. */
  finish(): void {
    if (this.#quoted) {
      throw new MillraceError(
        'INPUT_INVALID',
        `${this.#name}:${this.#rowLine}: a quoted cell of this row is never closed`,
      )
    }
    if (this.#cell !== '' || this.#closed || this.#cells.length > 0) this.#endRow()
  }

  #take(character: string): void {
    if (this.#quoted) {
      if (character === '\n') this.#line++
      if (character === '"') {
        this.#quoted = false
        this.#closed = true
      } else this.#add(character)
      return
    }
    const afterCarriage = this.#carriage
    this.#carriage = false
    if (character === '"') {
      if (this.#closed) {
        // The second of two quotes: one that belongs to the cell.
        this.#quoted = true
        this.#closed = false
        this.#add('"')
      } else if (this.#cell === '') this.#quoted = true
      else this.#add(character)
    } else if (character === this.#separator) this.#endCell()
    else if (character === '\n' || character === '\r') {
      if (character === '\n' && afterCarriage) {
        this.#rowLine = this.#line
        return
      }
      this.#carriage = character === '\r'
      this.#line++
      if (this.#cell !== '' || this.#closed || this.#cells.length > 0) this.#endRow()
      this.#rowLine = this.#line
    } else this.#add(character)
  }

  #add(character: string): void {
    this.#cell += character
    if (this.#cell.length > cellMax) {
      throw new MillraceError(
        'INPUT_INVALID',
        `${this.#name}:${this.#rowLine}: a cell is longer than ${cellMax} characters; is a quote left open?`,
      )
    }
  }

  #endCell(): void {
    this.#cells.push(this.#cell)
    this.#cell = ''
    this.#closed = false
  }

  #endRow(): void {
    this.#endCell()
    const cells = this.#cells
    this.#cells = []
    this.#onRow(cells, this.#rowLine)
  }
}
