/**
 * Hostile descriptor sets: whatever the bytes, an answer within a second, and every error has a code of ours.
 */
import fc from 'fast-check'
import protobuf from 'protobufjs/ext/descriptor.js'
import { describe, it } from 'vitest'
import { type Descriptors, loadDescriptors } from '../../src/event/descriptor.ts'
import { DESCRIPTOR_BYTES_MAX } from '../../src/event/descriptor-index.ts'
import { parseJob } from '../../src/job/parse.ts'
import { fuzz, fuzzRuns, fuzzTimeoutMs, withstand } from '../fuzz/hostile.ts'
import { names, paths, use } from './hostile-support.ts'

type FileJson = Parameters<typeof protobuf.FileDescriptorSet.fromObject>[0]

function encode(files: unknown): Uint8Array {
  return protobuf.FileDescriptorSet.encode(protobuf.FileDescriptorSet.fromObject({ file: files } as FileJson)).finish()
}

const typeNames = fc.oneof(
  fc.constantFrom('.p.M', '.p.N', 'p.M', '.p.M.E', '.google.protobuf.Timestamp', '', '.', '...', 'p'),
  names,
)
const numbers = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(0, -1, 0x1fff_ffff, 0x2000_0000, 19_000))
const anyField = fc.record(
  {
    name: names,
    number: numbers,
    label: fc.integer({ min: 0, max: 4 }),
    type: fc.integer({ min: 0, max: 20 }),
    typeName: typeNames,
    oneofIndex: fc.integer({ min: -1, max: 3 }),
    proto3Optional: fc.boolean(),
    defaultValue: names,
  },
  { requiredKeys: ['name', 'number'] },
)
const anyEnum = fc.record({
  name: names,
  value: fc.array(fc.record({ name: names, number: fc.integer() }), { maxLength: 4 }),
})
const { message: anyMessage } = fc.letrec<{ message: object }>((tie) => ({
  message: fc.record(
    {
      name: names,
      field: fc.array(anyField, { maxLength: 6 }),
      nestedType: fc.array(tie('message'), { maxLength: 2, depthIdentifier: 'nesting' }),
      enumType: fc.array(anyEnum, { maxLength: 2 }),
      oneofDecl: fc.array(fc.record({ name: names }), { maxLength: 2 }),
      reservedRange: fc.array(fc.record({ start: fc.integer(), end: fc.integer() }), { maxLength: 2 }),
      options: fc.record({ mapEntry: fc.boolean() }),
    },
    { requiredKeys: ['name'] },
  ),
}))
const anyFile = fc.record({
  package: fc.constantFrom('p', '', 'a..b', '.p'),
  syntax: fc.constantFrom('proto3', 'proto2', 'editions', 'x'),
  messageType: fc.array(anyMessage, { maxLength: 3 }),
  enumType: fc.array(anyEnum, { maxLength: 2 }),
})
/** As many mistakes as a job can make about one message. */
function manyMistakes(descriptors: Descriptors): void {
  const metric = (i: number) =>
    `{ id: m${i}, sum: { field: f${i}x }, by: [${Array.from({ length: 8 }, (_, j) => `g${i}_${j}`).join()}], where: "h${i} == 1", window: { tumbling: 1m } }`
  const metrics = Array.from({ length: 100 }, (_, i) => metric(i)).join(',\n')
  const event = `event: { message: ${descriptors.messageNames[0] ?? 'p.M'}, time: f1, key: f2 }`
  parseJob(
    `apiVersion: millrace.dev/v1\nkind: Job\nmetadata: { name: j }\nsources: [{ log: { path: p, topic: t } }]\n${event}\nmetrics: [${metrics}]\n`,
    descriptors,
  )
}

describe('hostile descriptors', () => {
  it('any set: declared as it likes, it is used or refused', { timeout: fuzzTimeoutMs }, async () => {
    await fuzz(
      'descriptor sets, declared at random',
      fuzzRuns / 2,
      fc.property(fc.array(anyFile, { maxLength: 2 }), paths, (files, path) => {
        withstand(() => use(loadDescriptors(encode(files)), path))
      }),
    )
  })

  it('a valid set with bytes changed', { timeout: fuzzTimeoutMs }, async () => {
    const valid = encode([
      {
        package: 'p',
        syntax: 'proto3',
        messageType: [{ name: 'M', field: [{ name: 'a', number: 1, type: 9, label: 1 }] }],
      },
    ])
    const change = fc.tuple(fc.nat(valid.length - 1), fc.nat(255))
    await fuzz(
      'descriptor sets, bytes changed',
      fuzzRuns / 2,
      fc.property(fc.array(change, { minLength: 1, maxLength: 5 }), (changes) => {
        const bytes = valid.slice()
        for (const [at, value] of changes) bytes[at] = value
        withstand(() => use(loadDescriptors(bytes), ['a']))
      }),
    )
  })

  const field = (i: number, rest: object = {}) => ({ name: `f${i}`, number: i + 1, type: 9, label: 1, ...rest })
  const many = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i))
  const nested = (depth: number): object =>
    depth === 0 ? { name: 'M' } : { name: 'M', nestedType: [nested(depth - 1)] }
  it.each([
    ['a hundred thousand messages', () => [{ messageType: many(100_000, (i) => ({ name: `M${i}` })) }]],
    ['a hundred thousand fields', () => [{ package: 'p', messageType: [{ name: 'M', field: many(100_000, field) }] }]],
    [
      'a oneof of fifty thousand',
      () => [
        {
          package: 'p',
          messageType: [
            { name: 'M', oneofDecl: [{ name: 'o' }], field: many(50_000, (i) => field(i, { oneofIndex: 0 })) },
          ],
        },
      ],
    ],
    [
      'an enum of a hundred thousand',
      () => [{ package: 'p', enumType: [{ name: 'E', value: many(100_000, (i) => ({ name: `V${i}`, number: i })) }] }],
    ],
    ['messages nested sixty deep', () => [{ messageType: [nested(60)] }]],
    [
      'long names that nest',
      () => [
        {
          messageType: [
            {
              name: 'm'.repeat(250),
              nestedType: many(5, (i) => ({
                name: `n${i}`.padEnd(250, 'x'),
                nestedType: [
                  {
                    name: 'o'.repeat(250),
                    nestedType: [{ name: 'p'.repeat(250), nestedType: [{ name: 'q'.repeat(250) }] }],
                  },
                ],
              })),
            },
          ],
        },
      ],
    ],
    ['twenty thousand files', () => many(20_000, (i) => ({ package: `p${i}` }))],
    [
      'fifty thousand reserved ranges',
      () => [{ messageType: [{ name: 'M', reservedRange: many(50_000, (i) => ({ start: i, end: i + 1 })) }] }],
    ],
  ] as const)('%s', (_, make) => {
    const bytes = encode(make())
    withstand(() => use(loadDescriptors(bytes), ['f77', 'x']))
    withstand(() => manyMistakes(loadDescriptors(bytes)))
  })

  it('four megabytes of anything', () => {
    for (const byte of [0x00, 0x0a, 0x22, 0xff])
      withstand(() => loadDescriptors(new Uint8Array(DESCRIPTOR_BYTES_MAX).fill(byte)))
    const empty = new Uint8Array(DESCRIPTOR_BYTES_MAX)
    for (let i = 0; i < empty.length; i += 2) empty[i] = 0x0a
    withstand(() => loadDescriptors(empty))
  })
})
