/** All measures, in the order in which they run. */
import { checkpoints } from './checkpoints.ts'
import { coldStart } from './cold-start.ts'
import { latency } from './latency.ts'
import type { Measure } from './measure.ts'
import { memory } from './memory.ts'

/** All measures in the order in which they run. */
export const measures: readonly Measure[] = [checkpoints, latency, memory, coldStart]
