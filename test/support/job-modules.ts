/** Modules of jobs in TypeScript, written to a folder for servers under test. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { programDocument } from '../../src/job/parse-program.ts'
import { projectRoot } from './infra-process.ts'

const api = pathToFileURL(join(projectRoot, 'src/api.ts')).href

/** Writes a module that imports `millrace`; returns the document that submits it. */
export function writeModule(folder: string, name: string, text: string): string {
  writeFileSync(join(folder, name), text.replaceAll("from 'millrace'", `from ${JSON.stringify(api)}`))
  return programDocument(name)
}

/** The text of a shipped job, with its embedded log in another place. */
export function shippedJob(name: string, logRoot: string): string {
  const text = readFileSync(join(projectRoot, 'jobs', name), 'utf8')
  return text.replaceAll("'.millrace/log'", JSON.stringify(logRoot))
}

/** A job that counts events by person in process state, and runs `perEvent` with each; its source is `input`. */
export function countingJob(name: string, input: object, perEvent = ''): string {
  return `
import { defineJob, Event, value } from 'millrace'
const state = { n: value() }
const kept = []
export default defineJob({
  name: ${JSON.stringify(name)},
  source: { input: ${JSON.stringify(input)}, event: Event, time: (event) => event.occurredAt },
  checkpoint: { every: '200ms' },
  parallelism: 2,
  build: (events) =>
    events
      .keyBy((event) => event.person)
      .process({
        id: 'counts',
        state,
        onEvent(event, context) {
          ${perEvent}
          const n = (context.state.n.get() ?? 0) + 1
          context.state.n.set(n)
          context.emit({ person: context.key, n })
        },
      })
      .sinkTo({ id: 'out', to: { log: { path: ${JSON.stringify(name)}, topic: 'out' } } }),
})
`
}
