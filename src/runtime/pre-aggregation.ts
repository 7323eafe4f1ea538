/** Whether rows of a plan may be folded before the exchange, and how (exchange/combiner). Pure. */
import type { CombinerPlan } from '../exchange/combiner.ts'
import type { JobPlan } from '../job/plan.ts'
import { createAssigner } from '../window/assigner.ts'
import { exchangedColumns } from './plan-facts.ts'

/**
 * What a combiner may do for `plan`, or null where a result could change:
 *
 * - late events are kept one by one, with their origin;
 * - a window depends on each event's own time or order (sessions, triggers, the clock, timelines of persons);
 * - copies of events are to be found: each has its id;
 * - events may be taken back: how often a value was given counts then;
 * - an aggregate does (floating sums in their last bits, first, last, …), or needs a column's values for two questions.
 */
export function combinerPlan(plan: JobPlan): CombinerPlan | null {
  if (!plan.definition.preAggregation || plan.definition.late !== null || plan.dedupe !== undefined) return null
  const folds = { sum: new Set<number>(), min: new Set<number>(), max: new Set<number>() }
  let byKey = false
  for (const { window, trigger, keyed, accumulators, takesBack, person } of plan.tables) {
    if (person !== undefined) return null
    if (!('sizeMs' in window) || window.time !== 'event' || trigger !== null || takesBack === true) return null
    byKey ||= keyed
    for (const { kind, column, floating } of accumulators) {
      switch (kind) {
        case 'count':
          break
        case 'sum':
        case 'min':
        case 'max':
          if (kind === 'sum' && floating) return null
          folds[kind].add(column)
          break
        // To meet a value twice is to meet it once.
        case 'distinct':
        case 'approxDistinct':
        case 'boundedDistinct':
          byKey ||= column < 0
          break
        default:
          return null
      }
    }
  }
  const { numbers, texts } = exchangedColumns(plan)
  const asked = (column: number): number => [folds.sum, folds.min, folds.max].filter((set) => set.has(column)).length
  if (numbers.some((column) => asked(column) !== 1)) return null
  return {
    byKey,
    texts,
    sums: [...folds.sum],
    mins: [...folds.min],
    maxs: [...folds.max],
    assigners: plan.tables.map(({ window }) => createAssigner(window)),
  }
}
