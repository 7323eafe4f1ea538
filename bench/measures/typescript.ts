/** The case `tumbling` as a job in TypeScript beside the declarative one: the same rows, at the price of code per event. */
import type { Measure } from './measure.ts'
import { runPair, runVariant } from './pair.ts'

const yaml = { label: 'yaml', job: 'tumbling' } as const

/** Rates of both, and their ratio. */
export const typescript: Measure = {
  id: 'typescript',
  async run(context) {
    // On the small topic, which takes the job in TypeScript the whole span, the rows are compared. The declarative job is
    // through with it before it is warm: its rate is that on the topic of the cases.
    const { rates, cpuNs, equal, remarks } = await runPair('typescript', { ...context, topic: context.smallTopic }, [
      { label: 'typescript', job: 'typescript' },
      { ...yaml, label: 'yaml, same topic' },
    ])
    if (!equal) throw new Error('the rows of the two jobs differ')
    const long = await runVariant('typescript', context, yaml)
    const rate = Math.round(long.result.eventsPerSecond)
    const yamlNs = Math.round((long.cpuSeconds * 1e9) / long.result.records)
    const ratio = (rates[0] / rate).toFixed(2)
    return {
      figures: `typescript=${rates[0]} yaml=${rate} ratio=${ratio} cpu_ns=${cpuNs[0]}/${yamlNs} checksum=equal`,
      remarks: remarks.filter((text) => text.startsWith('typescript')),
    }
  },
}
