/** What the batch oracle expects of the main job, for tests that hold an engine against it. */
import { engagementMetrics } from '../oracle/engagement-metrics.ts'
import { openOracle } from '../oracle/engagement-oracle.ts'
import { type EngagementMetric, engagementMetricIds, oracleLine } from './engine-numbers.ts'

/** What the oracle says of all metrics of the main job, by metric, sorted. */
export async function expectedNumbers(): Promise<ReadonlyMap<EngagementMetric, readonly string[]>> {
  const oracle = await openOracle()
  const expected = new Map<EngagementMetric, readonly string[]>()
  try {
    for (const id of engagementMetricIds) {
      const query = engagementMetrics[id]
      const by: readonly string[] = 'by' in query ? query.by : []
      const rows = await oracle.rows(query)
      expected.set(id, rows.map((row) => oracleLine(id, row, by)).sort())
    }
  } finally {
    oracle.close()
  }
  return expected
}
