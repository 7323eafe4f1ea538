/** The command that predicts what persons will bring: ltv. */
import { type Command, InvalidArgumentError } from 'commander'
import { parseInstant } from '../core/instant.ts'
import type { LifetimeQuery } from '../query/lifetime-api.ts'
import { outputOf, type ServerOptions, withClient } from './context.ts'
import type { CliDeps } from './deps.ts'
import { usage } from './failure.ts'
import { writeLifetime } from './lifetime-view.ts'
import { collect, positiveInteger, withServer } from './shared-options.ts'

interface LifetimeOptions extends ServerOptions {
  readonly person?: readonly string[]
  readonly steps: number
  readonly stepDays: number
  readonly discount: number
  readonly penalizer: number
  readonly until?: string
  readonly limit: number
  readonly margin?: number
  readonly churn?: number
  readonly csv?: boolean
}

/** Adds the command to the program. */
export function addLifetimeCommand(program: Command, deps: CliDeps): void {
  withServer(program.command('ltv'))
    .summary('predict what persons will bring')
    .description(
      'Predicts how often persons will buy and what they will spend, from a metric of money by person and calendar day (as\n' +
        'revenue/days of jobs/revenue.yaml): BG/NBD and Gamma-Gamma, fitted to all complete days when it is asked. Shows the\n' +
        'most valuable, or those named. With --margin and --churn also the steady state, ARPPU x margin / churn.',
    )
    .argument('<metric>', 'job/metric')
    .option('-p, --person <person>', 'only this person; may be repeated', collect)
    .option('--steps <count>', 'steps to look ahead', positiveInteger, 12)
    .option('--step-days <days>', 'days in a step', positiveInteger, 30)
    .option('--discount <share>', 'discount a step, as 1% or 0.01', share, 0)
    .option('--penalizer <number>', 'holds the parameters of small data, as 0.01', share, 0)
    .option('--until <time>', 'only days that start before this: RFC 3339, or a day (UTC)')
    .option('--limit <persons>', 'most persons in the answer', positiveInteger, 10)
    .option('--margin <share>', 'gross margin, as 40% or 0.4', share)
    .option('--churn <share>', 'share of persons who leave in a step, as 5% or 0.05', share)
    .option('--csv', 'write CSV: what the numbers are in lines with #, then a line a person')
    .action(async (metric: string, options: LifetimeOptions) => {
      const result = await withClient(deps, options, ({ query }) => query.lifetime(lifetimeOf(metric, options)))
      writeLifetime(outputOf(deps, options), result, options.csv === true)
    })
}

function lifetimeOf(metric: string, options: LifetimeOptions): LifetimeQuery {
  const slash = metric.indexOf('/')
  if (slash <= 0 || slash === metric.length - 1) throw usage(`${metric} names no metric: write job/metric`)
  const { person = [], steps, stepDays, discount, penalizer, until, limit, margin, churn } = options
  if ((margin === undefined) !== (churn === undefined)) throw usage('--margin and --churn go together')
  const untilMs = until === undefined ? Number.POSITIVE_INFINITY : parseInstant(until)
  if (untilMs === undefined || Number.isNaN(untilMs)) throw usage(`--until ${until} is no time: write 2024-03-10`)
  return {
    job: metric.slice(0, slash),
    metric: metric.slice(slash + 1),
    ...{ untilMs, steps, daysPerStep: stepDays, discountRate: discount, penalizer, persons: person, limit },
    ...{ margin: margin ?? null, churn: churn ?? null },
  }
}

/** `5%` or `0.05`. */
function share(text: string): number {
  const value = text.endsWith('%') ? Number(text.slice(0, -1)) / 100 : Number(text)
  if (text.trim() === '' || !(value >= 0 && Number.isFinite(value)))
    throw new InvalidArgumentError('must be a share, as 5% or 0.05.')
  return value
}
