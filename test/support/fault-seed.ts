/** One seed of the simulation: a run of the shop under faults that the seed draws, and everything that must hold after it. */
import { decodeManifest } from '../../src/checkpoint/manifest.ts'
import { MillraceError } from '../../src/core/errors.ts'
import { DeadLetter, LateEvent, MetricValue } from '../../src/gen/millrace/v1/metric.ts'
import { describeFaultPlan, drawFaultPlan, type FaultPlan, losesData } from '../../src/testing/fault-plan.ts'
import { type FaultRun, type FaultRunOptions, runUnderFaults } from '../../src/testing/fault-run.ts'
import { feedSlowly } from '../../src/testing/slow-feed.ts'
import { definition, descriptors, drawShop, type ShopEvent, shopOracle, shopTopic } from './fault-shop.ts'

const WORKERS = 2

/** What one seed came to. */
export interface SeedResult {
  readonly seed: number
  readonly plan: FaultPlan
  /** What was wrong; empty for a good run. */
  readonly wrong: readonly string[]
  readonly trace: readonly string[]
  readonly outcome: FaultRun['outcome'] | 'stuck'
  /** That of the last plan; 0 where no process knows the job. */
  readonly parallelism: number
}

/** How to run it otherwise than as drawn. */
export interface SeedOptions {
  readonly plan?: FaultPlan
  readonly losses?: boolean
  readonly planted?: FaultRunOptions['planted']
}

/** Runs a seed and checks it. Never throws for what the run does. */
export async function runSeed(seed: number, options: SeedOptions = {}): Promise<SeedResult> {
  const losses = options.losses ?? true
  const plan = options.plan ?? drawFaultPlan(seed, { untilMs: 2600, workers: WORKERS, losses })
  const events = drawShop(seed)
  const topic = shopTopic(events, seed)
  const { planted } = options
  let run: FaultRun
  try {
    run = await runUnderFaults({
      ...{ seed, topic, descriptors, definition, plan, workers: WORKERS, onFirstRun: feedSlowly(topic, seed, 200) },
      ...(planted === undefined ? {} : { planted }),
    })
  } catch (thrown) {
    return {
      seed,
      plan,
      wrong: [`it does not end: ${MillraceError.from(thrown).message}`],
      trace: [],
      outcome: 'stuck',
      parallelism: 0,
    }
  }
  const wrong = [...run.checks.broken]
  const held = run.simulation?.manager.jobs().find(({ coordinator }) => coordinator.name === definition.name)
  const parallelism = held?.coordinator.plan.parallelism ?? 0
  try {
    if (run.outcome === 'finished') await checkFinished(run, events, losesData(plan), wrong)
    else checkRefused(run, losesData(plan), wrong)
    await run.close()
  } catch (thrown) {
    wrong.push(`the checks fail: ${MillraceError.from(thrown).message}`)
  }
  return { seed, plan, wrong, trace: run.trace, outcome: run.outcome, parallelism }
}

/** What a failure says: enough to run it again. */
export function describeFailure({ seed, plan, wrong, trace }: SeedResult): string {
  return [
    `seed ${seed} failed (make simulate SEEDS=1 SEED=${seed})`,
    `  plan: ${describeFaultPlan(plan)}`,
    ...wrong.slice(0, 10).map((line) => `  wrong: ${line}`),
    ...trace.slice(-12).map((line) => `  ${line}`),
  ].join('\n')
}

function checkRefused(run: FaultRun, lossy: boolean, wrong: string[]): void {
  const why = run.error === null ? 'no process knows the job' : `${run.error.code}: ${run.error.message}`
  if (!lossy) wrong.push(`the job was refused though nothing was lost: ${why}`)
  else if (run.error !== null && !['STORE_LOST', 'STORE_FENCED', 'CHECKPOINT_CORRUPT'].includes(run.error.code)) {
    wrong.push(`the job ended with ${why}`)
  }
  checkOnce(run, wrong)
}

