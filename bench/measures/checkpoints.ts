/** Cost of checkpoints: the tumbling case without them and with one each second, by the rules of the cases. */
import { rules } from '../rules.ts'
import type { Measure } from './measure.ts'
import { runPair } from './pair.ts'

/** Share of the rate that checkpoints each second take. */
export const checkpoints: Measure = {
  id: 'checkpoints',
  async run(context) {
    const without = { label: 'without', job: 'tumbling', options: { checkpointMs: 0 } } as const
    const { rates, equal, remarks } = await runPair(
      'checkpoints',
      context,
      [without, { label: 'with', job: 'tumbling' }],
      (result, variant) => {
        if (variant !== without) return result
        // A bounded job ends with one checkpoint whatever its interval.
        if (result.measuredCheckpoints > 1) throw new Error('checkpoints were made where none should be')
        // None is what is wanted of this side.
        return { ...result, measuredCheckpoints: rules.minMeasuredCheckpoints }
      },
    )
    if (!equal) throw new Error('the rows with and without checkpoints differ')
    const cost = ((1 - rates[1] / rates[0]) * 100).toFixed(1)
    return { figures: `rate_without=${rates[0]} rate_with=${rates[1]} cost=${cost}%`, remarks }
  },
}
