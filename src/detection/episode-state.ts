/**
 * What a job's output of episodes has told, as its store keeps it: JSON, to which fields are only ever added.
 *
 * Pure. It is what was told last, and the records that said so, which the topic may not have yet.
 */
import { MillraceError } from '../core/errors.ts'
import type { EpisodeInfo } from './api.ts'

const VERSION = 1

/** What was told, until the epoch under which it is stored. */
export interface EpisodeOutputState {
  /** Whose: another submission of the name begins anew. */
  readonly jobId: string
  /** Where to, as a text to compare: another topic begins anew. */
  readonly place: string
  /** All that is known, as it was told. */
  readonly told: ReadonlyMap<string, EpisodeInfo>
  /** How far each detector had judged: before it is as far again, nothing is said of it. */
  readonly judgedThroughMs: ReadonlyMap<string, number>
  /** The records of the epoch, as a block of an outbox. */
  readonly block: Uint8Array
}

/** The bytes of a state. */
export function encodeEpisodeState({ jobId, place, told, judgedThroughMs, block }: EpisodeOutputState): Uint8Array {
  const state = {
    ...{ version: VERSION, jobId, place, told: [...told.values()], judgedThroughMs: [...judgedThroughMs] },
    block: Buffer.from(block).toString('base64'),
  }
  // JSON has no numbers for what is without bounds.
  return Buffer.from(JSON.stringify(state, (_, value) => (isUnwritable(value) ? { number: String(value) } : value)))
}

/** Reads a state. Throws CHECKPOINT_CORRUPT. */
export function decodeEpisodeState(bytes: Uint8Array): EpisodeOutputState {
  let state: ReturnType<typeof parse>
  try {
    state = parse(bytes)
  } catch (cause) {
    throw new MillraceError('CHECKPOINT_CORRUPT', 'what is stored of an output of episodes cannot be read', { cause })
  }
  if (state.version !== VERSION)
    throw new MillraceError('CHECKPOINT_CORRUPT', `an output of episodes is stored in version ${state.version}`)
  return {
    ...{ jobId: state.jobId, place: state.place, judgedThroughMs: new Map(state.judgedThroughMs) },
    told: new Map(state.told.map((episode) => [episode.id, episode])),
    block: Buffer.from(state.block, 'base64'),
  }
}

interface StoredState {
  readonly version: number
  readonly jobId: string
  readonly place: string
  readonly told: readonly EpisodeInfo[]
  readonly judgedThroughMs: readonly [string, number][]
  readonly block: string
}

function parse(bytes: Uint8Array): StoredState {
  return JSON.parse(Buffer.from(bytes).toString(), (_, value) =>
    typeof value?.number === 'string' ? Number(value.number) : value,
  ) as StoredState
}

function isUnwritable(value: unknown): boolean {
  return typeof value === 'number' && !Number.isFinite(value)
}
