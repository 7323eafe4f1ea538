/** What every folder of savepoints guarantees: in memory and on disk. */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { crc32c } from '../../src/event/crc32c.ts'
import { MemorySavepoints } from '../../src/savepoint/memory-savepoints.ts'
import { encodeSavepoint, type Savepoint } from '../../src/savepoint/savepoint.ts'
import { SavepointFiles } from '../../src/savepoint/savepoint-files.ts'
import type { SavepointStore } from '../../src/savepoint/store.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { header } from '../checkpoint/snapshots.ts'

const ref = { job: 'shop', name: 'one' }
const blob = new Uint8Array([1, 2, 3, 4])

function savepoint(changes: Partial<Savepoint> = {}): Savepoint {
  return {
    ...{ name: 'one', createdAtMs: 5, submittedAtMs: 4, reason: 'savepoint', instanceId: 'a', program: false },
    ...{ definitionText: 'x', definitionJson: '{}', descriptorSet: null, parallelism: 1, drained: false },
    ...{ operators: [], tables: [], blobs: [{ name: 'blob-000000', sizeBytes: 4, crc: crc32c(blob) }] },
    checkpoint: { ...header, counters: {}, subtasks: [] },
    ...changes,
  }
}

async function put(store: SavepointStore, of = ref): Promise<void> {
  const writer = await store.create(of)
  await writer.putBlob('blob-000000', blob)
  await writer.commit(encodeSavepoint(savepoint({ name: of.name })))
}

function folder(): { store: SavepointFiles; root: string; clock: ManualClock } {
  const root = mkdtempSync(join(tmpdir(), 'savepoints-'))
  onTestFinished(() => rmSync(root, { recursive: true }))
  const clock = new ManualClock()
  return { store: new SavepointFiles(root, 'tag', clock), root, clock }
}

describe.each([
  ['memory', (): SavepointStore => new MemorySavepoints()],
  ['files', (): SavepointStore => folder().store],
])('savepoints in %s', (_, make) => {
  it('are there once committed, and not before', async () => {
    const store = make()
    const writer = await store.create(ref)
    await writer.putBlob('blob-000000', blob)
    expect(await store.list(null)).toEqual([])
    await expect(store.open(ref)).rejects.toMatchObject({ code: 'SAVEPOINT_NOT_FOUND' })
    await writer.commit(encodeSavepoint(savepoint()))
    expect((await store.list(null)).map(({ job, name, problem }) => [job, name, problem])).toEqual([
      ['shop', 'one', ''],
    ])
    expect(await store.list('other')).toEqual([])
    const reader = await store.open(ref)
    expect(reader.savepoint).toEqual(savepoint())
    expect(await reader.readChunk('blob-000000')).toSatisfy((bytes: Uint8Array) => Buffer.from(blob).equals(bytes))
    expect(await reader.readChunk('blob-000001')).toBeUndefined()
  })

  it('of one name are one: the second is refused, early or at its end', async () => {
    const store = make()
    const second = await store.create(ref)
    await put(store)
    await expect(store.create(ref)).rejects.toMatchObject({ code: 'SAVEPOINT_EXISTS' })
    await expect(second.commit(encodeSavepoint(savepoint()))).rejects.toMatchObject({ code: 'SAVEPOINT_EXISTS' })
    await second.abandon()
    expect((await store.open(ref)).savepoint.name).toBe('one')
  })

  it('are deleted for good', async () => {
    const store = make()
    await put(store)
    await store.delete(ref)
    await expect(store.delete(ref)).rejects.toMatchObject({ code: 'SAVEPOINT_NOT_FOUND' })
    expect(await store.list(null)).toEqual([])
    await put(store)
  })

  it.each(['', '.', '..', 'a/b', '../x', '.hidden', 'a\0b', 'x'.repeat(129)])('are not named %j', async (name) => {
    await expect(make().create({ job: 'shop', name })).rejects.toMatchObject({ code: 'INPUT_INVALID' })
  })
})

