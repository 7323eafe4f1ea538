/** The sinks of one subtask whose results leave the job, as its definition names them. */
import type { JobPlan } from '../job/plan.ts'
import type { ResultSink } from '../operator/result-sink.ts'
import { DiscardSink } from '../sink/discard.ts'
import { MetricValueSink } from '../sink/metric-values.ts'
import { resultFormat } from '../sink/record-json.ts'
import type { SubtaskOutputs } from './subtask-outputs.ts'

/** Opens every sink of a plan for subtask `index` of `operator`. */
export function buildSinks(
  plan: JobPlan,
  attempt: number,
  operator: 'window' | 'merge',
  index: number,
  outputs: SubtaskOutputs,
): ResultSink[] {
  const values = plan.tables.map((_, table) => plan.metrics.filter((m) => m.table === table).map((m) => m.read.of))
  return plan.definition.sinks.map(({ id, output, format, corrections, ...rest }) =>
    output.kind === 'discard'
      ? new DiscardSink(values)
      : new MetricValueSink(
          plan,
          attempt,
          outputs.open(id, { output, ...rest }, `${plan.jobName}/${operator}/${id}/${index}`),
          {
            format: resultFormat(output, format),
            ...(corrections === undefined ? {} : { corrections }),
          },
        ),
  )
}
