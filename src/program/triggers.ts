/**
 * Triggers: when a window's result is emitted.
 *
 * Without one a window fires when the watermark (or the wall clock) reaches its end, and with each late record after
 * that. Firing keeps what the window holds; purging forgets it, and nothing else.
 */
import { MillraceError } from '../core/errors.ts'
import type { WindowBounds } from './windows.ts'

/** What becomes of a window. */
export type TriggerAnswer = 'continue' | 'fire' | 'purge' | 'fireAndPurge'

/** What a trigger may look at and keep. Valid during the call only. */
export interface TriggerContext {
  readonly watermarkMs: number
  readonly nowMs: number
  /** What the trigger keeps of this window, plain data; undefined at first. */
  state: unknown
  setEventTimer(timeMs: number): void
  setProcessingTimer(timeMs: number): void
}

/** Decides when windows fire. */
export interface Trigger<In> {
  /** A record was added to the window. */
  onRecord(value: In, timestampMs: number, window: WindowBounds, context: TriggerContext): TriggerAnswer
  /** A timer that the trigger has set is due. */
  onTimer?(timeMs: number, window: WindowBounds, context: TriggerContext): TriggerAnswer
  /**
   * Several windows became `window`; the result is what is kept. Needed for session windows. Timers that were set for any
   * of them come as before.
   */
  merge?(states: readonly unknown[], window: WindowBounds): unknown
}

/** Fires with each `count`th record of a window; `purge` begins anew after that. JOB_INVALID for what is no count. */
export function countTrigger(count: number, options: { readonly purge?: boolean } = {}): Trigger<unknown> {
  if (!Number.isSafeInteger(count) || count < 1)
    throw new MillraceError('JOB_INVALID', `countTrigger(${count}): a count is a whole number above zero`)
  const answer = options.purge === true ? 'fireAndPurge' : 'fire'
  return {
    onRecord(_value, _timestampMs, _window, context) {
      const seen = ((context.state as number | undefined) ?? 0) + 1
      context.state = seen >= count ? 0 : seen
      return seen >= count ? answer : 'continue'
    },
    merge: (states) => states.reduce<number>((sum, state) => sum + ((state as number | undefined) ?? 0), 0),
  }
}
