/**
 * A message of every type, and random records of it, for the tests of the projection.
 */
import { createFileRegistry, fromBinary } from '@bufbuild/protobuf'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import fc from 'fast-check'
import protobuf from 'protobufjs'
import { type Descriptors, loadDescriptors } from '../../src/event/descriptor.ts'
import type { Column, ColumnEncoding, EventSchema, FieldRef } from '../../src/event/schema.ts'
import { descriptorBytes } from '../support/descriptors.ts'

/** A message with every type, deep paths, maps, a oneof and a field number beyond the dense table. */
const source = `
syntax = "proto3";
package t;
message Property { oneof value { string s = 1; double d = 2; int64 i = 3; bool b = 4; } }
message Timestamp { int64 seconds = 1; int32 nanos = 2; }
enum Color { NONE = 0; RED = 1; BLUE = 7; }
message Deep { string text = 1; int64 count = 2; Deep more = 3; map<string, Deep> by = 4; }
message All {
  string key = 1;
  int64 at = 2;
  string text = 3;
  bytes raw = 4;
  bool flag = 5;
  Color color = 6;
  int32 i32 = 7;
  sint32 s32 = 8;
  uint32 u32 = 9;
  fixed32 f32 = 10;
  sfixed32 sf32 = 11;
  int64 i64 = 12;
  sint64 s64 = 13;
  uint64 u64 = 14;
  fixed64 f64 = 15;
  sfixed64 sf64 = 16;
  float fl = 17;
  double db = 18;
  Deep deep = 19;
  map<string, Property> props = 20;
  map<string, int64> counts = 21;
  oneof who { string user = 22; Deep group = 23; int64 number = 24; }
  int32 far = 100000;
  repeated int32 many = 30;
  optional int32 maybe = 31;
}`

const root = protobuf.parse(source, { keepCase: true }).root
root.resolveAll()
/** The message with every type. */
export const All = root.lookupType('t.All')
const setBytes = descriptorBytes(root)
const descriptors = loadDescriptors(setBytes)
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, setBytes))
/** The same for protobuf-es. */
export const AllDesc = registry.getMessage('t.All')!

/** A field by its path. */
export function field(path: string, of: Descriptors = descriptors, message = 't.All'): FieldRef {
  const resolved = of.resolve(message, path)
  if (!resolved.ok) throw new Error(resolved.problem)
  return resolved.field
}

const numberPaths = [
  'flag',
  'color',
  'i32',
  's32',
  'u32',
  'f32',
  'sf32',
  'i64',
  's64',
  'u64',
  'f64',
  'sf64',
  'fl',
  'db',
  'deep.count',
  'deep.more.count',
  'deep.by.x.count',
  'counts.a',
  'props.p',
  'number',
  'group.count',
  'far',
  'maybe',
]
const textPaths = [
  'text',
  'raw',
  'deep.text',
  'deep.more.text',
  'deep.by.x.text',
  'user',
  'group.text',
  'props.p',
  'props.q.r',
]
/** A column for every path in every encoding. */
export const columns: Column[] = [
  ...numberPaths.map((p) => ({ field: field(p), encoding: 'number' as ColumnEncoding })),
  ...textPaths.map((p) => ({ field: field(p), encoding: 'text' as ColumnEncoding })),
  ...numberPaths.map((p) => ({ field: field(p), encoding: 'text' as ColumnEncoding })),
  ...numberPaths.map((p) => ({ field: field(p), encoding: 'number' as ColumnEncoding, nullable: true as const })),
]
/** All of it as a schema. */
export const schema: EventSchema = { message: 't.All', time: field('at'), timeUnitMs: 1, key: field('key'), columns }

