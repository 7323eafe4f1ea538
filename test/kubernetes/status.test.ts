import { describe, expect, it } from 'vitest'
import { definitionText, isSameDefinition, type MillraceJob } from '../../src/kubernetes/resource.ts'
import { absentJob, isSameStatus, type Look, type ObservedJob, statusOf } from '../../src/kubernetes/status.ts'

const resource: MillraceJob = {
  apiVersion: 'millrace.dev/v1alpha1',
  kind: 'MillraceJob',
  metadata: { name: 'shop', uid: '12345678-1', generation: 3 },
  spec: { definition: { metrics: [{ id: 'a', count: {} }], sources: [] } },
}
const job: ObservedJob = {
  state: 'RUNNING',
  ...{ reason: 'started', attempt: 2, restarts: 1, pendingRecords: 7, failedCheckpoints: 1 },
  ...{ checkpoint: { id: 5, completedAtMs: Date.UTC(2026, 0, 2) }, definition: '', savepoint: 'k8s-1' },
}
const look: Look = { job, unreachable: null, refused: null, wish: 'run', given: true }
const AT = Date.UTC(2026, 0, 3)

describe('the status of a resource', () => {
  it('says what the server says of the job', () => {
    const status = statusOf(resource, look, AT)
    expect(status).toMatchObject({
      ...{ observedGeneration: 3, phase: 'Running', message: 'started', attempt: 2, restarts: 1, lagRecords: 7 },
      ...{ checkpoint: { id: 5, completedAt: '2026-01-02T00:00:00Z', failed: 1 }, savepoint: 'k8s-1' },
    })
    expect(status.conditions?.map(({ type, status: is, reason }) => [type, is, reason])).toEqual([
      ['Reachable', 'True', 'Answered'],
      ['Accepted', 'True', 'Deployed'],
      ['Running', 'True', 'Running'],
    ])
  })

  it('keeps the time of a condition until it changes, and says the same when nothing has', () => {
    const first = statusOf(resource, look, AT)
    const second = statusOf({ ...resource, status: first }, look, AT + 60_000)
    expect(isSameStatus(first, second)).toBe(true)
    const failed = { ...look, job: { ...job, state: 'RESTARTING' as const } }
    const third = statusOf({ ...resource, status: first }, failed, AT + 60_000)
    expect(third.conditions?.map(({ lastTransitionTime }) => lastTransitionTime)).toEqual([
      ...['2026-01-03T00:00:00Z', '2026-01-03T00:00:00Z', '2026-01-03T00:01:00Z'],
    ])
  })

  it('keeps what was known while the server cannot be asked', () => {
    const before = statusOf({ ...resource, metadata: { ...resource.metadata, generation: 2 } }, look, AT)
    const unreachable = { code: 'UNAVAILABLE', message: 'nobody answers' } as const
    const status = statusOf({ ...resource, status: before }, { ...look, job: absentJob, unreachable, given: false }, AT)
    expect(status).toMatchObject({ observedGeneration: 2, phase: 'Running', lagRecords: 7, message: 'nobody answers' })
    expect(status.conditions?.map(({ status: is }) => is)).toEqual(['False', 'Unknown', 'Unknown'])
  })

  it('tells a definition that is refused from one that could not be given', () => {
    const refused = (code: 'JOB_INVALID' | 'UNAVAILABLE') =>
      statusOf(resource, { ...look, job: absentJob, given: false, refused: { code, message: 'why' } }, AT)
    expect(refused('JOB_INVALID')).toMatchObject({ observedGeneration: 3, phase: 'Pending', message: 'why' })
    expect(refused('JOB_INVALID').conditions?.[1]).toMatchObject({ status: 'False', reason: 'JobInvalid' })
    expect(refused('UNAVAILABLE').observedGeneration).toBeUndefined()
    expect(refused('UNAVAILABLE').conditions?.[1]).toMatchObject({ status: 'Unknown', reason: 'Unavailable' })
  })
})

describe('the definition of a resource', () => {
  it('is the same text whatever the order of keys, with the name of the resource', () => {
    const other = { ...resource, spec: { definition: { sources: [], metrics: [{ count: {}, id: 'a' }] } } }
    expect(definitionText(other)).toBe(definitionText(resource))
    expect(JSON.parse(definitionText(resource))).toMatchObject({ kind: 'Job', metadata: { name: 'shop' } })
    expect(isSameDefinition(definitionText(resource), JSON.stringify(JSON.parse(definitionText(resource))))).toBe(true)
    expect(isSameDefinition(definitionText(resource), 'metrics: []')).toBe(false)
  })

  it('may not name another job', () => {
    const other = { ...resource, spec: { definition: { metadata: { name: 'other' } } } }
    expect(() => definitionText(other)).toThrow('"other", and a job has the name of its resource, shop')
  })
})
