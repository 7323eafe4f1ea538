/**
 * Session windows: which belong together.
 *
 * As Flink's EventTimeSessionWindows: an event opens [t, t + gap), and windows of one group that touch are one, so events
 * exactly a gap apart are in one session. Lateness is judged on the window after merging (window/lateness): an old event
 * that reaches into a session that is still kept is taken.
 */

/** Whether two windows merge: they overlap, or one ends where the other starts. */
export function touches(aStartMs: number, aEndMs: number, bStartMs: number, bEndMs: number): boolean {
  return aStartMs <= bEndMs && aEndMs >= bStartMs
}
