/**
 * Ownership of a job in a directory, without locks.
 *
 * Owns: `jobs/<job>/lease/`. A file system has no "write if still the owner", and a lock can outlive its holder or be
 * outlived by it. So a takeover does not stop an old owner from writing; it makes what it writes void. Every generation
 * has its own directory of manifests (directory-store.ts), and a takeover links the old one's into its own:
 *
 *   claim-<g>  {instanceId, nonce, ttlMs}  created by link(2): exactly one process gets generation g
 *   seal-<g>   {lastCheckpointId}          written when the manifests of the generation before have been linked over
 *   beat-<g>   {beat, released}            replaced at each renewal; tells contenders that the owner lives, nothing else
 *
 * Invariants:
 * 1. The owner is whoever holds the highest claim. Claims are never changed; lower ones are removed once g is sealed.
 * 2. The checkpoints that exist are those in the directory of the highest sealed generation. What a fenced owner links
 *    into, or removes from, its own directory afterwards has no effect, whenever it gets there.
 * 3. A publisher checks its claim before and after: when it reports success, no higher claim existed after its manifest
 *    was in place, so every later takeover finds it.
 * 4. A contender measures the owner's silence by its own monotonic clock from when it first saw the last beat: wall
 *    clocks, their jumps and their differences do not matter.
 */
import { join } from 'node:path'
import type { Clock } from '../core/clock.ts'
import { MillraceError } from '../core/errors.ts'
import type { DirectoryFiles } from './directory-files.ts'
import type { LeaseFloor, LeaseResult } from './store.ts'

interface Claim {
  readonly instanceId: string
  readonly nonce: string
  readonly ttlMs: number
}

interface Seal {
  readonly lastCheckpointId: number
}

interface Beat {
  readonly beat: number
  readonly released: boolean
}

/** Lost races after which acquiring gives up for now: each means that somebody else got further. */
const RACES_MAX = 100

/** Leases of the jobs in one directory store. */
export class DirectoryLeases {
  readonly #files: DirectoryFiles
  readonly #clock: Clock
  /** Last beat seen of each job's owner, and when this process first saw it. */
  readonly #seen = new Map<string, { readonly mark: string; readonly atMs: number }>()

  constructor(files: DirectoryFiles, clock: Clock) {
    this.#files = files
    this.#clock = clock
  }

