/** From a window definition to what puts timestamps into its panes. */
import { MillraceError } from '../core/errors.ts'
import type { WindowDefinition } from '../job/definition.ts'
import { createTumbling, type WindowAssigner } from './tumbling.ts'

/** The assigner of the state that events of these windows are gathered in. */
export function createAssigner(window: WindowDefinition): WindowAssigner {
  if (window.kind === 'tumbling') return createTumbling(window.sizeMs, window)
  throw new MillraceError('INTERNAL', `no assigner for ${window.kind} windows`)
}
