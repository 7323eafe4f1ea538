/**
 * A few lines at the end of a terminal that are drawn anew.
 *
 * Owns: moving the cursor back over what was drawn, at most so many times a second, and leaving the terminal as it was.
 * Only for terminals; nothing here decides whether there is one.
 */
import type { Cancel, Clock, Scheduler } from '../core/clock.ts'
import type { TextStream } from './deps.ts'
import { displayWidth } from './table.ts'

const intervalMs = 100

/** Draws lines over those drawn before. */
export class LiveView {
  readonly #stream: TextStream
  readonly #clock: Clock
  readonly #scheduler: Scheduler
  #drawn = 0
  #lastMs = Number.NEGATIVE_INFINITY
  #next: readonly string[] | null = null
  #timer: Cancel | null = null

  constructor(stream: TextStream, clock: Clock, scheduler: Scheduler) {
    this.#stream = stream
    this.#clock = clock
    this.#scheduler = scheduler
  }

  /** Shows `lines` in place of the last ones, now or a moment later; only the newest are shown. */
  draw(lines: readonly string[]): void {
    this.#next = lines
    if (this.#timer !== null) return
    const waitMs = this.#lastMs + intervalMs - this.#clock.monotonicMs()
    if (waitMs <= 0) this.#paint()
    else {
      this.#timer = this.#scheduler.after(waitMs, () => {
        this.#timer = null
        this.#paint()
      })
    }
  }

  /** Shows what waits, and leaves the lines where they are. */
  end(): void {
    this.#timer?.()
    this.#timer = null
    this.#paint()
    this.#drawn = 0
  }

  /** Takes the lines away. */
  clear(): void {
    this.#timer?.()
    this.#timer = null
    this.#next = null
    this.#stream.write(this.#back())
    this.#drawn = 0
  }

  #paint(): void {
    const lines = this.#next
    if (lines === null) return
    this.#next = null
    this.#lastMs = this.#clock.monotonicMs()
    const width = this.#stream.columns
    const fitted = lines.map((line) => shorten(line, width))
    // Each line is cleared as it is written, so that nothing flickers; then what is left of longer ones below.
    this.#stream.write(`${this.#back(false)}${fitted.map((line) => `${line}\u001b[K\n`).join('')}\u001b[J`)
    this.#drawn = fitted.length
  }

  #back(clear = true): string {
    const up = this.#drawn === 0 ? '' : `\u001b[${this.#drawn}A\r`
    return clear ? `${up}\u001b[J` : up
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with one.
const style = /\u001b\[[\d;]*m/g

/** A line that does not wrap: a wrapped one would count as two on the way back. Styled lines that are too long lose it. */
function shorten(line: string, width: number): string {
  const bare = line.replace(style, '')
  if (width <= 0 || displayWidth(bare) < width) return line
  let text = ''
  let used = 0
  for (const character of bare) {
    used += displayWidth(character)
    if (used >= width) break
    text += character
  }
  return text
}
