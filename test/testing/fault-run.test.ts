/** Runs under faults: the same seed is the same run, scripts do what they say, and planted mistakes are found. */
import { describe, expect, it } from 'vitest'
import { describeFaultPlan, drawFaultPlan, type Fault, type FaultPlan } from '../../src/testing/fault-plan.ts'
import { describeFailure, runSeed } from '../support/fault-seed.ts'
import { plantedBugs } from '../support/planted-bugs.ts'

/** Within so many seeds a planted mistake must be found; the first of them are run without it too. */
const SEEDS_MAX = 40

const options = { untilMs: 2600, workers: 2, losses: true }

it('draws the same plan from the same seed, and another one from another', () => {
  expect(drawFaultPlan(7, options)).toEqual(drawFaultPlan(7, options))
  const plans = new Set(Array.from({ length: 200 }, (_, seed) => describeFaultPlan(drawFaultPlan(seed, options))))
  expect(plans.size).toBeGreaterThan(150)
})

it('every kind of fault comes up within the seeds that tests run', () => {
  const kinds = new Set<Fault['kind']>()
  for (let seed = 1; seed <= 2000; seed++) for (const { kind } of drawFaultPlan(seed, options)) kinds.add(kind)
  expect([...kinds].sort()).toEqual([
    'crashWorker',
    'emptyStore',
    'failSink',
    'failStore',
    'freezeProcess',
    'killProcess',
    'rescaleJob',
    'rollBackStore',
    'slowMail',
    'slowSink',
    'slowStore',
    'stallWorker',
    'stopJob',
  ])
})

it.each([4, 245, 1001])('is the same run, line by line, for the same seed (%i)', async (seed) => {
  const first = await runSeed(seed)
  const second = await runSeed(seed)
  expect(second.trace).toEqual(first.trace)
  expect(first.trace.length).toBeGreaterThan(3)
  expect((await runSeed(seed + 1)).trace).not.toEqual(first.trace)
})

it('says seed and plan of a run that fails', async () => {
  const plan: FaultPlan = [{ kind: 'killProcess', atMs: 900, downMs: 20 }]
  const result = await runSeed(3, { plan })
  expect(describeFailure({ ...result, wrong: ['something'] })).toMatch(
    /SEED=3\)\n {2}plan: 900ms killProcess downMs=20\n/,
  )
})

describe('scripts', () => {
  const scripts: Readonly<Record<string, { plan: FaultPlan; trace: RegExp; outcome: string; parallelism?: number }>> = {
    'a process that is killed goes on from its checkpoint': {
      plan: [{ kind: 'killProcess', atMs: 1200, downMs: 300 }],
      trace: /a1 .*RUNNING: restored from checkpoint/,
      outcome: 'finished',
    },
    'another process takes over from one that is frozen, which gives up when it is thawed': {
      plan: [{ kind: 'freezeProcess', atMs: 1000, forMs: 8000 }],
      trace: /b1 .*RUNNING: restored from checkpoint[\s\S]*a0 .*generation 1 no longer owns job shop/,
      outcome: 'finished',
    },
    'a worker that is silent for too long is replaced': {
      plan: [{ kind: 'stallWorker', atMs: 1000, worker: 0, forMs: 40_000 }],
      trace: /worker thread 0 is terminated and replaced/,
      outcome: 'finished',
    },
    'a job goes on when its store has lost the last second under it': {
      plan: [{ kind: 'rollBackStore', atMs: 1500, lostMs: 700 }],
      trace: /RUNNING[\s\S]*FINISHED/,
      outcome: 'finished',
    },
    'a job goes on when its store is emptied under it': {
      plan: [{ kind: 'emptyStore', atMs: 1500 }],
      trace: /RUNNING[\s\S]*FINISHED/,
      outcome: 'finished',
    },
    'a job that has been taken over goes on when its store is back before that': {
      plan: [
        { kind: 'killProcess', atMs: 1000, downMs: 50 },
        { kind: 'rollBackStore', atMs: 1400, lostMs: 600 },
      ],
      trace: /a1 [\s\S]*a1 .*FINISHED/,
      outcome: 'finished',
    },
    'what a store has lost is in it again when the process ends': {
      plan: [
        { kind: 'rollBackStore', atMs: 1400, lostMs: 400 },
        { kind: 'killProcess', atMs: 1750, downMs: 50 },
      ],
      trace: /a1 .*RUNNING: restored from checkpoint/,
      outcome: 'finished',
    },
    'a job that is rescaled goes on from its last checkpoint': {
      plan: [
        { kind: 'rescaleJob', atMs: 700, parallelism: 4 },
        { kind: 'rescaleJob', atMs: 1300, parallelism: 1 },
      ],
      trace:
        /rescaled from 2 to 4[\s\S]*REDEPLOYING: checkpoint[\s\S]*rescaled from 4 to 1[\s\S]*REDEPLOYING: checkpoint/,
      outcome: 'finished',
      parallelism: 1,
    },
    'a process that is killed while it rescales leaves it to the next one': {
      plan: [
        { kind: 'rescaleJob', atMs: 1000, parallelism: 3 },
        { kind: 'killProcess', atMs: 1012, downMs: 100 },
      ],
      trace: /rescaled from 2 to 3[\s\S]*a1 .*RUNNING: restored from checkpoint/,
      outcome: 'finished',
      parallelism: 3,
    },
    'a thread that ends while a job rescales costs it the last checkpoint, and nothing else': {
      plan: [
        { kind: 'rescaleJob', atMs: 1000, parallelism: 3 },
        { kind: 'crashWorker', atMs: 1012, worker: 0 },
      ],
      trace: /rescaled from 2 to 3[\s\S]*RESTARTING: WORKER_LOST[\s\S]*RUNNING: restored from checkpoint/,
      outcome: 'finished',
      parallelism: 3,
    },
    'a process that comes back to a store without the last second refuses: sinks have more': {
      plan: [
        { kind: 'killProcess', atMs: 1500, downMs: 300 },
        { kind: 'rollBackStore', atMs: 1600, lostMs: 900 },
      ],
      trace: /STORE_LOST|has applied the results of checkpoint/,
      outcome: 'refused',
    },
  }

  it.each(Object.entries(scripts))('%s', async (_name, { plan, trace, outcome, parallelism }) => {
    const result = await runSeed(11, { plan })
    expect(result.wrong).toEqual([])
    expect(result.outcome).toBe(outcome)
    expect(result.trace.join('\n')).toMatch(trace)
    if (parallelism !== undefined) expect(result.parallelism).toBe(parallelism)
  })
})

describe('planted mistakes', () => {
  it.each(plantedBugs)('$name: found, and the same seeds are good without it', { timeout: 120_000 }, async (bug) => {
    let found = 0
    for (let seed = 1; seed <= SEEDS_MAX && found === 0; seed++) {
      const plan = bug.planOf(seed)
      const { planted } = bug
      if ((await runSeed(seed, { plan, planted })).wrong.length > 0) found = seed
      expect((await runSeed(seed, { plan })).wrong).toEqual([])
    }
    expect(found, `no run of ${SEEDS_MAX} has shown it`).toBeGreaterThan(0)
  })
})
