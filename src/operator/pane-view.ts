/**
 * Which windows there are over some panes.
 *
 * Owns: the windows that are open and have events, in an order in which each is quickly made of the one before; the panes
 * of a window; which groups of a window have a result. Does not own: adding panes up (operator/running-window).
 */
import type { WindowDefinition } from '../job/definition.ts'
import type { HistoryTable } from '../state/history-table.ts'
import type { Span } from '../window/panes.ts'
import type { Slice, SliceList } from './slices.ts'

/** The panes of a window, in order. */
export function panesOf(panes: readonly Slice[], window: Span): Slice[] {
  return panes.filter((pane) => pane.startMs >= window.startMs && pane.endMs <= window.endMs)
}

/**
 * The windows that have events and pass `isWanted`. Sliding windows come latest first: each is then mostly the one before
 * it and some older panes. Cumulating ones come earliest first: each is the one before it and what came after.
 */
export function openWindows(
  { kind }: WindowDefinition,
  panes: readonly Slice[],
  isWanted: (window: Span) => boolean,
): Span[] {
  const windows: Span[] = []
  let last: Span | null = null
  for (const { windows: all } of panes) {
    for (const window of all) {
      // Windows are in order in each pane, and those before the last one met were in an earlier pane too.
      if (last !== null && !isLater(window, last)) continue
      last = window
      if (isWanted(window)) windows.push(window)
    }
  }
  return kind === 'cumulate' ? windows : windows.reverse()
}

/** Of cumulating windows with one start, those that say something new: the first, and those with events of their own. */
export function tellingWindows(windows: readonly Span[], panes: readonly Slice[]): Span[] {
  return windows.filter(
    ({ startMs, endMs }, i) =>
      startMs !== windows[i - 1]?.startMs ||
      endMs <= (panes.findLast((pane) => pane.windows[0]!.startMs === startMs)?.endMs ?? -Infinity),
  )
}

function isLater(window: Span, than: Span): boolean {
  return window.startMs > than.startMs || (window.startMs === than.startMs && window.endMs > than.endMs)
}

/** Whether a group of this window has a result already: for windows that fired in one part of a restored state only. */
export function knownResults(
  table: { readonly windows: SliceList; readonly history: HistoryTable },
  { startMs, endMs }: Span,
): (key: Uint8Array) => boolean {
  const known = new Set<string>()
  const nameOf = (key: Uint8Array): string => Buffer.from(key).toString('latin1')
  table.history.scan(startMs, endMs, (row) => {
    if (row.startMs === startMs && row.endMs === endMs) known.add(nameOf(row.key))
    return true
  })
  for (const slice of table.windows.slices) {
    if (slice.startMs !== startMs || slice.endMs !== endMs) continue
    for (let row = 0; row < slice.groups.count; row++) known.add(nameOf(slice.groups.keyOf(row)))
  }
  return (key) => known.has(nameOf(key))
}
