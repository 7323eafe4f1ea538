/** Statistics of a fake source subtask. */
import type { DeployMessage, SubtaskStats } from '../../../src/runtime/messages.ts'

/** What a subtask that has read `counted` records would say. */
export function sourceStats(deploy: DeployMessage, subtask: number, counted: number, finished: boolean): SubtaskStats {
  return {
    job: deploy.job,
    attempt: deploy.attempt,
    operator: deploy.plan.definition.source.id,
    subtask,
    recordsIn: counted,
    recordsOut: counted,
    bytesIn: 0,
    read: counted,
    deadLettered: 0,
    filtered: 0,
    applied: 0,
    late: 0,
    lost: 0,
    deduplicated: 0,
    dedupeForgotten: 0,
    watermarkMs: 0,
    idle: false,
    finished,
    busyMs: counted,
    idleMs: 0,
    backPressuredMs: 0,
    stateBytes: 0,
    pendingRecords: 0,
    partitions: [],
    latencyCounts: [],
    results: 0,
    checksum: 0,
  }
}
