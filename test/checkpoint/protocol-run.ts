/** Feeds events to the checkpoint protocol and keeps what comes of them. */
import { type ProtocolStart, startProtocol, stepProtocol } from '../../src/checkpoint/protocol.ts'
import type {
  ProtocolEffect,
  ProtocolEvent,
  ProtocolSettings,
  ProtocolState,
  TriggerReason,
} from '../../src/checkpoint/protocol-types.ts'

export const settings: ProtocolSettings = {
  intervalMs: 1000,
  minPauseMs: 0,
  timeoutMs: 10_000,
  retain: 2,
  tolerableFailures: 1,
}
export const start: ProtocolStart = { settings, tasks: ['s/0', 'w/0'], lastCheckpointId: 0, retained: [], nowMs: 0 }

/** One run; `state` is where it is. */
export class Run {
  state: ProtocolState
  effects: ProtocolEffect[] = []

  constructor(from: Partial<ProtocolStart> = {}) {
    this.state = startProtocol({ ...start, ...from })
  }

  /** Returns the effects of this one event. */
  feed(event: ProtocolEvent): readonly ProtocolEffect[] {
    const step = stepProtocol(this.state, event)
    this.state = step.state
    this.effects.push(...step.effects)
    return step.effects
  }

  /** Runs one checkpoint to its end; `outbox`: it has records for sinks. */
  complete(nowMs: number, outbox = false): readonly ProtocolEffect[] {
    if (this.state.phase === 'idle') this.feed({ type: 'trigger', reason: 'requested', nowMs })
    const checkpointId = this.state.phase === 'collecting' ? this.state.current.checkpointId : 0
    for (const task of this.state.base.tasks) this.feed({ type: 'ack', checkpointId, task, nowMs })
    return this.feed({ type: 'publishDone', checkpointId, outbox, nowMs })
  }
}

export const trigger = (nowMs: number, reason: TriggerReason = 'periodic'): ProtocolEvent => ({
  type: 'trigger',
  reason,
  nowMs,
})
export const ack = (checkpointId: number, task: string, nowMs = 0): ProtocolEvent => ({
  type: 'ack',
  checkpointId,
  task,
  nowMs,
})
