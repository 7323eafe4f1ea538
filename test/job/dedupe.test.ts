import { describe, expect, it } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import { parseJob } from '../../src/job/parse.ts'
import { diffState, refusalOf } from '../../src/job/state-diff.ts'
import { builtInDescriptors } from '../support/descriptors.ts'
import { planOf, stateOf } from './state-support.ts'

const descriptors = builtInDescriptors()
const counts = '  - { id: views, count: {}, window: { tumbling: 1h } }\n'
const late = '  - { id: views, count: {}, window: { tumbling: 1h }, allowedLateness: 2d }\n'

function mistakesOf(dedupe: string, metrics = counts): readonly string[] {
  const text = `apiVersion: millrace.dev/v1
kind: Job
metadata: { name: j }
sources: [{ id: events, kafka: { topic: events } }]
dedupe: ${dedupe}
metrics:
${metrics}`
  try {
    parseJob(text, descriptors)
    return []
  } catch (error) {
    return MillraceError.from(error).violations!.map(({ field, message }) => `${field}: ${message}`)
  }
}

describe('the dedupe section', () => {
  it('has defaults, and is part of the plan and of its hash', () => {
    const plan = planOf(counts, 'dedupe: { by: event_id, within: 24h }\n')
    const column = plan.schema.columns.findIndex(({ field }) => field.path === 'event_id')
    expect(plan.dedupe).toEqual({ by: 'event_id', withinMs: 86_400_000, memoryBytes: 0, beyond: 'oldest', column })
    expect(plan.definitionHash).not.toBe(planOf(counts).definitionHash)
    const bounded = planOf(counts, 'dedupe: { by: properties.message, within: 1h, memory: 512Mi, beyond: fail }\n')
    expect(bounded.dedupe).toMatchObject({ memoryBytes: 512 * 1024 * 1024, beyond: 'fail' })
  })

  it('says what is wrong with it', () => {
    expect(mistakesOf('{ within: 1h }')).toEqual(['dedupe.by: is missing'])
    expect(mistakesOf('{ by: event_id }')).toEqual(['dedupe.within: is missing'])
    expect(mistakesOf('{ by: event_id, within: 1h, beyond: never }')).toHaveLength(1)
    expect(mistakesOf('{ by: event_id, within: 1h, memory: 3 }')).toHaveLength(1)
    expect(mistakesOf('{ by: revenue_minor, within: 1h }')).toEqual([
      'dedupe.by: an id is a text or bytes; "revenue_minor" is int64',
    ])
    expect(mistakesOf('{ by: event_idd, within: 1h }')[0]).toMatch(/^dedupe\.by: .*event_id/)
    expect(mistakesOf('{ by: event_id, within: 1s }')).toEqual([
      'dedupe.within: must be at least the out-of-orderness of the watermark (5s), not 1s',
    ])
    expect(mistakesOf('{ by: event_id, within: 1d }', late)).toEqual([
      'dedupe.within: must be at least the allowed lateness of every metric: "views" takes events 2d late, and after 1d nobody knows whether they are copies',
    ])
    expect(mistakesOf('{ by: event_id, within: 2d }', late)).toEqual([])
  })
})

describe('ids of a checkpoint', () => {
  const none = stateOf(counts)
  const day = stateOf(counts, 'dedupe: { by: event_id, within: 24h }\n')
  const week = stateOf(counts, 'dedupe: { by: event_id, within: 7d, memory: 1Gi, beyond: fail }\n')
  const other = stateOf(counts, 'dedupe: { by: session, within: 24h }\n')
  const otherKey = stateOf(counts, 'event: { key: device }\ndedupe: { by: event_id, within: 24h }\n')
  const changes = (held: typeof day, wanted: typeof day): string[] =>
    diffState(held, wanted).entries.flatMap(({ kind, change }) => (kind === 'dedupe' ? [change] : []))

  it('are kept, migrated, new or dropped', () => {
    expect(changes(none, none)).toEqual([])
    expect(changes(none, day)).toEqual(['new'])
    expect(changes(day, day)).toEqual(['kept'])
    expect(changes(day, week)).toEqual(['migrated'])
    expect(changes(week, day)).toEqual(['migrated'])
    expect(changes(day, other)).toEqual(['dropped', 'new'])
    expect(changes(day, otherKey)).toEqual(['dropped', 'new'])
    expect(changes(day, none)).toEqual(['dropped'])
  })

  it('go only with consent', () => {
    const diff = diffState(day, none)
    expect(refusalOf(diff, [], 'checkpoint 7')?.message).toContain('drop_state, --drop-state): dedupe')
    expect(refusalOf(diff, ['dedupe'], 'checkpoint 7')).toBeNull()
  })
})