/** Names kept from wire chunks of one field each: merging them in any order is what concatenation means. */
const small = fc.constantFrom('', 'a', 'b', 'hello', 'żółw', '\u{1F600}')
const long = fc.oneof(fc.integer({ min: -3, max: 300 }), fc.maxSafeInteger(), fc.constantFrom(2 ** 53 - 1, 1 - 2 ** 53))
const i32 = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.integer())
const u32 = fc.oneof(fc.nat(300), fc.integer({ min: 0, max: 0xffff_ffff }))
/** protobufjs takes 64-bit integers as texts. */
export const toLong = (n: number | bigint) => String(n)
const deepLeaf = fc.record({ text: small, count: long.map(toLong) }, { requiredKeys: [] })
const deep = fc.record(
  {
    text: small,
    count: long.map(toLong),
    more: deepLeaf,
    by: fc.dictionary(fc.constantFrom('x', 'y', ''), deepLeaf, { maxKeys: 2 }),
  },
  { requiredKeys: [] },
)
const property = fc.oneof(
  fc.record({ s: small }),
  fc.record({ d: fc.double() }),
  fc.record({ i: long.map(toLong) }),
  fc.record({ b: fc.boolean() }),
  fc.constant({}),
)
const chunk = fc.oneof(
  small.map((text) => ({ text })),
  fc.uint8Array({ maxLength: 4 }).map((raw) => ({ raw })),
  fc.boolean().map((flag) => ({ flag })),
  fc.constantFrom(0, 1, 7, 9, -1).map((color) => ({ color })),
  i32.map((v) => ({ i32: v })),
  i32.map((v) => ({ s32: v })),
  u32.map((v) => ({ u32: v })),
  u32.map((v) => ({ f32: v })),
  i32.map((v) => ({ sf32: v })),
  long.map((v) => ({ i64: toLong(v) })),
  long.map((v) => ({ s64: toLong(v) })),
  fc.nat().map((v) => ({ u64: toLong(v) })),
  fc.nat().map((v) => ({ f64: toLong(v) })),
  long.map((v) => ({ sf64: toLong(v) })),
  fc.float().map((fl) => ({ fl })),
  fc.double().map((db) => ({ db })),
  deep.map((v) => ({ deep: v })),
  fc.dictionary(fc.constantFrom('p', 'q.r', 'z'), property, { maxKeys: 2 }).map((props) => ({ props })),
  fc.dictionary(fc.constantFrom('a', 'b'), long.map(toLong), { maxKeys: 2 }).map((counts) => ({ counts })),
  small.map((user) => ({ user })),
  deep.map((group) => ({ group })),
  long.map((v) => ({ number: toLong(v) })),
  i32.map((far) => ({ far })),
  i32.map((maybe) => ({ maybe })),
  fc.array(fc.integer(), { maxLength: 3 }).map((many) => ({ many })),
  fc.constant({ key: 'k' }),
  fc.constant({ at: toLong(1_700_000_000_000) }),
)

/** Fields that no schema knows, groups included. */
const unknown = fc.oneof(
  fc.tuple(fc.integer({ min: 40, max: 600 }), u32).map(([n, v]) =>
    protobuf.Writer.create()
      .uint32((n << 3) | 0)
      .uint32(v)
      .finish(),
  ),
  fc.tuple(fc.integer({ min: 40, max: 600 }), small).map(([n, v]) =>
    protobuf.Writer.create()
      .uint32((n << 3) | 2)
      .string(v)
      .finish(),
  ),
  fc.tuple(fc.integer({ min: 40, max: 600 }), fc.double()).map(([n, v]) =>
    protobuf.Writer.create()
      .uint32((n << 3) | 1)
      .double(v)
      .finish(),
  ),
  fc.tuple(fc.integer({ min: 40, max: 600 }), fc.float()).map(([n, v]) =>
    protobuf.Writer.create()
      .uint32((n << 3) | 5)
      .float(v)
      .finish(),
  ),
  fc.tuple(fc.integer({ min: 40, max: 600 }), small).map(([n, v]) =>
    protobuf.Writer.create()
      .uint32((n << 3) | 3)
      .uint32((2 << 3) | 2)
      .string(v)
      .uint32((3 << 3) | 3)
      .uint32((3 << 3) | 4)
      .uint32((n << 3) | 4)
      .finish(),
  ),
)
/** Chunks whose concatenation is a record. */
export const record = fc.array(
  fc.oneof(
    { weight: 9, arbitrary: chunk.map((c) => All.encode(All.fromObject(c)).finish()) },
    { weight: 1, arbitrary: unknown },
  ),
  {
    maxLength: 30,
  },
)

/** One array of many. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts)
}
