/** Windows by definition: every record against every window that could hold it, with lateness judged by the rules. */
import type { WindowSpec } from '../../src/program/windows.ts'

export interface Click {
  readonly key: string
  readonly atMs: number
  readonly amount: number
}

/** Records and watermarks in the order in which they come. */
export type Step = { readonly click: Click } | { readonly watermarkMs: number }

export interface Fired {
  readonly key: string
  readonly startMs: number
  readonly endMs: number
  readonly value: number
  readonly revision: number
}

interface Open {
  readonly key: string
  startMs: number
  endMs: number
  sum: number
  revision: number
  due: boolean
}

function windowsOf(spec: WindowSpec, atMs: number): [number, number][] {
  const found: [number, number][] = []
  if ('tumbling' in spec || 'sliding' in spec) {
    const size = Number('tumbling' in spec ? spec.tumbling : spec.sliding)
    const every = Number('tumbling' in spec ? spec.tumbling : spec.every)
    const offset = Number(spec.offset ?? 0)
    const first = Math.floor((atMs - size - offset) / every) - 1
    for (let n = first; n * every + offset <= atMs; n++) {
      const start = n * every + offset
      if (start <= atMs && atMs < start + size) found.push([start, start + size])
    }
  } else if ('cumulate' in spec) {
    const max = Number(spec.cumulate)
    const step = Number(spec.step)
    const start = Math.floor(atMs / max) * max
    for (let end = start + step; end <= start + max; end += step) if (atMs < end) found.push([start, end])
  } else if ('session' in spec) {
    found.push([atMs, atMs + Number(spec.session)])
  }
  return found
}

/** What a sum over windows gives, in any order; and how many records were late. */
export function sumWindows(
  spec: WindowSpec,
  latenessMs: number,
  steps: readonly Step[],
): { fired: Fired[]; late: number } {
  const fired: Fired[] = []
  let open: Open[] = []
  let late = 0
  let watermarkMs = Number.NEGATIVE_INFINITY
  const fire = (window: Open): void => {
    window.revision++
    const { key, startMs, endMs, sum, revision } = window
    fired.push({ key, startMs, endMs, value: sum, revision })
  }
  for (const step of steps) {
    if ('watermarkMs' in step) {
      if (step.watermarkMs <= watermarkMs) continue
      watermarkMs = step.watermarkMs
      for (const window of open) {
        if (window.endMs - 1 > watermarkMs || window.due) continue
        window.due = true
        fire(window)
      }
      open = open.filter((window) => window.endMs - 1 + latenessMs > watermarkMs)
      continue
    }
    const { key, atMs, amount } = step.click
    const assigned = windowsOf(spec, atMs)
    let taken = false
    for (const [startMs, endMs] of assigned) {
      let joined: Open[]
      if ('session' in spec) joined = open.filter((w) => w.key === key && w.startMs <= endMs && w.endMs >= startMs)
      else joined = open.filter((w) => w.key === key && w.startMs === startMs && w.endMs === endMs)
      const window: Open = {
        key,
        startMs: Math.min(startMs, ...joined.map((w) => w.startMs)),
        endMs: Math.max(endMs, ...joined.map((w) => w.endMs)),
        sum: joined.reduce((sum, w) => sum + w.sum, 0),
        revision: Math.max(0, ...joined.map((w) => w.revision)),
        due: false,
      }
      if (window.endMs - 1 + latenessMs <= watermarkMs) continue
      taken = true
      window.sum += amount
      window.due = window.endMs - 1 <= watermarkMs
      open = [...open.filter((w) => !joined.includes(w)), window]
      if (window.due) fire(window)
    }
    if (!taken && assigned.length > 0 && atMs + latenessMs <= watermarkMs) late++
  }
  return { fired, late }
}
