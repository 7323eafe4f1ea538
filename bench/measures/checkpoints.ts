/** Cost of checkpoints: the tumbling case without them and with one each second, by the rules of the cases. */

import type { SideRun } from '../process.ts'
import { startBenchRedis } from '../redis.ts'
import { detailLine } from '../report.ts'
import { runMillrace } from '../rival.ts'
import { rules, shortcomings } from '../rules.ts'
import type { Measure, MeasureContext } from './measure.ts'

/** Share of the rate that checkpoints each second take. */
export const checkpoints: Measure = {
  id: 'checkpoints',
  async run(context) {
    const without: SideRun[] = []
    const withThem: SideRun[] = []
    for (let round = 0; round < context.rounds; round++) {
      without.push(await runOnce(context, 0))
      withThem.push(await runOnce(context, rules.checkpointMs))
    }
    const [rateWithout, rateWith] = [meanRate(without), meanRate(withThem)]
    const cost = ((1 - rateWith / rateWithout) * 100).toFixed(1)
    const remarks = [
      ...without.flatMap(({ result }) => {
        // None is what is wanted of this side.
        const enough = { ...result, measuredCheckpoints: rules.minMeasuredCheckpoints }
        return shortcomings(enough).map((text) => `without: ${text}`)
      }),
      ...withThem.flatMap(({ result }) => shortcomings(result).map((text) => `with: ${text}`)),
    ]
    // A bounded job ends with one checkpoint whatever its interval.
    if (without.some(({ result }) => result.measuredCheckpoints > 1)) {
      throw new Error('checkpoints were made where none should be')
    }
    return {
      figures: `rate_without=${rateWithout} rate_with=${rateWith} cost=${cost}%`,
      remarks: [...new Set(remarks)],
    }
  },
}

async function runOnce(context: MeasureContext, checkpointMs: number): Promise<SideRun> {
  const topic = await context.topic()
  const redis = await startBenchRedis()
  try {
    const run = await runMillrace('tumbling', {
      brokers: context.brokers,
      topic,
      warmupSeconds: context.warmupSeconds,
      redisUrl: redis.url,
      checkpointMs,
      ...(redis.pid === undefined ? {} : { redisPid: redis.pid }),
    })
    context.detail(detailLine('checkpoints', checkpointMs === 0 ? 'without' : 'with', run))
    return run
  } finally {
    await redis.stop()
  }
}

function meanRate(runs: readonly SideRun[]): number {
  return Math.round(runs.reduce((sum, { result }) => sum + result.eventsPerSecond, 0) / runs.length)
}