/** Each record is there once: revisions of a result follow each other, origins of side outputs differ. */
function checkOnce({ sinks }: FaultRun, wrong: string[]): Map<string, MetricValue> {
  const newest = new Map<string, MetricValue>()
  for (const { key, value } of sinks.records('shop', 'out')) {
    const name = new TextDecoder().decode(key!)
    const result = MetricValue.decode(value)
    const before = newest.get(name)
    const expected = (before?.revision ?? 0) + 1
    if (result.revision !== expected) {
      wrong.push(`${name}: revision ${result.revision} of attempt ${result.attempt} where ${expected} should be`)
    }
    if (before !== undefined && before.attempt === result.attempt && before.watermark! > result.watermark!) {
      wrong.push(`${name}: the watermark goes back within attempt ${result.attempt}`)
    }
    newest.set(name, result)
  }
  for (const [sink, type] of [
    ['deadLetters', DeadLetter],
    ['lateEvents', LateEvent],
  ] as const) {
    const origins = sinks.records('shop', sink).map(({ value }) => originOf(type.decode(value)))
    if (new Set(origins).size !== origins.length) wrong.push(`sink ${sink} has a record twice`)
  }
  if (sinks.repeated > 0) wrong.push(`${sinks.repeated} epochs were given to a sink that had them`)
  return newest
}

function originOf({ partition, offset }: { readonly partition: number; readonly offset: number }): string {
  return `${partition}/${offset}`
}

async function checkFinished(
  run: FaultRun,
  events: readonly ShopEvent[],
  lossy: boolean,
  wrong: string[],
): Promise<void> {
  const newest = checkOnce(run, wrong)
  const { sinks, store, simulation } = run
  const dead = sinks.records('shop', 'deadLetters').map(({ value }) => originOf(DeadLetter.decode(value)))
  const broken = events.filter((event) => event.broken).map(originOf)
  compareSets('dead letters', new Set(dead), new Set(broken), wrong)
  const late = new Map<string, readonly string[]>()
  for (const { value } of sinks.records('shop', 'lateEvents')) {
    const event = LateEvent.decode(value)
    late.set(originOf(event), event.metrics)
  }
  const oracle = shopOracle(events, late)
  const said = new Map<string, number>()
  for (const { metric, windowStart, dimensions, value } of newest.values()) {
    const group = dimensions.map((dimension) => dimension.value).join('|')
    said.set(`${metric}|${windowStart!.getTime()}|${group}`, value!.value)
  }
  compareMaps('the sink', said, oracle, wrong)
  const views = new Map<string, number>()
  for (const [index, { id }] of definition.metrics.entries()) {
    for (const rows of await simulation!.rows('shop', index)) {
      for (let i = 0; i < rows.count; i++) {
        views.set(`${id}|${rows.windowStartMs[i]}|${rows.dimensions[i]!.join('|')}`, rows.values[i]!)
      }
    }
  }
  compareMaps('the views', views, oracle, wrong)
  // A store that lost data after the end holds an earlier checkpoint, or none.
  if (lossy) return
  const data = store.jobs.get('shop')
  const last = [...(data?.manifests.keys() ?? [])].sort((a, b) => b - a)[0]
  if (data === undefined || last === undefined) {
    wrong.push('the store has no checkpoint of a job that has finished')
    return
  }
  const { counters } = decodeManifest(data.manifests.get(last)!, 'the last checkpoint')
  const { read = 0, applied = 0, filtered = 0, deadLettered = 0, deduplicated = 0 } = counters
  const lateCount = counters.late ?? 0
  if (read !== events.length) wrong.push(`${read} events were read of ${events.length}`)
  if (read !== applied + lateCount + filtered + deadLettered + deduplicated) {
    wrong.push(
      `read ${read} is not applied ${applied} + late ${lateCount} + filtered ${filtered} + dead ${deadLettered} + deduplicated ${deduplicated}`,
    )
  }
  if (deadLettered !== dead.length) wrong.push(`${deadLettered} dead letters are counted, ${dead.length} were given`)
}

function compareSets(what: string, found: ReadonlySet<string>, expected: ReadonlySet<string>, wrong: string[]): void {
  for (const name of expected) if (!found.has(name)) wrong.push(`${what} lack ${name}`)
  for (const name of found) if (!expected.has(name)) wrong.push(`${what} have ${name} too much`)
}

function compareMaps(
  what: string,
  found: ReadonlyMap<string, number>,
  expected: ReadonlyMap<string, number>,
  wrong: string[],
): void {
  for (const [name, value] of expected) {
    if (found.get(name) !== value) wrong.push(`${what}: ${name} is ${found.get(name)}, the oracle has ${value}`)
  }
  for (const name of found.keys()) if (!expected.has(name)) wrong.push(`${what}: ${name} is not in the oracle`)
}
