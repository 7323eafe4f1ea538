import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { SeededRandom } from '../../src/core/clock.ts'
import {
  addPartitions,
  createTopic,
  deleteTopic,
  describeTopic,
  findTopic,
  listTopics,
  topicPath,
} from '../../src/log/topic.ts'
import { cleanUpAfterEach, temporaryRoot } from './support.ts'

cleanUpAfterEach()

describe('topics of the embedded log', () => {
  it('are created with partitions and an id from chance, described and listed', () => {
    const root = join(temporaryRoot(), 'not', 'there')
    const made = createTopic(root, 'events', 3, new SeededRandom(5))
    createTopic(root, 'metrics', 1, new SeededRandom(6))
    expect(made.topicId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(describeTopic(root, 'events')).toEqual({ name: 'events', topicId: made.topicId, partitions: 3 })
    expect(describeTopic(root, 'metrics').topicId).not.toBe(made.topicId)
    expect([0, 1, 2, 3].map((n) => existsSync(join(root, 'events', String(n))))).toEqual([true, true, true, false])
    expect(listTopics(root)).toEqual(['events', 'metrics'])
    expect(listTopics(join(root, 'nowhere'))).toEqual([])
  })

  it('get a new id when they are created again', () => {
    const root = temporaryRoot()
    const random = new SeededRandom(5)
    const first = createTopic(root, 'events', 1, random)
    expect(() => createTopic(root, 'events', 1, random)).toThrow(/already in the embedded log/)
    deleteTopic(root, 'events')
    deleteTopic(root, 'events')
    expect(findTopic(root, 'events')).toBeUndefined()
    expect(() => describeTopic(root, 'events')).toThrow(expect.objectContaining({ code: 'TOPIC_NOT_FOUND' }))
    expect(createTopic(root, 'events', 1, random).topicId).not.toBe(first.topicId)
  })

  it("never take the place of folders that are somebody else's", () => {
    const root = temporaryRoot()
    mkdirSync(join(root, 'precious', '1'), { recursive: true })
    writeFileSync(join(root, 'precious', '1', 'letter.txt'), 'dear')
    expect(() => createTopic(root, 'precious', 2, new SeededRandom(1))).toThrow(/holds "letter.txt", which is no part/)
    expect(readFileSync(join(root, 'precious', '1', 'letter.txt'), 'utf8')).toBe('dear')
    expect(findTopic(root, 'precious')).toBeUndefined()
  })

  it('do not inherit what a creation that never finished left', () => {
    const root = temporaryRoot()
    mkdirSync(join(root, 'events', '0'), { recursive: true })
    writeFileSync(join(root, 'events', '0', '00000000000000000000.log'), 'junk')
    createTopic(root, 'events', 1, new SeededRandom(1))
    expect(existsSync(join(root, 'events', '0', '00000000000000000000.log'))).toBe(false)
  })

  it('can grow, not shrink', () => {
    const root = temporaryRoot()
    const { topicId } = createTopic(root, 'events', 1, new SeededRandom(5))
    addPartitions(root, 'events', 4)
    expect(describeTopic(root, 'events')).toEqual({ name: 'events', topicId, partitions: 4 })
    expect(() => addPartitions(root, 'events', 2)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
    expect(() => addPartitions(root, 'none', 2)).toThrow(expect.objectContaining({ code: 'TOPIC_NOT_FOUND' }))
  })

  it.each(['', '.', '..', '../up', 'a/b', 'a b', 'x'.repeat(250)])('cannot be named %j', (name) => {
    expect(() => topicPath('/root', name)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  })

  it.each([0, -1, 1.5, 10_001, Number.NaN])('cannot have %d partitions', (partitions) => {
    expect(() => createTopic(temporaryRoot(), 'events', partitions, new SeededRandom(1))).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    )
  })

  it.each([
    ['not JSON', 'nonsense', /is not JSON/],
    ['of another version', '{"version":2}', /format version 2; this release reads 1/],
    ['incomplete', '{"version":1,"name":"events"}', /lacks a name, a topic id or a number of partitions/],
  ])('are refused when topic.json is %s', (_what, text, message) => {
    const root = temporaryRoot()
    createTopic(root, 'events', 1, new SeededRandom(1))
    const path = join(root, 'events', 'topic.json')
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ version: 1 })
    writeFileSync(path, text)
    expect(() => describeTopic(root, 'events')).toThrow(message)
  })
})
