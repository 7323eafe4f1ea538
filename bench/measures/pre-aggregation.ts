/**
 * What aggregating before the exchange is worth: count and sum by screen, of which there are 50, and by person, of whom
 * there are 100,000, so that hardly two events of a batch meet.
 */
import type { Measure } from './measure.ts'
import { runPair } from './pair.ts'

/** Rates with and without it. */
export const preAggregation: Measure = {
  id: 'pre-aggregation',
  async run(context) {
    const figures: string[] = []
    const remarks: string[] = []
    for (const [name, job] of [
      ['screen', 'screens'],
      ['person', 'tumbling'],
    ] as const) {
      const pair = await runPair('pre-aggregation', context, [
        { label: `by ${name}, on`, job },
        { label: `by ${name}, off`, job, options: { preAggregation: false } },
      ])
      if (!pair.equal) throw new Error(`the rows by ${name} differ: it must change no result`)
      const [on, off] = pair.rates
      figures.push(`${name}_on=${on} ${name}_off=${off} ${name}_ratio=${(on / off).toFixed(2)}`)
      remarks.push(...pair.remarks)
    }
    return { figures: figures.join(' '), remarks }
  },
}
