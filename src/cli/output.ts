/**
 * What a command says, and where: results to standard output, everything else to standard error.
 *
 * Results are tables for people or JSON for machines (`--output json`): one document, or one a line for streams. Colour
 * only on a terminal, and never with NO_COLOR.
 */
import { styleText } from 'node:util'
import type { CliDeps, TextStream } from './deps.ts'
import { type TableColumn, tableLines } from './table.ts'

/** The forms of a result. */
export type OutputFormat = 'table' | 'json'

type Style = Parameters<typeof styleText>[0]

/** Writes the results and notes of one command. */
export class Output {
  readonly format: OutputFormat
  readonly stdout: TextStream
  readonly stderr: TextStream
  readonly #colour: boolean

  constructor(deps: Pick<CliDeps, 'stdout' | 'stderr' | 'env'>, format: OutputFormat) {
    this.format = format
    this.stdout = deps.stdout
    this.stderr = deps.stderr
    const none = (deps.env.NO_COLOR ?? '') !== '' || deps.env.TERM === 'dumb'
    this.#colour = deps.stdout.isTTY && !none
  }

  /** True when people read the result on a terminal, where lines may be drawn anew. */
  get live(): boolean {
    return this.format === 'table' && this.stdout.isTTY
  }

  /** One line of result. */
  line(text = ''): void {
    this.stdout.write(`${text}\n`)
  }

  /** One JSON document: indented for a person who looks, in one line else. */
  json(value: unknown): void {
    this.line(this.stdout.isTTY ? JSON.stringify(value, null, 2) : JSON.stringify(value))
  }

  /** One JSON document of a stream, always in one line. */
  jsonLine(value: unknown): void {
    this.line(JSON.stringify(value))
  }

  /** A table, its header dimmed. `none` is said, to standard error, when there is no row. */
  table(columns: readonly TableColumn[], rows: readonly (readonly string[])[], none: string): void {
    if (rows.length === 0) {
      this.note(none)
      return
    }
    for (const line of this.tableLines(columns, rows)) this.line(line)
  }

  /** The lines that `table` writes. */
  tableLines(columns: readonly TableColumn[], rows: readonly (readonly string[])[]): string[] {
    const [header = '', ...lines] = tableLines(columns, rows)
    return [this.style('dim', header), ...lines]
  }

  /** A line to standard error, for people. */
  note(text: string): void {
    this.stderr.write(`${text}\n`)
  }

  /** `text` in a style, where colour is wanted. */
  style(style: Style, text: string): string {
    return this.#colour ? styleText(style, text, { validateStream: false }) : text
  }
}
