/** All measures, in the order in which they run. */
import { cel } from './cel.ts'
import { checkpoints } from './checkpoints.ts'
import { coldStart } from './cold-start.ts'
import { latency } from './latency.ts'
import type { Measure } from './measure.ts'
import { memory } from './memory.ts'
import { preAggregation } from './pre-aggregation.ts'
import { product } from './product.ts'
import { recovery } from './recovery.ts'
import { stateMemory } from './state-memory.ts'
import { typescript } from './typescript.ts'

/** All measures in the order in which they run. */
export const measures: readonly Measure[] = [
  checkpoints,
  preAggregation,
  typescript,
  product,
  cel,
  latency,
  memory,
  coldStart,
  recovery,
  stateMemory,
]
