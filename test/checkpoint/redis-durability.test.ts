import { describe, expect, test } from 'vitest'
import { durabilityReasons, type RedisSettings } from '../../src/checkpoint/redis-durability.ts'
import { RedisKeys } from '../../src/checkpoint/redis-keys.ts'

const durable: RedisSettings = {
  appendonly: 'yes',
  appendfsync: 'always',
  maxmemoryPolicy: 'noeviction',
  noAppendfsyncOnRewrite: 'no',
  role: 'master',
  replicas: 1,
  wantedReplicas: 1,
}

describe('durability of Redis', () => {
  test('nothing to object to', () => {
    expect(durabilityReasons(durable)).toEqual([])
  })

  test.each([
    [{ appendonly: 'no' }, /Set appendonly yes/],
    [{ appendfsync: 'everysec' }, /Set appendfsync always/],
    [{ appendfsync: 'no' }, /Set appendfsync always/],
    [{ maxmemoryPolicy: 'allkeys-lru' }, /Set maxmemory-policy noeviction/],
    [{ noAppendfsyncOnRewrite: 'yes' }, /Set no-appendfsync-on-rewrite no/],
    [{ role: 'slave' }, /replica/],
    [{ replicas: 0 }, /1 are waited for: no checkpoint completes/],
    [{ replicas: 2 }, /Set MILLRACE_REDIS_REPLICAS/],
    [{ appendfsync: undefined }, /CONFIG GET/],
  ])('%o is one reason that says what to change', (change, reason) => {
    const reasons = durabilityReasons({ ...durable, ...change })
    expect(reasons).toHaveLength(1)
    expect(reasons[0]).toMatch(reason)
  })
})

describe('keys in Redis', () => {
  test('of one job share a hash tag, of two jobs do not', () => {
    const keys = new RedisKeys('millrace')
    const chunk = 'a/1-1-n.window.0.1'
    for (const key of [
      keys.record('a'),
      keys.lease('a'),
      keys.definition('a'),
      keys.manifest('a', 7),
      keys.chunk(chunk),
    ]) {
      expect(key.startsWith('{millrace:a}:')).toBe(true)
    }
    expect(keys.chunkKeyOf('a', keys.chunk(chunk))).toBe(chunk)
    expect(keys.record('b')).not.toBe(keys.record('a'))
  })

  test('a prefix or a name with pattern characters is refused', () => {
    for (const prefix of ['', '{x}', 'a*', 'a b']) {
      expect(() => new RedisKeys(prefix)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
    }
    expect(() => new RedisKeys('x').record('a*')).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  })
})
