/**
 * The life-cycle table against a model of the world it acts on: deployments, timers, the lease. Events come in any
 * order that the world can produce, and users ask for anything at any time. The invariants L1 to L6 and L8 of job-state.ts are
 * checked after every step.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type JobEffect,
  type JobEventType,
  type JobState,
  jobEventTypes,
  jobStates,
  jobTable,
  restStates,
} from '../../src/coordinator/job-state.ts'

/** What the coordinator would have running. */
class World {
  state: JobState = 'CREATED'
  /** Attempts deployed or being deployed. */
  attempt: 'none' | 'starting' | 'running' | 'disposing' = 'none'
  operating = false
  restartArmed = false
  leaseHeld = false
  finalCheckpoint: 'none' | 'pending' | 'completed' = 'none'
  /** A `dispose` was asked for whose `disposed` is not yet raised. */
  disposeAsked = false
  starts = 0
  lastEvent: JobEventType | undefined

  /** Events that the world can raise now, without users. */
  possible(): JobEventType[] {
    const events: JobEventType[] = []
    if (this.attempt === 'starting') events.push('started')
    if (this.attempt === 'starting' || this.attempt === 'running') events.push('failed', 'failedForGood')
    if (this.attempt === 'running' && this.finalCheckpoint === 'none') events.push('sourcesFinished')
    if (this.attempt === 'running' && this.finalCheckpoint === 'pending') {
      events.push('finalCheckpointCompleted', 'finalCheckpointFailed')
    }
    if (this.disposeAsked) events.push('disposed')
    if (this.restartArmed && this.attempt === 'none') events.push('backoffElapsed')
    // A late report of the attempt that is being disposed, and a failure merged into a restart.
    if (this.attempt === 'disposing') events.push('failed', 'failedForGood')
    if (this.leaseHeld) events.push('fenced')
    return events
  }

  raise(event: JobEventType): void {
    this.lastEvent = event
    // What the world itself did, whether or not the table cares.
    if (event === 'started') this.attempt = 'running'
    if (event === 'disposed') {
      this.disposeAsked = false
      this.attempt = 'none'
      this.finalCheckpoint = 'none'
    }
    if (event === 'backoffElapsed') this.restartArmed = false
    if (event === 'fenced') this.leaseHeld = false
    if (event === 'finalCheckpointCompleted') this.finalCheckpoint = 'completed'
    if (event === 'finalCheckpointFailed') this.finalCheckpoint = 'none'
    const cell = jobTable[this.state][event]
    if (typeof cell === 'string') return
    this.state = cell.to
    for (const effect of cell.effects) this.#effect(effect)
  }

  #effect(effect: JobEffect): void {
    switch (effect) {
      case 'start':
        expect(this.attempt, 'L2: one attempt at a time').toBe('none')
        this.attempt = 'starting'
        this.leaseHeld = true
        this.starts++
        return
      case 'operate':
        expect(this.attempt).toBe('running')
        this.operating = true
        return
      case 'quiesce':
        this.operating = false
        return
      case 'finalCheckpoint':
        expect(this.attempt).toBe('running')
        this.finalCheckpoint = 'pending'
        return
      case 'dispose':
        this.disposeAsked = true
        if (this.attempt !== 'none') this.attempt = 'disposing'
        return
      case 'scheduleRestart':
        expect(this.restartArmed, 'L3: armed once').toBe(false)
        this.restartArmed = true
        return
      case 'cancelRestart':
        this.restartArmed = false
        return
      case 'dropState':
        expect(this.attempt, 'state is dropped when nobody uses it').toBe('none')
        return
      case 'releaseLease':
        this.leaseHeld = false
        return
    }
  }

  check(): void {
    const { state } = this
    if (restStates.has(state)) {
      expect(this.attempt, `L1: nothing deployed in ${state}`).toBe('none')
      expect(this.operating, `L1: no timers in ${state}`).toBe(false)
      expect(this.leaseHeld, `L1: lease given back in ${state}`).toBe(false)
    }
    expect(this.restartArmed, `L3: restart armed in ${state}`).toBe(state === 'RESTARTING')
    if (state === 'RUNNING') expect([this.attempt, this.operating]).toEqual(['running', true])
    if (state === 'FINISHED') expect([this.attempt, this.finalCheckpoint], 'L6').toEqual(['running', 'completed'])
    if (state === 'STARTING') expect(this.attempt).toBe('starting')
    if (state === 'REDEPLOYING') {
      const ends = this.disposeAsked || this.finalCheckpoint === 'pending'
      expect(ends, 'L8: a last checkpoint or a disposal is under way').toBe(true)
    }
  }
}

