/** The client of a schema registry, against a stub that speaks the documented API over real HTTP. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { MillraceError } from '../../src/core/errors.ts'
import { systemScheduler } from '../../src/core/system.ts'
import { loadDescriptors } from '../../src/event/descriptor.ts'
import { SchemaRegistry } from '../../src/event/schema-registry.ts'
import { registryOverHttp } from '../../src/event/schema-registry-http.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { RegistryStub, type StubReference } from '../support/registry-stub.ts'

const syntax = 'syntax = "proto3"; package t;'
const plain = `${syntax} message M { string key = 1; }`

let stub: RegistryStub
let clock: ManualClock
beforeEach(async () => {
  stub = new RegistryStub()
  clock = new ManualClock()
  await stub.start()
})
afterEach(() => stub.stop())

function open(login = { user: '', password: '' }, timeoutMs?: number): SchemaRegistry {
  return new SchemaRegistry(registryOverHttp({ url: `${stub.url}/`, ...login }, systemScheduler, timeoutMs), clock)
}

async function failureOf(promise: Promise<unknown>): Promise<MillraceError> {
  return promise.then(
    () => Promise.reject(new Error('it did not fail')),
    (error: MillraceError) => error,
  )
}

const ref = (name: string, subject: string, version = 1): StubReference => ({ name, subject, version })

describe('SchemaRegistry', () => {
  it('gives the latest version of a subject, whatever its name', async () => {
    const subject = 'topic/with space-t.M'
    stub.register(subject, plain)
    stub.register(subject, plain.replace('key = 1', 'key = 1; int64 at = 2'))
    const latest = await open().latest([subject])
    expect(loadDescriptors(latest).resolve('t.M', 'at')).toMatchObject({ ok: true })
  })

  it('puts several subjects together, each import once', async () => {
    const leaf = `${syntax} message Leaf { string x = 1; }`
    const using = (name: string) => `${syntax} import "leaf.proto"; message ${name} { Leaf leaf = 1; }`
    stub.register('leaf', leaf)
    stub.register('a', using('A'), [ref('leaf.proto', 'leaf')])
    stub.register('b', using('B'), [ref('leaf.proto', 'leaf')])
    const registry = open()
    const descriptors = loadDescriptors(await registry.latest(['a', 'b', 'leaf']))
    expect(descriptors.messageNames).toEqual(['t.A', 't.B', 't.Leaf'])
    stub.register('leaf', leaf.replace('x = 1', 'x = 1; string y = 2'))
    stub.register('b', using('B'), [ref('leaf.proto', 'leaf', 2)])
    const error = await failureOf(registry.latest(['a', 'b']))
    expect([error.code, error.message]).toEqual([
      'DESCRIPTOR_INVALID',
      expect.stringContaining('two versions of "leaf.proto"'),
    ])
    expect((await failureOf(registry.latest(Array.from({ length: 40 }, () => 'a')))).message).toContain('at most 32')
  })

  it('follows references, each once, and puts the own file last', async () => {
    stub.register('leaf', `${syntax} message Leaf { string x = 1; }`)
    stub.register('left', `${syntax} import "leaf.proto"; message Left { Leaf leaf = 1; }`, [ref('leaf.proto', 'leaf')])
    stub.register('right', `${syntax} import "leaf.proto"; message Right { Leaf leaf = 1; }`, [
      ref('leaf.proto', 'leaf'),
    ])
    const text = `${syntax} import "left.proto"; import "right.proto"; message M { Left left = 1; Right right = 2; }`
    const id = stub.register('top', text, [ref('left.proto', 'left'), ref('right.proto', 'right')])
    const descriptors = loadDescriptors((await open().byId(id))!)
    expect(descriptors.resolve('t.M', 'right.leaf.x')).toMatchObject({ ok: true })
    expect(descriptors.message('t.M')?.file).toBe(descriptors.files - 1)
    expect(stub.asked.filter((path) => path.includes('leaf'))).toHaveLength(1)
  })

  it('asks once for an id, by any number of callers, and again after a while for one that was unknown', async () => {
    const id = stub.register('s', plain)
    const registry = open()
    await Promise.all([registry.byId(id), registry.byId(id)])
    await registry.byId(id)
    expect(stub.asked).toEqual([`/schemas/ids/${id}`])
    expect(await registry.byId(99)).toBeNull()
    expect(await registry.byId(99)).toBeNull()
    expect(stub.asked).toHaveLength(2)
    clock.advance(31_000)
    expect(await registry.byId(99)).toBeNull()
    expect(stub.asked).toHaveLength(3)
  })

  it('says what is wrong with a schema', async () => {
    const registry = open()
    const message = async (text: string, references: StubReference[] = [], type = 'PROTOBUF') => {
      const error = await failureOf(registry.byId(stub.register(`s${stub.asked.length}`, text, references, type)))
      expect(error.code).toBe('DESCRIPTOR_INVALID')
      return error.message
    }
    expect(await message('{"type":"string"}', [], 'AVRO')).toContain('is AVRO, not PROTOBUF')
    expect(await message('{}', [], 'JSON')).toContain('is JSON, not PROTOBUF')
    expect(await message('message')).toContain('cannot be used')
    expect(await message(`${syntax} message M { Missing x = 1; }`)).toContain('has type "Missing"')
    // Versions that refer to each other, and to themselves.
    stub.register('a', `${syntax} import "b"; message A {}`, [ref('b', 'b')])
    stub.register('b', `${syntax} import "a"; message B {}`, [ref('a', 'a')])
    expect(await registry.byId(stub.register('c', `${syntax} message C {}`, [ref('a', 'a')]))).not.toBeNull()
    for (let i = 0; i < 70; i++)
      stub.register(`deep${i}`, `${syntax} message D${i} {}`, [ref(`d${i + 1}`, `deep${i + 1}`)])
    expect(await message(`${syntax} message Deep {}`, [ref('d0', 'deep0')])).toContain('deeper than')
    const wide = Array.from({ length: 70 }, (_, i) => {
      stub.register(`wide${i}`, `${syntax} message W${i} {}`)
      return ref(`w${i}`, `wide${i}`)
    })
    expect(await message(`${syntax} message Wide {}`, wide)).toContain('more than 64 others')
  })

  it('tells an unknown subject from a registry that is not one', async () => {
    expect(await failureOf(open().latest(['none']))).toMatchObject({ code: 'SCHEMA_NOT_FOUND' })
    stub.misbehave = (_, response) => {
      response.writeHead(404, { 'content-type': 'text/html' }).end('<h1>nothing here</h1>')
      return true
    }
    expect(await failureOf(open().latest(['none']))).toMatchObject({ code: 'SCHEMA_REGISTRY_ERROR', retry: 'backoff' })
    expect(await failureOf(open().byId(1))).toMatchObject({ code: 'SCHEMA_REGISTRY_ERROR' })
  })

  it.each([400, 422])('an id that is refused (%s) is unknown, not a fault of the registry', async (status) => {
    stub.misbehave = (_, response) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(`{"error_code":${status}}`)
      return true
    }
    expect(await open().byId(1)).toBeNull()
  })

  it('says that the registry is away, slow, broken or too talkative, and asks again the next time', async () => {
    const id = stub.register('s', plain)
    const registry = open(undefined, 300)
    const misbehaviours: [string, string, RegistryStub['misbehave']][] = [
      ['SCHEMA_REGISTRY_UNREACHABLE', 'did not answer within 300 ms', () => true],
      ['SCHEMA_REGISTRY_UNREACHABLE', 'cannot be asked', (_, response) => Boolean(response.destroy())],
      ['SCHEMA_REGISTRY_ERROR', 'is no JSON', (_, response) => Boolean(response.end('{"schema":'))],
      ['SCHEMA_REGISTRY_ERROR', 'answered 500', (_, response) => Boolean(response.writeHead(500).end('{}'))],
      ['SCHEMA_REGISTRY_ERROR', 'more than', (_, response) => Boolean(response.end(Buffer.alloc(5_000_000, 32)))],
      ['SCHEMA_REGISTRY_ERROR', 'without a text', (_, response) => Boolean(response.end('{"schemaType":"PROTOBUF"}'))],
      [
        'SCHEMA_REGISTRY_UNREACHABLE',
        '',
        (_, response) => Boolean(response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()),
      ],
    ]
    for (const [code, message, misbehave] of misbehaviours) {
      stub.misbehave = misbehave
      const error = await failureOf(registry.byId(id))
      expect([error.code, error.message]).toEqual([code, expect.stringContaining(message)])
    }
    stub.misbehave = () => false
    expect(await registry.byId(id)).not.toBeNull()
    await stub.stop()
    expect((await failureOf(registry.byId(id + 1))).message).toMatch(/cannot be asked: .*ECONNREFUSED/)
  })

  it('logs in, and never repeats the password', async () => {
    const id = stub.register('s', plain)
    stub.login = 'me:s3cret-word'
    const error = await failureOf(open({ user: 'me', password: 'wrong-s3cret' }).byId(id))
    expect(error.message).toContain('answered 401')
    expect(JSON.stringify(error.toData())).not.toContain('s3cret')
    expect(await open({ user: 'me', password: 's3cret-word' }).byId(id)).not.toBeNull()
  })
})
