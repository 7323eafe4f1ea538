/** The sinks of one subtask whose results leave the job, as its definition names them. */
import type { JobPlan } from '../job/plan.ts'
import type { ResultSink } from '../operator/result-sink.ts'
import { BoundedWriter } from '../sink/bounded-writer.ts'
import { DiscardSink } from '../sink/discard.ts'
import { MetricValueSink } from '../sink/metric-values.ts'
import type { WorkerPorts } from './ports.ts'

/** Opens every sink of a plan for subtask `index` of `operator`; `wake` is called when one that was full can take more. */
export function buildSinks(
  plan: JobPlan,
  attempt: number,
  operator: 'window' | 'merge',
  index: number,
  ports: WorkerPorts,
  wake: () => void,
): ResultSink[] {
  const values = plan.tables.map((_, table) => plan.metrics.filter((m) => m.table === table).map((m) => m.read.of))
  return plan.definition.sinks.map(({ id, output }) =>
    output.kind === 'discard'
      ? new DiscardSink(values)
      : new MetricValueSink(
          plan,
          attempt,
          new BoundedWriter(ports.openWriter(output, `${plan.jobName}/${operator}/${id}/${index}`), wake),
        ),
  )
}
