/** Mistakes that an engine could have, each planted through a seam of the simulation: tests show that seeds find them. */
import { stepProtocol } from '../../src/checkpoint/protocol.ts'
import type { ProtocolEffect } from '../../src/checkpoint/protocol-types.ts'
import { noPages } from '../../src/checkpoint/snapshot.ts'
import type { CheckpointStore } from '../../src/checkpoint/store.ts'
import { encodeMeta, undescribedTables } from '../../src/operator/table-snapshot.ts'
import type { FaultPlan } from '../../src/testing/fault-plan.ts'
import type { FaultRunOptions } from '../../src/testing/fault-run.ts'

/** A mistake, and plans that may bring it to light. */
export interface PlantedBug {
  readonly name: string
  readonly planted: NonNullable<FaultRunOptions['planted']>
  readonly planOf: (seed: number) => FaultPlan
}

/** The same store, with some of its calls done otherwise. */
function withCalls(store: CheckpointStore, calls: Partial<CheckpointStore>): CheckpointStore {
  return new Proxy(store, {
    get: (target, name) => {
      const other = calls[name as keyof CheckpointStore]
      if (other !== undefined) return other
      const value = Reflect.get(target, name, target) as unknown
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

/** A zombie: frozen past its lease while another process takes over, then thawed. */
const zombie = (seed: number): FaultPlan => [
  { kind: 'freezeProcess', atMs: 200 + (seed % 40) * 40, forMs: 5100 + (seed % 7) * 30 },
]

const crashes = (seed: number): FaultPlan => [
  { kind: 'crashWorker', atMs: 300 + ((seed * 97) % 700), worker: seed % 2 },
  { kind: 'crashWorker', atMs: 1500 + ((seed * 61) % 900), worker: (seed + 1) % 2 },
]

/** Checkpoints that are given up: their chunks cannot be written. */
const aborts = (seed: number): FaultPlan => [{ kind: 'failStore', atMs: 200 + (seed % 10) * 50, forMs: 1500, one: 4 }]

export const plantedBugs: readonly PlantedBug[] = [
  {
    name: 'skip the fence',
    planted: {
      wrapStore: (store, data) =>
        withCalls(store, {
          publishManifest: async (job, _generation, _nonce, id, manifest) => {
            const there = data.job(job)
            there.manifests.set(id, manifest.slice())
            there.lastCheckpointId = Math.max(there.lastCheckpointId, id)
            await data.fault?.('publishManifest', 'after', `${job} ${id}`)
          },
        }),
    },
    planOf: zombie,
  },
  {
    name: 'publish the manifest before all have acknowledged',
    planted: {
      protocol: (before, event) => {
        const step = stepProtocol(before, event)
        const { state } = step
        if (event.type !== 'ack' || state.phase !== 'collecting' || state.waiting.size !== 1) return step
        const { base, current } = state
        const publish: ProtocolEffect = { type: 'publish', checkpointId: current.checkpointId, kind: current.kind }
        return { state: { phase: 'publishing', base, current }, effects: [...step.effects, publish] }
      },
    },
    planOf: crashes,
  },
  {
    name: 'apply the outbox before the manifest',
    planted: {
      wrapStore: (store) => {
        let late: Promise<void> = Promise.resolve()
        let kept: (() => Promise<void>) | null = null
        return withCalls(store, {
          // The manifest of each checkpoint is written when the next one is made: sinks have applied it long before.
          publishManifest: async (job, generation, nonce, id, manifest) => {
            const bytes = manifest.slice()
            const before = kept
            kept = () => store.publishManifest(job, generation, nonce, id, bytes)
            if (before !== null) late = late.then(before)
            await late
          },
        })
      },
    },
    planOf: (seed) => [{ kind: 'killProcess', atMs: 600 + ((seed * 97) % 1500), downMs: 100 }],
  },
  {
    name: 'drop an abort',
    planted: {
      protocol: (state, event) => (event.type === 'abort' ? { state, effects: [] } : stepProtocol(state, event)),
    },
    planOf: aborts,
  },
  {
    name: 'lose the key groups of a subtask when they are dealt out anew',
    planted: {
      tamper: (message) => {
        if (message.type !== 'deploy' || message.restore === null) return message
        const parallelism = message.placement.length
        const restore = message.restore.map((snapshot) => {
          if (snapshot.parallelism === parallelism || snapshot.subtask !== 1 || snapshot.operatorId === 'source')
            return snapshot
          return { ...snapshot, meta: encodeMeta([], undescribedTables), pages: noPages }
        })
        return { ...message, restore }
      },
    },
    planOf: (seed) => [{ kind: 'rescaleJob', atMs: 300 + ((seed * 97) % 1500), parallelism: seed % 2 === 0 ? 3 : 1 }],
  },
  {
    name: 'forget the watermark at restore',
    planted: {
      tamper: (message) => {
        if (message.type !== 'deploy' || message.restore === null) return message
        const forgotten = Number.NEGATIVE_INFINITY
        return {
          ...message,
          splits: message.splits.map((own) => own.map((split) => ({ ...split, maxTimestampMs: forgotten }))),
          restore: message.restore.map((snapshot) => ({ ...snapshot, watermarkMs: forgotten })),
        }
      },
    },
    planOf: crashes,
  },
]
