/** Epochs for outbox sinks in tests: records as blocks. */
import { OutboxBlockWriter } from '../../src/sink/outbox-block.ts'

/** A record of an epoch. */
export interface OutboxRecord {
  readonly key: string | null
  readonly value: string
  readonly timestampMs: number
}

/** Records as one block each `perBlock` of them. */
export function blocksOf(records: readonly OutboxRecord[], perBlock = 1000): Uint8Array[] {
  const blocks: Uint8Array[] = []
  for (let at = 0; at < records.length; at += perBlock) {
    const writer = new OutboxBlockWriter()
    for (const { key, value, timestampMs } of records.slice(at, at + perBlock)) {
      writer.write(key === null ? null : Buffer.from(key), Buffer.from(value), timestampMs)
    }
    blocks.push(writer.take())
  }
  return blocks
}

/** Blocks as `apply` takes them. */
export async function* streamOf(blocks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* blocks
}

/** `count` records of epoch `epoch`, each told apart by its value. */
export function epochRecords(epoch: number, count: number, keys = 50): OutboxRecord[] {
  return Array.from({ length: count }, (_, i) => ({
    key: `key-${i % keys}`,
    value: `epoch ${epoch} record ${i}`,
    timestampMs: 1_700_000_000_000 + epoch * 1000 + i,
  }))
}
