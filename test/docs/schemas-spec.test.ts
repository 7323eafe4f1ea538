/** The examples of docs/specs/schemas.md are jobs. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { loadDescriptors } from '../../src/event/descriptor.ts'
import { compileTexts } from '../../src/event/descriptor-text.ts'
import { parseJob } from '../../src/job/parse.ts'

const page = readFileSync(new URL('../../docs/specs/schemas.md', import.meta.url), 'utf8')
const blocks = [...page.matchAll(/```yaml\n(.*?)```/gs)].map((match) => match[1]!)
const messages = loadDescriptors(
  compileTexts([
    {
      name: 'shop.proto',
      text: `syntax = "proto3"; package shop.v1; import "google/protobuf/timestamp.proto";
        message Order { google.protobuf.Timestamp placed_at = 1; string customer = 2; }
        message OrderPlaced { google.protobuf.Timestamp at = 1; string customer = 2; int64 amount = 3; string country = 4; }
        message OrderPaid { google.protobuf.Timestamp paid_at = 1; string customer = 2; int64 amount = 3; string country = 4; }`,
    },
  ]),
)

it.each(blocks)('%s', (block) => {
  const metrics = block.includes('metrics:') ? '' : 'metrics: [{ id: m, count: {}, window: { tumbling: 1m } }]\n'
  const head =
    'apiVersion: millrace.dev/v1\nkind: Job\nmetadata: { name: shop }\nsources: [{ kafka: { topic: orders } }]\n'
  expect(parseJob(`${head}${block}${metrics}`, messages).definition.name).toBe('shop')
})

it('has examples', () => expect(blocks).toHaveLength(3))