describe('savepoints in files', () => {
  it('leave nothing that looks like one when they are given up, or torn', async () => {
    const { store, root } = folder()
    const writer = await store.create(ref)
    await writer.putBlob('blob-000000', blob)
    await writer.abandon()
    expect(readdirSync(join(root, 'shop'))).toEqual([])
    await (await store.create(ref)).putBlob('blob-000000', blob)
    mkdirSync(join(root, 'shop', 'empty'))
    expect(await store.list(null)).toEqual([])
    await expect(store.open({ job: 'shop', name: 'empty' })).rejects.toMatchObject({ code: 'SAVEPOINT_NOT_FOUND' })
    // A folder that is in the way is nobody's to overwrite.
    await expect(store.create({ job: 'shop', name: 'empty' })).rejects.toMatchObject({ code: 'SAVEPOINT_EXISTS' })
  })

  it('remove what a crash has left a day ago, and not what is being made', async () => {
    const { store, root, clock } = folder()
    await store.create(ref)
    await store.create({ job: 'shop', name: 'two' })
    const [old = '', young = ''] = readdirSync(join(root, 'shop')).sort()
    const nowS = clock.nowMs() / 1000
    utimesSync(join(root, 'shop', old), nowS - 100_000, nowS - 100_000)
    utimesSync(join(root, 'shop', young), nowS, nowS)
    await put(store, { job: 'shop', name: 'three' })
    expect(readdirSync(join(root, 'shop')).sort()).toEqual([young, 'three'])
  })

  it('name the file that is damaged, short or missing', async () => {
    const { store, root } = folder()
    await put(store)
    const file = join(root, 'shop', 'one', 'blob-000000')
    const readBlob = async () => (await store.open(ref)).readChunk('blob-000000')
    writeFileSync(file, new Uint8Array([1, 2, 3, 5]))
    await expect(readBlob()).rejects.toThrow('savepoint shop/one cannot be used: the checksum of blob-000000 is wrong')
    truncateSync(file, 3)
    await expect(readBlob()).rejects.toThrow('blob-000000 has 3 bytes instead of 4')
    rmSync(file)
    await expect(readBlob()).rejects.toMatchObject({ code: 'SAVEPOINT_CORRUPT' })
    symlinkSync('/etc/hostname', file)
    await expect(readBlob()).rejects.toThrow('blob-000000 is no file')
    const manifest = join(root, 'shop', 'one', 'savepoint.binpb')
    const bytes = readFileSync(manifest)
    bytes[bytes.length - 3]! ^= 4
    writeFileSync(manifest, bytes)
    await expect(store.open(ref)).rejects.toMatchObject({ code: 'SAVEPOINT_CORRUPT' })
    expect((await store.list(null)).map(({ savepoint: read, problem }) => [read, problem.slice(0, 34)])).toEqual([
      [null, 'savepoint shop/one cannot be used:'],
    ])
  })

  it('do not follow links out of the folder', async () => {
    const { store, root } = folder()
    const { root: outside, store: other } = folder()
    await put(other)
    mkdirSync(join(root, 'shop'))
    symlinkSync(join(outside, 'shop', 'one'), join(root, 'shop', 'one'))
    symlinkSync(join(outside, 'shop'), join(root, 'linked'))
    for (const job of ['shop', 'linked']) {
      await expect(store.open({ job, name: 'one' })).rejects.toThrow(/links out of .* are not followed/)
      await expect(store.delete({ job, name: 'one' })).rejects.toThrow(/not followed/)
    }
    await expect(store.create({ job: 'linked', name: 'two' })).rejects.toThrow(/not followed/)
    expect(await store.list(null)).toEqual([])
    expect(readdirSync(join(outside, 'shop'))).toEqual(['one'])
  })

  it('say what the disk says', async () => {
    const { root } = folder()
    writeFileSync(join(root, 'file'), '')
    const store = new SavepointFiles(join(root, 'file'), 'tag', new ManualClock())
    await expect(store.create(ref)).rejects.toMatchObject({ code: 'SAVEPOINT_FAILED' })
  })
})
