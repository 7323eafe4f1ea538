/** What nine more metrics cost: the metrics of a product beside the first of them alone, on the same topic. */
import { productMetrics } from '../millrace-jobs.ts'
import type { Measure } from './measure.ts'
import { runPair } from './pair.ts'

const MEBIBYTE = 2 ** 20

/** Rates, CPU and memory of ten metrics and of one. */
export const product: Measure = {
  id: 'product',
  async run(context) {
    const pair = await runPair('product', context, [
      { label: 'ten metrics', job: 'product' },
      { label: 'one metric', job: 'product-one' },
    ])
    const [ten, one] = pair.rates
    const [tenNs, oneNs] = pair.cpuNs
    const [tenMb, oneMb] = pair.rssBytes.map((bytes) => Math.round(bytes / MEBIBYTE))
    return {
      figures:
        `metrics=${productMetrics} rate=${ten} one_metric_rate=${one} ratio=${(ten / one).toFixed(2)} ` +
        `cpu_ns=${tenNs}/${oneNs} rss_mb=${tenMb}/${oneMb}`,
      remarks: pair.remarks,
    }
  },
}