  /**
   * See CheckpointStore.acquireLease. `inherit` is called by the winner of generation `to`, before anybody is told: it
   * takes over what generation `from` has (0 when there is none) and returns the last checkpoint id ever published.
   */
  async acquire(
    directory: string,
    claim: Claim,
    floor: LeaseFloor | undefined,
    inherit: (from: number, to: number) => Promise<number>,
  ): Promise<LeaseResult> {
    await this.#files.makeDirectory(directory)
    for (let race = 0; race < RACES_MAX; race++) {
      const top = await this.#top(directory)
      const owner = top === 0 ? undefined : await this.#claim(directory, top)
      // Removed since it was listed: a higher one has been sealed.
      if (top !== 0 && owner === undefined) continue
      const again = owner !== undefined && owner.nonce === claim.nonce && owner.instanceId === claim.instanceId
      if (owner !== undefined && owner.instanceId !== claim.instanceId) {
        const waitMs = await this.#silenceLeftMs(directory, top, owner)
        if (waitMs > 0) return { acquired: false, heldBy: owner.instanceId, retryAfterMs: waitMs }
      }
      const generation = again ? top : Math.max(top, floor?.generation ?? 0) + 1
      if (!again && !(await this.#files.create(join(directory, `claim-${generation}`), encode(claim)))) continue
      const sealed = await this.newestSealed(directory)
      const last = Math.max(await inherit(sealed, generation), again ? 0 : (floor?.checkpointId ?? 0))
      if (sealed < generation) {
        await this.#files.create(
          join(directory, `seal-${generation}`),
          encode({ lastCheckpointId: last } satisfies Seal),
        )
      }
      const now = await this.#top(directory)
      if (now !== generation) {
        // Overtaken meanwhile. By ourselves, restarted: we had it and are fenced, as if that had come a moment later;
        // to claim again would be a race without end. By another: it holds the lease.
        const newer = await this.#claim(directory, now)
        if (newer?.instanceId !== claim.instanceId) continue
        return { acquired: true, generation, lastCheckpointId: last }
      }
      await this.#removeBelow(directory, generation)
      await this.#writeBeat(directory, generation, false)
      return { acquired: true, generation, lastCheckpointId: last }
    }
    throw tooFast(directory)
  }

  /** Tells contenders that the owner lives. */
  async renew(directory: string, generation: number): Promise<void> {
    await this.#writeBeat(directory, generation, false)
  }

  /** Lets the next contender in at once. */
  async release(directory: string, generation: number): Promise<void> {
    await this.#writeBeat(directory, generation, true)
  }

  /** Generation of the owner, 0 when there never was one; `ours` when that is (generation, nonce) and not given back. */
  async check(directory: string, generation: number, nonce: string): Promise<{ current: number; ours: boolean }> {
    const current = await this.#top(directory)
    if (current !== generation) return { current, ours: false }
    const claim = await this.#claim(directory, generation)
    const ours = claim?.nonce === nonce && !(await this.#beat(directory, generation)).released
    return { current, ours }
  }

  /** The highest sealed generation: the one whose checkpoints exist; 0 when there is none. */
  async newestSealed(directory: string): Promise<number> {
    return highest(await this.#files.list(directory), 'seal-')
  }

  /** The last checkpoint id that `generation` started from. */
  async sealedThrough(directory: string, generation: number): Promise<number> {
    const path = join(directory, `seal-${generation}`)
    const bytes = await this.#files.read(path)
    return bytes === undefined ? 0 : decode<Seal>(path, bytes).lastCheckpointId
  }

  async #silenceLeftMs(directory: string, generation: number, owner: Claim): Promise<number> {
    const { beat, released } = await this.#beat(directory, generation)
    if (released) return 0
    const mark = `${generation} ${owner.nonce} ${beat}`
    const nowMs = this.#clock.monotonicMs()
    let seen = this.#seen.get(directory)
    if (seen?.mark !== mark) {
      seen = { mark, atMs: nowMs }
      this.#seen.set(directory, seen)
    }
    return Math.max(0, seen.atMs + owner.ttlMs - nowMs)
  }

  async #removeBelow(directory: string, generation: number): Promise<void> {
    const old = (await this.#files.list(directory)).filter((name) => {
      const number = Number(name.slice(name.indexOf('-') + 1))
      return number < generation
    })
    await this.#files.remove(directory, old)
  }

  async #writeBeat(directory: string, generation: number, released: boolean): Promise<void> {
    const beat = (await this.#beat(directory, generation)).beat + 1
    await this.#files.replace(join(directory, `beat-${generation}`), encode({ beat, released } satisfies Beat))
  }

  async #top(directory: string): Promise<number> {
    return highest(await this.#files.list(directory), 'claim-')
  }

  async #claim(directory: string, generation: number): Promise<Claim | undefined> {
    const path = join(directory, `claim-${generation}`)
    const bytes = await this.#files.read(path)
    return bytes === undefined ? undefined : decode<Claim>(path, bytes)
  }

  async #beat(directory: string, generation: number): Promise<Beat> {
    const path = join(directory, `beat-${generation}`)
    const bytes = await this.#files.read(path)
    return bytes === undefined ? { beat: 0, released: false } : decode<Beat>(path, bytes)
  }
}

function tooFast(directory: string): MillraceError {
  return new MillraceError('STORE_UNREACHABLE', `the lease in ${directory} changes hands too fast to be taken`)
}

function highest(names: readonly string[], prefix: string): number {
  let top = 0
  for (const name of names) {
    if (!name.startsWith(prefix)) continue
    const number = Number(name.slice(prefix.length))
    if (number > top) top = number
  }
  return top
}

function encode(value: unknown): Uint8Array {
  return Buffer.from(`${JSON.stringify(value)}\n`)
}

function decode<T>(path: string, bytes: Uint8Array): T {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8')) as T
  } catch (error) {
    throw new MillraceError('CHECKPOINT_CORRUPT', `${path} is not what was written: the disk has damaged it`, {
      cause: error,
    })
  }
}
