/**
 * What goes wrong in a simulated run, and when: scripted by hand, or drawn from a seed and nothing else.
 *
 * Types, drawing and words only. Does not own: making it happen (fault-run.ts).
 */
import { nextBelow, type Random, SeededRandom } from '../core/clock.ts'

/** Something that goes wrong `atMs` after the start. Processes are counted from 0 in the order of their first start. */
export type Fault =
  /** A worker thread ends. */
  | { readonly kind: 'crashWorker'; readonly atMs: number; readonly worker: number }
  /** A worker thread is silent for a while; past the deadline (`silentMs`) it is fenced. */
  | { readonly kind: 'stallWorker'; readonly atMs: number; readonly worker: number; readonly forMs: number }
  /** The process that owns the job ends as by kill -9, and is started again over the same store. */
  | { readonly kind: 'killProcess'; readonly atMs: number; readonly downMs: number }
  /** It stands still, as after SIGSTOP; another process stands by and takes over past the lease. Then it goes on. */
  | { readonly kind: 'freezeProcess'; readonly atMs: number; readonly forMs: number }
  /** Calls on the store take up to `delayMs` each way. */
  | { readonly kind: 'slowStore'; readonly atMs: number; readonly forMs: number; readonly delayMs: number }
  /** One call in `one` fails, before or after it took effect. */
  | { readonly kind: 'failStore'; readonly atMs: number; readonly forMs: number; readonly one: number }
  | { readonly kind: 'slowSink'; readonly atMs: number; readonly forMs: number; readonly delayMs: number }
  | { readonly kind: 'failSink'; readonly atMs: number; readonly forMs: number; readonly one: number }
  /** Messages between threads take up to `delayMs`; the order of each channel is kept. */
  | { readonly kind: 'slowMail'; readonly atMs: number; readonly forMs: number; readonly delayMs: number }
  /** A person stops the job, and submits it again. */
  | { readonly kind: 'stopJob'; readonly atMs: number; readonly restMs: number }
  /** A person has the job go on with another parallelism. */
  | { readonly kind: 'rescaleJob'; readonly atMs: number; readonly parallelism: number }
  /** The store loses what it was told in the last `lostMs`, as by a failover. */
  | { readonly kind: 'rollBackStore'; readonly atMs: number; readonly lostMs: number }
  /** The store loses everything. */
  | { readonly kind: 'emptyStore'; readonly atMs: number }

/** What goes wrong, in order of time. */
export type FaultPlan = readonly Fault[]

/** What a random plan may have. */
export interface FaultPlanOptions {
  /** When the last fault begins, at most. */
  readonly untilMs: number
  readonly workers: number
  /** Whether the store may lose data; a job may then refuse to go on. */
  readonly losses: boolean
}

/** Whether what the store has lost may keep a job from going on. */
export function losesData(plan: FaultPlan): boolean {
  return plan.some(({ kind }) => kind === 'rollBackStore' || kind === 'emptyStore')
}

/** A random plan of up to six faults: one seed, one plan. A fifth of the plans with `losses` lose data. */
export function drawFaultPlan(seed: number, options: FaultPlanOptions): FaultPlan {
  const random = new SeededRandom(seed ^ 0xfa017)
  const faults: Fault[] = []
  const count = nextBelow(random, 7)
  for (let i = 0; i < count; i++) faults.push(drawFault(random, options))
  if (options.losses && nextBelow(random, 5) === 0) {
    const atMs = nextBelow(random, options.untilMs)
    const lostMs = 50 + nextBelow(random, 950)
    faults.push(nextBelow(random, 2) === 0 ? { kind: 'rollBackStore', atMs, lostMs } : { kind: 'emptyStore', atMs })
  }
  return faults.sort((a, b) => a.atMs - b.atMs)
}

function drawFault(random: Random, { untilMs, workers }: FaultPlanOptions): Fault {
  const atMs = nextBelow(random, untilMs)
  const worker = nextBelow(random, workers)
  const forMs = 20 + nextBelow(random, 1500)
  switch (nextBelow(random, 12)) {
    case 0:
    case 1:
      return { kind: 'crashWorker', atMs, worker }
    case 2:
      // Now and then past the deadline after which the hub takes a thread for lost (30 s).
      return { kind: 'stallWorker', atMs, worker, forMs: nextBelow(random, 3) === 0 ? 35_000 : forMs }
    case 3:
      return { kind: 'killProcess', atMs, downMs: nextBelow(random, 2000) }
    case 4:
      return { kind: 'freezeProcess', atMs, forMs: 1000 + nextBelow(random, 9000) }
    case 5:
      return { kind: 'slowStore', atMs, forMs, delayMs: 1 + nextBelow(random, 100) }
    case 6:
      return { kind: 'failStore', atMs, forMs, one: 2 + nextBelow(random, 20) }
    case 7:
      return nextBelow(random, 2) === 0
        ? { kind: 'slowSink', atMs, forMs, delayMs: 1 + nextBelow(random, 400) }
        : { kind: 'failSink', atMs, forMs, one: 2 + nextBelow(random, 10) }
    case 8:
      return { kind: 'slowMail', atMs, forMs, delayMs: 1 + nextBelow(random, 40) }
    case 9:
    case 10:
      return { kind: 'rescaleJob', atMs, parallelism: 1 + nextBelow(random, 4) }
    default:
      return { kind: 'stopJob', atMs, restMs: nextBelow(random, 1000) }
  }
}

/** The plan in one line, for people. */
export function describeFaultPlan(plan: FaultPlan): string {
  if (plan.length === 0) return 'no faults'
  return plan
    .map(({ kind, atMs, ...rest }) => {
      const details = Object.entries(rest).map(([name, value]) => `${name}=${value}`)
      return [`${atMs}ms ${kind}`, ...details].join(' ')
    })
    .join('; ')
}
