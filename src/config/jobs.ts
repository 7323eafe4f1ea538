/**
 * Settings of what is submitted: where the modules of jobs in TypeScript are, what one may use before it is ended, and
 * where logs may be.
 */
import { duration, integer, type Setting, size, text, type ValuesOf } from './setting.ts'

/** How submitted jobs are run, those in TypeScript mostly. */
export interface JobsConfig {
  /** Folder of the modules that may be submitted by name. */
  readonly folder: string
  /** JavaScript heap of each thread of such a job, bytes. */
  readonly heapBytes: number
  /** Silence after which a thread of such a job is ended, ms. */
  readonly silenceMs: number
  /** Folder that holds the embedded logs of submitted jobs; '' for anywhere. */
  readonly logFolder: string
  /** How long a server that is told to end waits for last checkpoints, ms; 0 for not at all. */
  readonly shutdownGraceMs: number
  /** Silence after which a worker thread is ended and replaced, ms. */
  readonly threadSilenceMs: number
  /** Records that a job may be behind to count as caught up in `/readyz`; 0 for any number. */
  readonly readyLagRecords: number
}

/** The settings, in the order of the reference. */
export const jobSettings = {
  jobsDir: {
    name: 'MILLRACE_JOBS_DIR',
    fallback: 'jobs',
    unit: 'folder',
    help: 'Folder of the modules that may be submitted as jobs. Nothing outside is loaded. Who can write it can run code.',
    parse: text,
  },
  jobHeap: {
    name: 'MILLRACE_JOB_HEAP',
    fallback: '512Mi',
    unit: 'bytes, with Ki, Mi or Gi',
    help: 'JavaScript heap of each thread of a job in TypeScript. A job that needs more fails; others are not touched.',
    parse: size(2 ** 25, 2 ** 36),
  },
  jobSilence: {
    name: 'MILLRACE_JOB_SILENCE',
    fallback: '10s',
    unit: 'duration',
    help: 'A thread of a job in TypeScript that does not answer for so long is ended, and the job fails.',
    parse: duration(500, 3_600_000),
  },
  logDir: {
    name: 'MILLRACE_LOG_DIR',
    fallback: '',
    unit: 'folder',
    help: 'Folder that the embedded logs of submitted jobs must be in. Empty: anywhere, or, with MILLRACE_ACCESS_FILE, in the folder where the server runs.',
    parse: text,
  },
  shutdownGrace: {
    name: 'MILLRACE_SHUTDOWN_GRACE',
    fallback: '20s',
    unit: 'duration',
    help: 'A server that is told to end (SIGTERM, Ctrl-C) makes a last checkpoint of each job first, for at most so long. Keep it below what its supervisor grants; `0s` ends at once, and the next start repeats what came after the latest checkpoint.',
    parse: duration(0, 3_600_000),
  },
  threadSilence: {
    name: 'MILLRACE_THREAD_SILENCE',
    fallback: '30s',
    unit: 'duration',
    help: 'A worker thread that does not answer its heartbeat (one a second) for so long is ended and replaced; its jobs restart.',
    parse: duration(2000, 3_600_000),
  },
  readyLag: {
    name: 'MILLRACE_READY_LAG',
    fallback: '0',
    unit: 'records; 0 for any number',
    help: 'How far behind the end of its input a job may be to count as caught up: `/readyz` is 503 until every job has been there once in its attempt.',
    parse: integer(0, Number.MAX_SAFE_INTEGER),
  },
} as const satisfies Record<string, Setting<unknown>>

/** The settings as one value. */
export function toJobsConfig(values: ValuesOf<typeof jobSettings> & { readonly accessFile: string }): JobsConfig {
  const { jobsDir: folder, jobHeap: heapBytes, jobSilence: silenceMs, logDir } = values
  const { shutdownGrace: shutdownGraceMs, threadSilence: threadSilenceMs, readyLag: readyLagRecords } = values
  const logFolder = logDir === '' && values.accessFile !== '' ? '.' : logDir
  return { folder, heapBytes, silenceMs, logFolder, shutdownGraceMs, threadSilenceMs, readyLagRecords }
}
