/**
 * Every cell of the life-cycle table, written down a second time in another form: one line a state, one column an
 * event. A change of the table has to be made here too, on purpose.
 */
import { describe, expect, it } from 'vitest'
import {
  type Cell,
  jobEventTypes,
  jobStates,
  jobTable,
  restStates,
  servingStates,
} from '../../src/coordinator/job-state.ts'

/** Two letters a state; `..` ignore, `XX` refuse. */
const short = {
  CREATED: 'CR',
  STARTING: 'ST',
  RUNNING: 'RU',
  FINISHING: 'FG',
  FINISHED: 'FD',
  RESTARTING: 'RE',
  REDEPLOYING: 'RD',
  STOPPING: 'SP',
  SUSPENDED: 'SU',
  CANCELLING: 'CG',
  CANCELLED: 'CD',
  FAILING: 'FL',
  FAILED: 'FA',
} as const

const expected = `
             submit started failed failedForGood sourcesFinished finalCheckpointCompleted finalCheckpointFailed stop cancel redeploy backoffElapsed disposed fenced
CREATED      ST     ..      ..     ..            ..              ..                       ..                    SP   CG     ..       ..             ..       ..
STARTING     ..     RU      RE     FL            ..              ..                       ..                    SP   CG     RD       ..             ..       FL
RUNNING      ..     ..      RE     FL            FG              ..                       ..                    SP   CG     RD       ..             ..       FL
FINISHING    ..     ..      RE     FL            ..              FD                       RE                    SP   CG     RD       ..             ..       FL
FINISHED     ..     ..      RE     FL            ..              ..                       ..                    SP   CG     XX       ..             ..       FL
RESTARTING   ..     ..      ..     FL            ..              ..                       ..                    SP   CG     ..       ST             ..       FL
REDEPLOYING  ..     ..      RE     FL            ..              RD                       RD                    SP   CG     ..       ..             ST       FL
STOPPING     XX     ..      SP     SP            ..              SP                       SP                    ..   CG     XX       ..             SU       FL
SUSPENDED    ST     ..      ..     ..            ..              ..                       ..                    ..   CG     ..       ..             ..       ..
CANCELLING   XX     ..      ..     ..            ..              ..                       ..                    XX   ..     XX       ..             CD       FL
CANCELLED    ST     ..      ..     ..            ..              ..                       ..                    XX   ..     XX       ..             ..       ..
FAILING      XX     ..      ..     ..            ..              ..                       ..                    XX   CG     XX       ..             FA       ..
FAILED       ST     ..      ..     ..            ..              ..                       ..                    XX   CG     ..       ..             ..       ..
`

const lines = expected.trim().split('\n')
const events = lines[0]!.trim().split(/\s+/)
const code = (cell: Cell) => (cell === 'ignore' ? '..' : cell === 'refuse' ? 'XX' : short[cell.to])

describe('job life cycle, cell by cell', () => {
  it('knows all states and events', () => {
    expect(events).toEqual([...jobEventTypes])
    expect(
      lines
        .slice(1)
        .map((line) => line.split(/\s+/)[0])
        .sort(),
    ).toEqual([...jobStates].sort())
  })

  const cells = lines.slice(1).flatMap((line) => {
    const [state, ...codes] = line.trim().split(/\s+/)
    return events.map((event, i) => ({ state: state!, event, to: codes[i]! }))
  })
  it.each(cells)('$state x $event -> $to', ({ state, event, to }) => {
    expect(code(jobTable[state as keyof typeof jobTable][event as (typeof jobEventTypes)[number]])).toBe(to)
  })

  const transitions = jobStates.flatMap((from) =>
    jobEventTypes.flatMap((event) => {
      const cell = jobTable[from][event]
      return typeof cell === 'string' ? [] : [{ from, event, ...cell }]
    }),
  )

  it('starts only on the way into STARTING, and always there', () => {
    for (const { to, effects } of transitions) expect(effects.includes('start')).toBe(to === 'STARTING')
  })

  it('disposes on the way into every state that ends an attempt', () => {
    for (const { from, to, event, effects } of transitions) {
      if (['RESTARTING', 'CANCELLING', 'FAILING'].includes(to))
        expect(effects, `${from} x ${event}`).toContain('dispose')
    }
  })

  it('gives the lease back on the way to rest, and drops state only on cancel', () => {
    for (const { to, effects } of transitions) {
      expect(effects.includes('releaseLease')).toBe(restStates.has(to))
      expect(effects.includes('dropState')).toBe(to === 'CANCELLED')
    }
  })

  it('stops operating when it leaves RUNNING for anything but a last checkpoint', () => {
    for (const { from, event, effects } of transitions) {
      if (from === 'RUNNING')
        expect(effects.includes('quiesce') || effects.includes('finalCheckpoint'), event).toBe(true)
    }
  })

  it('serves queries only where everything is deployed', () => {
    expect([...servingStates]).toEqual(['RUNNING', 'FINISHING', 'FINISHED'])
  })
})
