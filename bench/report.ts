/** The lines that a bench prints: one for each case for people and scripts, one JSON line with all the detail. */
import type { SideRun } from './process.ts'
import { type RivalResult, shortcomings } from './rules.ts'

/** All runs of one case; each side's in the order in which they ran. */
export interface CaseRuns {
  readonly caseId: string
  readonly millrace: readonly SideRun[]
  readonly flink: readonly SideRun[]
}

/** One case, summed up. */
export interface CaseSummary {
  readonly line: string
  /** Why the line is not a full measurement under the rules; empty when it is. */
  readonly remarks: readonly string[]
  /** True when every complete run of both sides gave the same rows. */
  readonly equal: boolean
}

/** Sums up a case. With several runs a side the rate is their mean and memory the largest. */
export function summarise(runs: CaseRuns): CaseSummary {
  const { caseId, millrace, flink } = runs
  const equal = sameRows([...millrace, ...flink].map(({ result }) => result))
  const fields = [`bench ${caseId}`]
  const both = millrace.length > 0 && flink.length > 0
  const [ours, theirs] = [meanRate(millrace), meanRate(flink)]
  fields.push(`millrace=${ours ?? 'absent'}`, `flink=${theirs ?? 'absent'}`)
  fields.push(`ratio=${ours !== undefined && theirs !== undefined ? (ours / theirs).toFixed(2) : '-'}`)
  fields.push(`rss_mb=${peakMb(millrace)}/${peakMb(flink)}`)
  fields.push(`checksum=${both ? (equal ? 'equal' : 'DIFFERENT') : '-'}`)
  const remarks = Object.entries({ millrace, flink }).flatMap(([side, sideRuns]) =>
    sideRuns.flatMap(({ result }) => shortcomings(result).map((text) => `${side}: ${text}`)),
  )
  return { line: fields.join(' '), remarks: [...new Set(remarks)], equal }
}

/** Everything of one run as one JSON line. */
export function detailLine(caseId: string, side: string, run: SideRun): string {
  const { result } = run
  return JSON.stringify({
    bench: caseId,
    side,
    events_per_s: Math.round(result.eventsPerSecond),
    measured_s: round(result.measuredSeconds),
    checkpoints: result.measuredCheckpoints,
    records: result.records,
    rows: result.rows,
    checksum: result.checksum,
    rss_mb: toMb(run.rssPeakBytes),
    cpu_s: round(run.cpuSeconds),
    cpu_ns_per_event: Math.round((run.cpuSeconds * 1e9) / Math.max(1, result.records)),
  })
}

function sameRows(results: readonly RivalResult[]): boolean {
  const [first] = results
  return results.every(
    (one) =>
      one.complete && one.records === first?.records && one.rows === first.rows && one.checksum === first.checksum,
  )
}

function meanRate(runs: readonly SideRun[]): number | undefined {
  if (runs.length === 0) return undefined
  return Math.round(runs.reduce((sum, { result }) => sum + result.eventsPerSecond, 0) / runs.length)
}

function peakMb(runs: readonly SideRun[]): string {
  return runs.length === 0 ? '-' : String(toMb(Math.max(...runs.map(({ rssPeakBytes }) => rssPeakBytes))))
}

function toMb(bytes: number): number {
  return Math.round(bytes / 2 ** 20)
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