/** A step: an index into what is possible now, or a user's wish. */
const step = fc.oneof(
  { weight: 5, arbitrary: fc.nat(100).map((pick) => ({ pick })) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<JobEventType>('submit', 'stop', 'cancel', 'redeploy').map((user) => ({ user })),
  },
)

function run(steps: readonly ({ pick: number } | { user: JobEventType })[]): World {
  const world = new World()
  world.raise('submit')
  for (const next of steps) {
    if ('user' in next) {
      world.raise(next.user)
    } else {
      const possible = world.possible()
      const restBefore = restStates.has(world.state)
      const before = world.state
      if (possible.length === 0) continue
      world.raise(possible[next.pick % possible.length]!)
      if (restBefore) expect(world.state, 'L4: rest is left only by a person').toBe(before)
    }
    world.check()
  }
  return world
}

describe('job life cycle, as a model', () => {
  it('keeps L1 to L4, L6 and L8 over every sequence of events', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        run(steps)
      }),
      { numRuns: 2000 },
    )
  })

  it('L5: can always be cancelled: asked again after each surprise, it gets there', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const world = run(steps)
        for (let i = 0; i < 3 && world.state !== 'CANCELLED'; i++) {
          world.raise('cancel')
          world.check()
          if (world.disposeAsked) world.raise('disposed')
          world.check()
        }
        expect(world.state).toBe('CANCELLED')
      }),
    )
  })

  it('a stop always ends at rest, whatever fails meanwhile', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.array(fc.nat(100), { maxLength: 20 }), (steps, picks) => {
        const world = run(steps)
        if (jobTable[world.state].stop === 'refuse') return
        world.raise('stop')
        for (const pick of picks) {
          const possible = world.possible().filter((event) => event !== 'fenced')
          if (possible.length > 0) world.raise(possible[pick % possible.length]!)
          world.check()
        }
        while (world.disposeAsked || world.finalCheckpoint === 'pending') {
          world.raise(world.disposeAsked ? 'disposed' : 'finalCheckpointFailed')
        }
        expect(world.state).toBe('SUSPENDED')
      }),
    )
  })

  it('a redeploy always leads to another attempt, unless the job is ended or fails for good', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.array(fc.nat(100), { maxLength: 20 }), (steps, picks) => {
        const world = run(steps)
        const runs = !restStates.has(world.state) && jobTable[world.state].redeploy !== 'refuse'
        if (!runs) return
        const { starts } = world
        world.raise('redeploy')
        const forGood: readonly JobEventType[] = ['fenced', 'failedForGood']
        for (const pick of picks) {
          const possible = world.possible().filter((event) => !forGood.includes(event))
          if (possible.length > 0 && world.starts === starts) world.raise(possible[pick % possible.length]!)
          world.check()
        }
        for (let i = 0; i < 4 && world.starts === starts; i++) {
          if (world.disposeAsked) world.raise('disposed')
          else if (world.finalCheckpoint === 'pending') world.raise('finalCheckpointFailed')
          else if (world.restartArmed) world.raise('backoffElapsed')
          world.check()
        }
        if (world.state !== 'FINISHED') expect(world.starts).toBeGreaterThan(starts)
      }),
    )
  })

  it('reaches every state, and never throws for any event at any time', () => {
    const seen = new Set<JobState>()
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const world = new World()
        world.raise('submit')
        seen.add(world.state)
        for (const next of steps) {
          const possible = world.possible()
          if ('user' in next) world.raise(next.user)
          else if (possible.length > 0) world.raise(possible[next.pick % possible.length]!)
          seen.add(world.state)
        }
      }),
      { numRuns: 1000, seed: 7 },
    )
    expect([...jobStates].filter((state) => !seen.has(state))).toEqual(['CREATED'])
    for (const state of jobStates) for (const event of jobEventTypes) expect(jobTable[state][event]).toBeDefined()
  })
})
