import fc from 'fast-check'
import protobuf from 'protobufjs/ext/descriptor.js'
import { describe, expect, it } from 'vitest'
import { loadDescriptors } from '../../src/event/descriptor.ts'
import { builtInDescriptors, descriptorsOf } from '../support/descriptors.ts'

const event = 'millrace.v1.Event'

function problemOf(path: string, message = event): string {
  const resolved = builtInDescriptors().resolve(message, path)
  return resolved.ok ? '' : resolved.problem
}

describe('paths in millrace.v1.Event', () => {
  it('resolves fields, nested fields and entries of maps', () => {
    const d = builtInDescriptors()
    expect(d.resolve(event, 'person')).toEqual({
      ok: true,
      field: { path: 'person', steps: [{ kind: 'field', number: 2 }], type: 'string' },
      explicitPresence: false,
    })
    expect(d.resolve(event, 'context.country')).toMatchObject({
      field: {
        steps: [
          { kind: 'field', number: 15 },
          { kind: 'field', number: 8 },
        ],
        type: 'string',
      },
    })
    expect(d.resolve(event, 'properties.plan')).toMatchObject({
      field: { steps: [{ kind: 'entry', number: 14, key: 'plan' }], type: 'property' },
      explicitPresence: true,
    })
    expect(d.resolve(event, ['properties', 'a.b'])).toMatchObject({
      field: { path: 'properties.a.b', steps: [{ key: 'a.b' }] },
    })
    expect(d.resolve(event, 'consent.categories.marketing')).toMatchObject({ field: { type: 'bool' } })
    expect(d.resolve(event, 'kind')).toMatchObject({ field: { type: 'enum', enumNames: { 2: 'EVENT_KIND_PAGE' } } })
    expect(d.enumValue('millrace.v1.EventKind.EVENT_KIND_PAGE')).toBe(2)
    expect(d.enumValue('millrace.v1.EventKind.NOPE')).toBeUndefined()
  })

  it.each([
    ['platfrom', 'has no field "platfrom"; did you mean "platform"?'],
    ['context.contry', 'did you mean "country"?'],
    ['context', 'is a message: name a field of it'],
    ['properties', 'is a map: name an entry'],
    ['name.first', '"name" has no fields of its own'],
    ['occurred_at.seconds', 'is a time and has no fields of its own'],
    ['__proto__', 'has no field "__proto__"'],
    ['constructor', 'has no field'],
    ['', 'has no field ""'],
  ])('%j: %s', (path, expected) => {
    expect(problemOf(path)).toContain(expected)
  })

  it('suggests messages', () => {
    expect(problemOf('x', 'millrace.v1.Evnt')).toContain('did you mean "millrace.v1.Event"?')
  })
})

describe('other syntaxes', () => {
  it('proto2: presence is explicit, defaults other than zero and groups are refused', () => {
    const d = descriptorsOf(
      `syntax = "proto2"; package t;
       enum E { ONE = 1; TWO = 2; }
       message M { optional int32 a = 1; optional int32 b = 2 [default = 5]; optional E e = 3; repeated string many = 4;
         optional string s = 5 [default = ""]; }`,
      'proto2',
    )
    expect(d.resolve('t.M', 'a')).toMatchObject({ ok: true, explicitPresence: true })
    expect(d.resolve('t.M', 's')).toMatchObject({ ok: true })
    expect(d.resolve('t.M', 'b')).toMatchObject({
      problem: expect.stringContaining('default other than zero') as string,
    })
    expect(d.resolve('t.M', 'e')).toMatchObject({ problem: expect.stringContaining('without a zero value') as string })
    expect(d.resolve('t.M', 'many')).toMatchObject({ problem: expect.stringContaining('is repeated') as string })
  })

  it('oneof members name their siblings, optional ones have none', () => {
    const d = descriptorsOf(
      `syntax = "proto3"; package t; message M { oneof who { string a = 1; int64 b = 2; } optional int32 c = 3; }`,
    )
    expect(d.resolve('t.M', 'a')).toMatchObject({
      field: { steps: [{ number: 1, oneof: [2] }] },
      explicitPresence: true,
    })
    const c = d.resolve('t.M', 'c')
    expect(c).toMatchObject({ field: { steps: [{ kind: 'field', number: 3 }] }, explicitPresence: true })
    expect(c.ok && 'oneof' in c.field.steps[0]!).toBe(false)
  })

  it('follows messages that contain themselves as deep as the path goes, and no deeper', () => {
    const d = descriptorsOf(`syntax = "proto3"; package t; message M { M next = 1; string end = 2; }`)
    expect(d.resolve('t.M', 'next.next.end')).toMatchObject({
      field: { steps: [{ number: 1 }, { number: 1 }, { number: 2 }] },
    })
    expect(d.resolve('t.M', `${'next.'.repeat(20)}end`)).toMatchObject({ problem: 'the path is too long' })
  })
})

describe('hostile descriptor sets', () => {
  const encode = (file: object) => protobuf.FileDescriptorSet.encode({ file: [file] } as never).finish()

  it.each([
    ['a name that is code', encode({ messageType: [{ name: 'a(){}' }] }), 'is no identifier'],
    ['a package that is code', encode({ package: 'a;b', messageType: [] }), 'is no package name'],
    [
      'a field without a number',
      encode({ messageType: [{ name: 'M', field: [{ name: 'x', type: 9 }] }] }),
      'has number 0',
    ],
    [
      'a field number too high',
      encode({ messageType: [{ name: 'M', field: [{ name: 'x', number: 536870912 }] }] }),
      'has number',
    ],
    ['one name twice', encode({ messageType: [{ name: 'M' }, { name: 'M' }] }), 'declared twice'],
    ['five megabytes', new Uint8Array(5 * 1024 * 1024), 'at most'],
    ['no descriptor set', Uint8Array.from([0x0a, 0xff]), 'not a FileDescriptorSet'],
  ])('%s', (_, bytes, expected) => {
    expect(() => loadDescriptors(bytes)).toThrow(expected)
    expect(() => loadDescriptors(bytes)).toThrow(expect.objectContaining({ code: 'DESCRIPTOR_INVALID' }))
  })

  it('any bytes are a set or an error of ours', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          loadDescriptors(bytes)
        } catch (error) {
          expect(error).toMatchObject({ code: 'DESCRIPTOR_INVALID' })
        }
      }),
    )
  })
})
