/**
 * Cost of checkpoints: the tumbling case without them and with one each second, by the rules of the cases; and the same with
 * a sink that writes every result, at least once without checkpoints and exactly once with them.
 */
import { rules } from '../rules.ts'
import type { Measure, MeasureContext } from './measure.ts'
import { type PairReport, runPair, type Variant } from './pair.ts'

/** Share of the rate that checkpoints each second take, without and with outboxes in them. */
export const checkpoints: Measure = {
  id: 'checkpoints',
  async run(context) {
    const state = await runWithout(
      context,
      { label: 'without', job: 'tumbling', options: { checkpointMs: 0 } },
      { label: 'with', job: 'tumbling' },
    )
    const sink = await runWithout(
      context,
      { label: 'sink-at-least-once', job: 'tumbling', options: { checkpointMs: 0, delivery: 'at-least-once' } },
      { label: 'sink-exactly-once', job: 'tumbling', options: { delivery: 'exactly-once' } },
    )
    const figures = [
      `rate_without=${state.rates[0]} rate_with=${state.rates[1]} cost=${costOf(state)}%`,
      `sink_rate_without=${sink.rates[0]} sink_rate_with=${sink.rates[1]} sink_cost=${costOf(sink)}%`,
    ]
    return { figures: figures.join(' '), remarks: [...state.remarks, ...sink.remarks] }
  },
}

/** Runs a variant without checkpoints and one with them. */
async function runWithout(context: MeasureContext, without: Variant, others: Variant): Promise<PairReport> {
  const report = await runPair('checkpoints', context, [without, others], (result, variant) => {
    if (variant !== without) return result
    // A bounded job ends with one checkpoint whatever its interval.
    if (result.measuredCheckpoints > 1) throw new Error('checkpoints were made where none should be')
    // None is what is wanted of this side.
    return { ...result, measuredCheckpoints: rules.minMeasuredCheckpoints }
  })
  if (!report.equal) throw new Error(`the rows of ${without.label} and ${others.label} differ`)
  return report
}

function costOf({ rates }: PairReport): string {
  return ((1 - rates[1] / rates[0]) * 100).toFixed(1)
}
