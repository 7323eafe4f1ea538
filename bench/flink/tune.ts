/**
 * Chooses the rival's set-up for a case: the faster API, then the smallest heap that keeps 90 % of its speed.
 *
 *   node bench/flink/tune.ts CASE BROKERS TOPIC [datastream|sql] [JVM_FLAG …]
 *
 * Each heap runs for 25 s on the same topic, which must be long enough not to end before. Write what it chooses into
 * bench/cases/ and bench/README.md. A heap that is too small fails or times out: that ends the search.
 */
import { findCase } from '../cases/all.ts'
import { runFlink } from './run.ts'

const HEAPS_MB = [3072, 2048, 1536, 1024, 768, 512, 384, 256, 192]
const KEEP = 0.9
const WARMUP_SECONDS = 10
const RUN_SECONDS = 25

const [caseId, brokers, topic, api = 'datastream', ...jvmFlags] = process.argv.slice(2)
if (caseId === undefined || brokers === undefined || topic === undefined || (api !== 'sql' && api !== 'datastream')) {
  console.error('usage: node bench/flink/tune.ts CASE BROKERS TOPIC [datastream|sql] [JVM_FLAG …]')
  process.exit(2)
}

/** Part of the run's time in collections that stop the job: a measure that another load on the machine blurs less. */
function gcShare(result: object): number {
  const { gcSeconds = 0, wallSeconds = 1 } = result as { gcSeconds?: number; wallSeconds?: number }
  return gcSeconds / wallSeconds
}

let best = 0
const kept: { heapMb: number; rate: number; rssMb: number }[] = []
for (const heapMb of HEAPS_MB) {
  try {
    const run = await runFlink(findCase(caseId).id, {
      brokers,
      topic,
      api,
      heapMb,
      jvmFlags,
      warmupSeconds: WARMUP_SECONDS,
      maxSeconds: RUN_SECONDS,
      timeoutMs: (RUN_SECONDS + 30) * 1000,
    })
    const rate = run.result.eventsPerSecond
    const rssMb = Math.round(run.rssPeakBytes / 2 ** 20)
    best = Math.max(best, rate)
    kept.push({ heapMb, rate, rssMb })
    const checkpoints = run.result.measuredCheckpoints
    console.log(
      `tune ${caseId} ${api} heap_mb=${heapMb} events_per_s=${rate} rss_mb=${rssMb} checkpoints=${checkpoints} ` +
        `gc_share=${gcShare(run.result).toFixed(3)}`,
    )
    if (rate < KEEP * 0.8 * best) break
  } catch (error) {
    console.log(`tune ${caseId} ${api} heap_mb=${heapMb} failed: ${String(error).split('\n')[0]}`)
    break
  }
}
const chosen = kept.filter(({ rate }) => rate >= KEEP * best).at(-1)
console.log(`tune ${caseId} ${api} chosen heap_mb=${chosen?.heapMb} best=${best} kept=${chosen?.rate}`)
