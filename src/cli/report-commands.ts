/** Commands that show a metric about persons whole: funnel, retention. */
import type { Command } from 'commander'
import { outputOf, type ServerOptions, withClient } from './context.ts'
import type { CliDeps } from './deps.ts'
import { writeFunnel, writeRetention } from './report-view.ts'
import { type RangeOptions, reportOf, withReport } from './selection-options.ts'
import { positiveInteger, withServer } from './shared-options.ts'

interface ReportOptions extends ServerOptions, RangeOptions {
  readonly filter?: readonly string[]
  readonly groupBy?: string
  readonly limit?: number
}

/** Adds the commands to the program. */
export function addReportCommands(program: Command, deps: CliDeps): void {
  withReport(withServer(program.command('funnel')))
    .summary('show a funnel, all steps of it')
    .description(
      'Shows a funnel by window and group: how many persons reached each step, the shares of the first step and of the one\n' +
        'before, how many left, and the mean time. What the metric measures does not matter: a funnel keeps it all.',
    )
    .argument('<metric>', 'job/metric')
    .option('--limit <funnels>', 'most windows and groups in the answer', positiveInteger)
    .action(async (metric: string, options: ReportOptions) => {
      const result = await withClient(deps, options, ({ query }) => query.funnel(reportOf(metric, options)))
      writeFunnel(outputOf(deps, options), result)
    })
  withReport(withServer(program.command('retention')))
    .summary('show a retention, all cohorts of it')
    .description(
      'Shows a retention by cohort and period, and the curve over cohorts that are mature in a period. Shares in brackets\n' +
        'can still rise: not everybody has had their time.',
    )
    .argument('<metric>', 'job/metric')
    .option('--limit <cohorts>', 'most cohorts in the answer', positiveInteger)
    .action(async (metric: string, options: ReportOptions) => {
      const result = await withClient(deps, options, ({ query }) => query.retention(reportOf(metric, options)))
      writeRetention(outputOf(deps, options), result)
    })
}
