/**
 * The reconcile table against the job's own life cycle: a job that the server moves by its table, a world that lets it start,
 * fail and finish, and a controller that only ever looks and does one thing.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type JobEventType, type JobState, jobStates, jobTable } from '../../src/coordinator/job-state.ts'
import {
  type Action,
  type Observation,
  observations,
  reconcile,
  reconcileTable,
  type Wish,
  wishes,
  wishOf,
} from '../../src/kubernetes/reconcile.ts'

/** What a state that is passed through comes to by itself, in a world without failures. */
const onward: Partial<Record<JobState, JobEventType>> = {
  STARTING: 'started',
  RESTARTING: 'backoffElapsed',
  FINISHING: 'finalCheckpointCompleted',
  REDEPLOYING: 'disposed',
  STOPPING: 'disposed',
  CANCELLING: 'disposed',
  FAILING: 'disposed',
}

/** A server with at most one job, as its API answers. */
class Server {
  state: Observation
  definition: string
  generation = 0
  savepoint = false
  dropped = false
  started = 0
  refusals: string[] = []

  constructor(state: Observation, definition: string) {
    this.state = state
    this.definition = definition
  }

  raise(event: JobEventType): void {
    if (this.state === 'ABSENT') return
    const cell = jobTable[this.state][event]
    if (cell === 'refuse') this.refusals.push(`${event} in ${this.state}`)
    if (typeof cell === 'string') return
    if (cell.effects.includes('dropState')) this.dropped = true
    if (cell.effects.includes('start')) this.started++
    this.state = cell.to
  }

  do(action: Action, definition: string, generation: number): void {
    switch (action) {
      case 'submit':
        if (this.state === 'ABSENT') this.state = 'CREATED'
        // As coordinator/submissions.ts: what is not at rest is not replaced.
        else if (
          !['CREATED', 'SUSPENDED', 'CANCELLED', 'FAILED'].includes(this.state) &&
          definition !== this.definition
        )
          this.refusals.push(`another definition in ${this.state}`)
        this.raise('submit')
        this.definition = definition
        this.generation = generation
        return
      case 'upgrade':
        this.raise('redeploy')
        this.definition = definition
        this.generation = generation
        return
      case 'stop':
        this.raise('stop')
        return
      case 'stopWithSavepoint':
        // As coordinator/job-savepoints.ts.
        if (!['RUNNING', 'FINISHING', 'FINISHED'].includes(this.state))
          this.refusals.push(`saving stop in ${this.state}`)
        this.raise('stop')
        this.savepoint = true
        return
      case 'save':
        if (!['RUNNING', 'FINISHED', 'SUSPENDED'].includes(this.state)) this.refusals.push(`savepoint in ${this.state}`)
        this.savepoint = true
        return
      case 'cancel':
        this.raise('cancel')
        return
      case 'release':
      case 'none':
      case 'wait':
    }
  }
}

/** How a resource is; the rest is on the server. */
interface Resource {
  readonly definition: string
  readonly generation: number
  readonly deleted: boolean
  readonly suspend: boolean
  readonly onDelete: 'savepoint' | 'cancel' | 'orphan'
}

const look = (server: Server, resource: Resource): Wish =>
  wishOf({
    ...resource,
    sameDefinition: server.definition === resource.definition,
    sameGeneration: server.generation === resource.generation,
    saved: server.savepoint,
  })

const resources = fc.record({
  definition: fc.constantFrom('a', 'b'),
  generation: fc.constantFrom(1, 2),
  deleted: fc.boolean(),
  suspend: fc.boolean(),
  onDelete: fc.constantFrom('savepoint', 'cancel', 'orphan'),
}) as fc.Arbitrary<Resource>

describe('reconciling', () => {
  it('decides every wish in every state', () => {
    expect(Object.keys(reconcileTable).sort()).toEqual([...wishes].sort())
    for (const wish of wishes) expect(Object.keys(reconcileTable[wish]).sort()).toEqual([...observations].sort())
    expect(observations).toEqual(['ABSENT', ...jobStates])
  })

  it('R1: comes to what is wanted and then does nothing, without a call that the server refuses', () => {
    fc.assert(
      fc.property(resources, fc.constantFrom(...observations), fc.constantFrom('a', 'b'), (resource, state, had) => {
        const server = new Server(state, state === 'ABSENT' ? '' : had)
        let action: Action = 'wait'
        for (let step = 0; step < 20; step++) {
          action = reconcile(look(server, resource), server.state)
          if (action === 'none' || action === 'release') break
          server.do(action, resource.definition, resource.generation)
          const event = server.state === 'ABSENT' ? undefined : onward[server.state]
          if (event !== undefined) server.raise(event)
        }
        expect(server.refusals).toEqual([])
        expect(action).toBe(resource.deleted ? 'release' : 'none')
        if (resource.deleted) return
        const rest = resource.suspend
          ? ['ABSENT', 'SUSPENDED', 'CANCELLED', 'FAILED', 'FINISHED']
          : ['RUNNING', 'FINISHED']
        expect(rest).toContain(server.state)
        if (!resource.suspend) expect(server.definition).toBe(resource.definition)
      }),
      { numRuns: 2000 },
    )
  })

  it('R2 to R4: whatever happens in between, nothing is let go, dropped or started that should not be', () => {
    const events = fc.constantFrom<JobEventType | 'idle'>(
      ...(['started', 'failed', 'failedForGood', 'sourcesFinished', 'disposed', 'backoffElapsed', 'idle'] as const),
      ...(['finalCheckpointCompleted', 'finalCheckpointFailed'] as const),
    )
    fc.assert(
      fc.property(
        fc.array(resources, { minLength: 1, maxLength: 4 }),
        fc.constantFrom(...observations),
        fc.array(fc.tuple(events, fc.nat(3)), { maxLength: 40 }),
        (versions, state, happenings) => {
          const server = new Server(state, 'a')
          for (const [event, which] of happenings) {
            const resource = versions[which % versions.length]!
            const action = reconcile(look(server, resource), server.state)
            if (action === 'release' && resource.onDelete !== 'orphan')
              expect(['ABSENT', 'SUSPENDED', 'CANCELLED', 'FAILED']).toContain(server.state)
            if (action === 'release' && resource.onDelete === 'savepoint' && server.state === 'SUSPENDED')
              expect(server.savepoint).toBe(true)
            if (action === 'release') expect(resource.deleted).toBe(true)
            if (action === 'cancel') expect([resource.deleted, resource.onDelete]).toEqual([true, 'cancel'])
            if (resource.deleted) expect(['submit', 'upgrade']).not.toContain(action)
            server.do(action, resource.definition, resource.generation)
            if (action === 'release') return
            if (event !== 'idle') server.raise(event)
          }
        },
      ),
      { numRuns: 2000 },
    )
  })

  it('starts a failed job again only when its spec has changed', () => {
    expect([reconcile('run', 'FAILED'), reconcile('runAgain', 'FAILED'), reconcile('change', 'FAILED')]).toEqual([
      'none',
      'submit',
      'submit',
    ])
  })
})
