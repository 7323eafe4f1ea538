/** From a window definition to what puts timestamps into its panes. */
import { MillraceError } from '../core/errors.ts'
import type { WindowDefinition } from '../job/definition.ts'
import { GlobalAssigner } from './global.ts'
import { createPanes } from './panes.ts'
import { createMonths, createTumbling, type WindowAssigner } from './tumbling.ts'

/** The assigner of the state that events of these windows are gathered in. */
export function createAssigner(window: WindowDefinition): WindowAssigner {
  const panes = createPanes(window)
  if (panes !== null) return panes
  if (window.kind === 'global') return new GlobalAssigner()
  if (window.kind === 'tumbling' && window.unit === 'month') return createMonths(window.timezone)
  if ('sizeMs' in window) return createTumbling(window.sizeMs, window)
  throw new MillraceError('INTERNAL', `no assigner for ${window.kind} windows`)
}
